/**
 * Plain lists of files, as players keep them (.m3u): an address a line, with `#EXTINF` for length and title. Each entry is a
 * request of its own; one that is itself a list is read when its turn comes, and not without end.
 */
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Expansion, MediaAbout } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";
import { httpUrl } from "./address.ts";
import { decodeText } from "./charset.ts";
import { Documents } from "./document.ts";
import { listItem } from "./list-item.ts";

const MOST_BYTES = 16 * 1024 * 1024;
const MOST_ENTRIES = 100_000;
const LONGEST_TITLE = 1000;

/** An entry of a list. */
export interface ListedFile {
  readonly url: string;
  readonly title?: string;
  readonly durationSeconds?: number;
}

/** Resolves lists that are known to be such. */
export class ListResolver implements Pick<Resolver, "resolve"> {
  readonly #documents: Documents;

  constructor(sources: SourceFactory) {
    this.#documents = new Documents(sources);
  }

  /** @throws ResourceError PLAYLIST_INVALID; what fetching the list throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Expansion> {
    const { newest } = request.options;
    const document = await this.#documents.fetch(request.url, request, MOST_BYTES, signal, request.options.namedBy);
    const { title, files } = readList(
      decodeText(document.bytes, document.contentType, () => undefined),
      document.url,
    );
    // Lists have no dates: the first so many.
    const wanted = files.slice(0, newest);
    return {
      kind: "expansion",
      namedBy: document.url,
      ...(title !== undefined && { title }),
      items: wanted.map(({ url, ...told }, at) => {
        const playlist = { index: at + 1, count: wanted.length, ...(title !== undefined && { title }) };
        const about: MediaAbout = { ...told, playlist };
        return listItem(request, url, { about });
      }),
    };
  }
}

/** Reads a list. @param base - its URL @throws ResourceError PLAYLIST_INVALID */
export function readList(
  text: string,
  base: string,
): { readonly title?: string; readonly files: readonly ListedFile[] } {
  const files: ListedFile[] = [];
  let title: string | undefined;
  let told: Omit<ListedFile, "url"> = {};
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = raw.trim();
    if (line === "") continue;
    if (line.startsWith("#")) {
      if (/^#EXTINF:/i.test(line)) told = information(line.slice(8));
      else if (/^#PLAYLIST:/i.test(line)) title = cut(line.slice(10)) ?? title;
      continue;
    }
    const url = httpUrl(line, base);
    if (url === undefined) throw invalid(`it names ${shown(line)}, which is not fetched from a list`, index + 1);
    if (files.length >= MOST_ENTRIES) throw invalid(`it has more than ${MOST_ENTRIES} entries`, index + 1);
    files.push({ url, ...told });
    told = {};
  }
  if (files.length === 0) throw failure("PLAYLIST_INVALID", `the list ${redactUrl(base)} names nothing`);
  return { files, ...(title !== undefined && { title }) };
}

/** `123 tvg-name="a, b",Artist - Title`: the title is behind the first comma that is not in quotes. */
function information(text: string): Omit<ListedFile, "url"> {
  const [, head = "", behind = ""] = /^((?:[^",]|"[^"]{0,2000}")*),(.*)$/.exec(text.slice(0, 20_000)) ?? [];
  const seconds = Number.parseFloat(head);
  const title = cut(behind);
  return {
    ...(title !== undefined && { title }),
    ...(seconds > 0 && seconds < 31_536_000 && { durationSeconds: seconds }),
  };
}

function cut(text: string): string | undefined {
  const found = text.trim().slice(0, LONGEST_TITLE);
  return found === "" ? undefined : found;
}

function shown(line: string): string {
  return redactUrl(line).slice(0, 200);
}

function invalid(why: string, line: number): Error {
  return failure("PLAYLIST_INVALID", `the list cannot be used: ${why} (line ${line})`, {
    metadata: { line: String(line) },
  });
}
