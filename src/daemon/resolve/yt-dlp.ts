/**
 * Pages that nothing else here can read, by yt-dlp where that is installed: it says what there is, the bytes are fetched by
 * Snatch. It asks the network itself, past the network policy; so it is only used for what a person on this machine named,
 * or a page of the same origin.
 */
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import { sameOrigin } from "../core/own-headers.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { Expansion, Media, MediaAbout } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import { httpUrl } from "./address.ts";
import { listItem } from "./list-item.ts";
import type { ManifestOpeners } from "./manifest-opener.ts";
import { looksInside } from "./media-file.ts";
import { aboutOf, detailsOf, formatsOf, type Info, infosOf, isInfo, subtitlesOf, textOf } from "./yt-dlp-info.ts";
import { locateProgram, runYtDlp } from "./yt-dlp-process.ts";

const MOST_ENTRIES = 10_000;

/** What it can be set to. Asked anew each time. */
export interface YtDlpOptions {
  readonly enabled: boolean;
  /** "" is yt-dlp in PATH. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Of all that leaves; absent: as the environment says. */
  readonly proxy?: string;
}

/** What it works with. */
export interface YtDlpParts {
  readonly manifests: ManifestOpeners;
  readonly options: () => YtDlpOptions;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** Reads pages by yt-dlp. */
export class YtDlpResolver implements Resolver {
  readonly name = "yt-dlp";
  readonly #parts: YtDlpParts;

  constructor(parts: YtDlpParts) {
    this.#parts = parts;
  }

  claims(url: string, options: DownloadOptions = {}): boolean {
    const { enabled } = this.#parts.options();
    if (!enabled || options.remote || !looksInside(options) || !/^https?:/.test(url)) return false;
    if (options.namedBy !== undefined && !sameOrigin(options.namedBy, url)) return false;
    return this.#program() !== undefined;
  }

  /** @throws ResourceError MEDIA_NOT_FOUND; NetworkError TIMED_OUT */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Media | Expansion> {
    const { clock, environment, options } = this.#parts;
    const { timeoutMs, proxy } = options();
    const { newest } = request.options;
    const text = await runYtDlp({
      program: this.#program() ?? "yt-dlp",
      url: request.url,
      mostEntries: MOST_ENTRIES,
      environment,
      timeoutMs,
      clock,
      signal,
      ...(newest !== undefined && { newest }),
      ...(proxy !== undefined && { proxy }),
    });
    const info = parse(text);
    const entries = infosOf(info["entries"]);
    const [only] = entries;
    // A page with one medium is told as a list of one.
    if (only && entries.length === 1 && isMedium(only)) return this.#media(only, request);
    return Array.isArray(info["entries"]) ? several(info, entries, request) : this.#media(info, request);
  }

  #program(): string | undefined {
    return locateProgram(this.#parts.options().path, this.#parts.environment["PATH"]);
  }

  #media(info: Info, request: DownloadRequest): Media {
    const formats = formatsOf(info, { request, manifests: this.#parts.manifests });
    if (formats.length === 0)
      throw failure("MEDIA_NOT_FOUND", `yt-dlp names no format of ${redactUrl(request.url)} that is fetched here`);
    return {
      kind: "media",
      details: detailsOf(info, request.url),
      formats,
      subtitles: subtitlesOf(info, request),
      live: info["is_live"] === true,
      namedBy: request.url,
    };
  }
}

const isMedium = (info: Info): boolean => infosOf(info["formats"]).length > 0;

function several(info: Info, entries: readonly Info[], request: DownloadRequest): Expansion {
  const title = textOf(info["title"], 1000);
  const found = entries.slice(0, request.options.newest).flatMap((entry) => {
    const url = addressOf(entry, request.url);
    return url === undefined ? [] : [{ url, about: aboutOf(entry) }];
  });
  if (found.length === 0) throw failure("MEDIA_NOT_FOUND", `yt-dlp names nothing in ${redactUrl(request.url)}`);
  return {
    kind: "expansion",
    namedBy: request.url,
    ...(title !== undefined && { title }),
    items: found.map(({ url, about: told }, at) => {
      const playlist = { index: at + 1, count: found.length, ...(title !== undefined && { title }) };
      const about: MediaAbout = { ...told, playlist };
      // Whatever it is: looked into, as the whole was.
      return listItem(request, url, { about, options: { media: true } });
    }),
  };
}

/** A page of its own; or, of media in this very page, where its bytes are. */
function addressOf(entry: Info, page: string): string | undefined {
  const own = [entry["webpage_url"], isMedium(entry) ? undefined : entry["url"]].map((each) =>
    httpUrl(textOf(each, 16_384) ?? "", page),
  );
  const other = own.find((url) => url !== undefined && url !== page);
  if (other !== undefined) return other;
  const best = infosOf(entry["formats"]).findLast((format) =>
    /^(https?|m3u8(_native)?)$/.test(String(format["protocol"])),
  );
  return httpUrl(textOf(best?.["url"] ?? entry["url"], 16_384) ?? "", "http://page.invalid/");
}

function parse(text: string): Info {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw failure("MEDIA_NOT_FOUND", "what yt-dlp printed is not JSON", { cause: error });
  }
  if (!isInfo(value)) throw failure("MEDIA_NOT_FOUND", "what yt-dlp printed describes nothing");
  return value;
}
