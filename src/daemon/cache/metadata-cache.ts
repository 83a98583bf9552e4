/**
 * Metadata by URL: what somebody stored under it for a time, or what its origin says of it (url-metadata.ts), kept and
 * revalidated as RFC 9111 has it (answer-cache.ts). The last that was stored under a URL counts.
 */
import { failure } from "../core/errors.ts";
import { AnswerCache } from "./answer-cache.ts";
import type { AnswerCacheParts } from "./answer-kind.ts";
import { type Json, parse } from "./answer-note.ts";
import { type Ask, type AskOptions, askFor } from "./ask.ts";
import { LONGEST_SECONDS } from "./cache-control.ts";
import type { Fields } from "./http-caching.ts";
import { toJson } from "./json-data.ts";
import { metadataOf, takeMetadata } from "./url-metadata.ts";
import { invalidated } from "./validation.ts";

/** Marks an entry that a caller stored, not an origin. */
const GIVEN = JSON.stringify({ given: true });

/** How metadata is asked for. */
export interface GetMetadataOptions extends AskOptions {
  /** Ask the origin if nothing usable is kept; default false. */
  readonly fetchIfMissing?: boolean;
  /** Of this caller; others who wait for the same are not disturbed. */
  readonly signal?: AbortSignal;
}

/** How metadata is stored. */
export interface StoreMetadataOptions extends AskOptions {
  /** Seconds for which it holds, 0 to 2^31; default: as the configuration says. */
  readonly ttl?: number;
}

/** The cache of metadata. Disposal calls off what is being fetched. */
export class MetadataCache implements AsyncDisposable {
  readonly #parts: AnswerCacheParts;
  readonly #answers: AnswerCache;

  constructor(parts: AnswerCacheParts) {
    this.#parts = parts;
    this.#answers = new AnswerCache(parts, { kind: "metadata", accept: "*/*", take: takeMetadata });
  }

  /**
   * Stores data under a URL, in place of what was there.
   *
   * @param data - plain JSON
   * @throws DownloadError INVALID_ARGUMENT for a lifetime that is none, data that JSON does not give back as it was, or a URL
   *   longer than 64 KiB; INVALID_URL; CACHE_TOO_LARGE; and the errors of the file system
   */
  async storeMetadata(url: string, data: unknown, options: StoreMetadataOptions = {}): Promise<void> {
    const { ttl = this.#parts.limits().ttlSeconds, ...who } = options;
    if (typeof ttl !== "number" || !(ttl >= 0 && ttl <= LONGEST_SECONDS))
      throw failure(
        "INVALID_ARGUMENT",
        `ttl is ${String(ttl)}; a number of seconds from 0 to ${LONGEST_SECONDS} is needed`,
      );
    const { key } = askFor(url, who);
    const body = Buffer.from(toJson(data));
    await this.#parts.vault.put("metadata", key, body, {
      expiresAt: this.#parts.clock.now() + ttl * 1000,
      note: GIVEN,
    });
  }

  /**
   * What is known of a URL: the data that was stored under it, or a {@link UrlMetadata}.
   *
   * @returns undefined if nothing usable is kept and nothing may be fetched
   * @throws DownloadError INVALID_ARGUMENT, INVALID_URL, UNSUPPORTED_SCHEME, CACHE_TOO_LARGE; NetworkError; ResourceError
   *   HTTP_* if the origin says no, also if it said so before and for how long
   */
  async getMetadata(url: string, options: GetMetadataOptions = {}): Promise<Json | undefined> {
    const { fetchIfMissing = false, signal, ...who } = options;
    const ask = askFor(url, who);
    const given = await this.#given(ask);
    if (given !== undefined) return given;
    const usable = fetchIfMissing ? await this.#answers.get(ask, signal) : await this.#answers.peek(ask);
    return usable && ({ ...metadataOf(usable.answer, usable.body) } satisfies Json);
  }

  /**
   * Somebody changed something at an origin (RFC 9111 §4.4): what is kept of the URLs that are concerned is dropped.
   *
   * @param request - what was sent, with its method
   */
  async invalidate(
    request: { readonly method: string; readonly url: string },
    status: number,
    headers: Fields,
  ): Promise<void> {
    for (const url of invalidated(request, status, headers))
      await this.#parts.vault.remove("metadata", askFor(url).key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#answers[Symbol.asyncDispose]();
  }

  /** What a caller stored, while it holds. */
  async #given({ key }: Ask): Promise<Json | undefined> {
    const { vault, clock } = this.#parts;
    const entry = await vault.peek("metadata", key);
    if (entry?.note !== GIVEN) return undefined;
    const now = clock.now();
    // A clock that was set back would have it hold for longer than was said.
    if (entry.expiresAt === undefined || now >= entry.expiresAt || now < entry.storedAt - 1000) return undefined;
    const kept = await vault.get("metadata", key);
    return kept?.entry.note === GIVEN ? parse(Buffer.from(kept.body).toString()) : undefined;
  }
}
