/**
 * In which formats a URL can be had, without fetching it: resolved as a download would be, up to the choice. A URL that
 * nobody claims by its looks is asked once for what it is.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { MediaTool } from "../core/ports/media.ts";
import type { FormatList, FormatLister, Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Expansion, Media } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";
import { chooseFormats, type FormatPresets, readFormat, sortedFormats } from "./choose.ts";

/** What is looked up with. */
export interface LookupInit {
  /** In their order. */
  readonly resolvers: readonly Resolver[];
  readonly sources: SourceFactory;
  /** Formats with names of their own; asked each time. */
  readonly presets: () => FormatPresets | undefined;
  /** What merges; without it whole formats are chosen. */
  readonly tool?: Pick<MediaTool, "version">;
}

/** A page may lead to a manifest, and that to another. */
const MOST_STEPS = 4;

/** Looks formats up. */
export class FormatLookup implements FormatLister {
  readonly #init: LookupInit;

  constructor(init: LookupInit) {
    this.#init = init;
  }

  async list(asked: DownloadRequest, signal: AbortSignal): Promise<FormatList | Expansion> {
    const request: DownloadRequest = { ...asked, options: { ...asked.options, media: true } };
    const presets = this.#init.presets();
    const { options } = request;
    // What cannot be read is said before anybody is asked.
    const wanted = readFormat(options, presets);
    const resolved = await this.#resolve(request, signal);
    if (resolved.kind === "expansion") return resolved;
    const formats = sortedFormats(resolved.formats, wanted);
    try {
      return {
        media: resolved,
        formats,
        choices: chooseFormats(resolved, options, presets, await this.#merges(signal)),
      };
    } catch (error) {
      signal.throwIfAborted();
      return { media: resolved, formats, choices: [], refusal: asDownloadError(error) };
    }
  }

  async #resolve(request: DownloadRequest, signal: AbortSignal): Promise<Media | Expansion> {
    const { resolvers } = this.#init;
    let resolver = resolvers.find((each) => each.claims(request.url, request.options));
    for (let step = 0; resolver && step < MOST_STEPS; step++) {
      const resolved: Resolved = await resolver.resolve(request, signal);
      if (resolved.kind === "media" || resolved.kind === "expansion") return resolved;
      resolver = resolved.final ? undefined : await this.#claimant(resolved, request, signal);
    }
    throw failure(
      "MEDIA_NOT_FOUND",
      `${redactUrl(request.url)} is a file by itself: there are no formats to choose from`,
      {
        metadata: { url: redactUrl(request.url) },
      },
    );
  }

  /** Who knows what answers. */
  async #claimant({ candidates }: Plan, request: DownloadRequest, signal: AbortSignal): Promise<Resolver | undefined> {
    const [{ url, headers, namedBy }] = candidates;
    const { timeout, remote } = request.options;
    const source = this.#init.sources.http(url, {
      headers,
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(namedBy !== undefined && { namedBy }),
      ...(remote && { remote }),
    });
    const stream = await source.open({ start: 0, end: 1, signal });
    stream.cancel();
    return this.#init.resolvers.find((each) => each.claimsAnswer?.(request, stream.resource));
  }

  async #merges(signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#init.tool?.version(signal)) !== undefined;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }
}
