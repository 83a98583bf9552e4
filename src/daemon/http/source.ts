/**
 * A URL as a source of bytes. Whatever the origin answers is either proved to be the bytes that were asked for, of the
 * version that was expected, or refused: nothing here guesses. This module asks; answer.ts reads what comes.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError } from "../core/errors.ts";
import type { HttpClient, HttpResponse } from "../core/ports/http.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { ChunkSource, RangeRequest, RangeStream, SourceFactory } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";
import { type Manner, readAnswer } from "./answer.ts";
import { allLinks, descriptionLink } from "./link-field.ts";
import { formatRange } from "./range.ts";
import { isEntityTag } from "./validators.ts";

/** More for the requests of a source. */
export interface HttpSourceOptions {
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  /** Milliseconds without a byte. */
  readonly timeoutMs?: number;
  /** The URL of what named this one, if no person did. */
  readonly namedBy?: string;
  /** A caller over TCP wants it. */
  readonly remote?: true;
}

/** What sources work with. */
export interface HttpSourceParts {
  readonly client: HttpClient;
  readonly clock: Clock;
}

/** How the answer came, and whether anybody vouches for its length: what a receipt tells later. */
function circumstances(
  { chain, certificate, headers }: HttpResponse,
  { resource, end }: RangeStream,
  now: number,
): Pick<ResourceInfo, "answer" | "lengthUnverified"> {
  // Ended by nothing but the end of the connection (RFC 9112 §6.3).
  const closed = !headers.has("content-length") && !headers.has("transfer-encoding");
  return {
    ...(closed && end === undefined && resource.size === undefined && { lengthUnverified: true }),
    answer: {
      at: now,
      ...(chain.length > 1 && { redirects: chain.slice(0, -1) }),
      ...(certificate !== undefined && { certificate }),
    },
  };
}

/** Fields of requests that are decided here and not by the caller. */
const OURS = /^(range|if-range|if-match)$/i;

/** Makes sources of HTTP URLs. */
export class HttpSourceFactory implements SourceFactory {
  readonly #parts: HttpSourceParts;

  constructor(parts: HttpSourceParts) {
    this.#parts = parts;
  }

  http(url: string, options: HttpSourceOptions): ChunkSource {
    return new HttpSource(url, options, this.#parts);
  }
}

/** An HTTP origin as a {@link ChunkSource}. */
class HttpSource implements ChunkSource {
  readonly id: string;
  readonly #url: string;
  readonly #options: HttpSourceOptions;
  readonly #client: HttpClient;
  readonly #clock: Clock;
  /** The origin answered If-Range by the whole of the same version, and If-Match by the range. */
  #dislikesIfRange = false;
  /** Whoever can change the addresses of its name gains nothing by doing that while it is asked. */
  #outside = false;

  constructor(url: string, options: HttpSourceOptions, parts: HttpSourceParts) {
    this.id = redactUrl(url);
    this.#url = url;
    this.#options = options;
    this.#client = parts.client;
    this.#clock = parts.clock;
  }

  async open(request: RangeRequest): Promise<RangeStream> {
    const tagged = isEntityTag(request.expected?.strongValidator);
    let manner: Manner = this.#dislikesIfRange && tagged ? "if-match" : "if-range";
    // The whole is not asked for as a range: an origin that gets ranges wrong may get that right.
    if (request.start === 0 && request.end === undefined && !request.expected) manner = "whole";
    for (;;) {
      const response = await this.#ask(request, manner);
      let found: RangeStream | Manner;
      try {
        found = readAnswer(response, request, manner, this.#clock.now());
      } catch (error) {
        response.cancel();
        if (!mayAskForWhole(error, request, manner)) throw error;
        found = "whole";
      }
      if (typeof found !== "string") {
        if (manner === "if-match-instead" && found.resource.ranges) this.#dislikesIfRange = true;
        const describedBy = descriptionLink(allLinks(response), response.url);
        const more = describedBy === undefined ? {} : { describedBy };
        return {
          ...found,
          ...more,
          resource: { ...found.resource, ...circumstances(response, found, this.#clock.now()) },
        };
      }
      // An answer of this manner asks for another one, further down the list: this ends.
      response.cancel();
      manner = found;
    }
  }

  async #ask({ start, end, expected, signal }: RangeRequest, manner: Manner): Promise<HttpResponse> {
    const headers = (this.#options.headers ?? []).filter(([name]) => !OURS.test(name));
    if (manner !== "whole") {
      headers.push(["Range", formatRange(start, end)]);
      const validator = expected?.strongValidator;
      if (validator !== undefined) headers.push([manner === "if-range" ? "If-Range" : "If-Match", validator]);
    }
    const outside = this.#outside;
    const response = await this.#client.request({ ...this.#options, url: this.#url, headers, outside }, signal);
    this.#outside ||= response.outside === true;
    return response;
  }
}

/** True for a first range that was answered wrongly: nothing is here yet, so that the whole will do. */
function mayAskForWhole(error: unknown, { start, expected }: RangeRequest, manner: Manner): boolean {
  return start === 0 && !expected && manner !== "whole" && asDownloadError(error).code === "RANGE_INVALID";
}
