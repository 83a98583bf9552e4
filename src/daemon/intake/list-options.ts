/**
 * aria2's option lines, as options of a download (aria2c(1), "Input File"). An option that Snatch does not know refuses
 * its entry by name: leaving it out in silence would fetch something other than what was asked for.
 */
import { resolve, sep } from "node:path";
import { audioSteps } from "../../shared/audio-steps.ts";
import { parseBytes, parseDuration } from "../../shared/format.ts";
import { type DownloadError, failure } from "../core/errors.ts";
import type { ChecksumAlgorithm, DownloadOptions, IfExists } from "../core/session.ts";

/** Hex digits of each algorithm's digest. */
const DIGEST_LENGTH: Readonly<Record<ChecksumAlgorithm, number>> = {
  "sha-256": 64,
  "sha-512": 128,
  "sha-1": 40,
  md5: 32,
};

/** aria2 counts attempts and takes 0 for "never give up"; this many retries is that, in practice. */
const MANY_RETRIES = 1_000_000;

/** More connections than Snatch opens for one download are asked for in vain, but not in error: it is an upper bound. */
const MOST_CONNECTIONS = 32;

/** Characters, and languages, that are read. */
const LONGEST_SELECTOR = 2000;
const LONGEST_TEMPLATE = 4096;
const LONGEST_WORD = 200;
const MOST_LANGUAGES = 100;

/** Bytes of a file's name that file systems take. */
const LONGEST_NAME = 255;

/** A field name (RFC 9110 §5.1). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What the option lines of an entry have said so far. */
export interface OptionDraft {
  out?: string;
  dir?: string;
  checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
  checksumFile?: string;
  followMetalink?: boolean;
  audio?: readonly string[];
  format?: string;
  quality?: string;
  media?: boolean;
  template?: string;
  subs?: readonly string[];
  embedSubs?: boolean;
  recordFor?: number;
  newest?: number;
  tags?: boolean;
  readonly headers: (readonly [name: string, value: string])[];
  split?: number;
  perServer?: number;
  limit?: number;
  maxRetries?: number;
  retryDelay?: number;
  timeout?: number;
  allowOverwrite?: boolean;
  autoRename?: boolean;
  referer?: string;
}

/** What an entry's options are completed with. */
export interface OptionContext {
  /** Absolute: relative names are joined to it. */
  readonly directory: string;
  /** Folders that targets may be in; absent: any. */
  readonly allowedDirectories?: readonly string[];
}

const READERS: Readonly<Record<string, (draft: OptionDraft, value: string) => void>> = {
  out: (draft, value) => {
    draft.out = nonEmpty(value);
  },
  dir: (draft, value) => {
    draft.dir = nonEmpty(value);
  },
  checksum: (draft, value) => {
    draft.checksum = checksum(value);
  },
  "checksum-file": (draft, value) => {
    draft.checksumFile = nonEmpty(value);
  },
  "follow-metalink": (draft, value) => {
    draft.followMetalink = flag(value);
  },
  audio: (draft, value) => {
    draft.audio = audioSteps(value);
  },
  format: (draft, value) => {
    draft.format = bounded(value, LONGEST_SELECTOR);
  },
  quality: (draft, value) => {
    draft.quality = bounded(value, LONGEST_WORD);
  },
  media: (draft, value) => {
    draft.media = flag(value);
  },
  template: (draft, value) => {
    draft.template = bounded(value, LONGEST_TEMPLATE);
  },
  subs: (draft, value) => {
    draft.subs = languages(value);
  },
  "embed-subs": (draft, value) => {
    draft.embedSubs = flag(value);
  },
  for: (draft, value) => {
    draft.recordFor = parseDuration(value);
  },
  newest: (draft, value) => {
    draft.newest = count(value, 1);
  },
  tags: (draft, value) => {
    draft.tags = flag(value);
  },
  header: (draft, value) => {
    const colon = value.indexOf(":");
    addHeader(draft, value.slice(0, Math.max(colon, 0)).trim(), value.slice(colon + 1).trim());
  },
  "user-agent": (draft, value) => addHeader(draft, "User-Agent", nonEmpty(value)),
  referer: (draft, value) => {
    draft.referer = nonEmpty(value);
  },
  "max-download-limit": (draft, value) => {
    draft.limit = parseBytes(value);
  },
  split: (draft, value) => {
    draft.split = count(value, 1);
  },
  "max-connection-per-server": (draft, value) => {
    draft.perServer = count(value, 1);
  },
  "max-tries": (draft, value) => {
    const tries = count(value, 0);
    draft.maxRetries = tries === 0 ? MANY_RETRIES : tries - 1;
  },
  "retry-wait": (draft, value) => {
    draft.retryDelay = seconds(value);
  },
  timeout: (draft, value) => {
    draft.timeout = seconds(value);
  },
  "allow-overwrite": (draft, value) => {
    draft.allowOverwrite = flag(value);
  },
  "auto-file-renaming": (draft, value) => {
    draft.autoRename = flag(value);
  },
  // What Snatch always does may be asked for.
  continue: (_draft, value) => always(value),
  "remote-time": (_draft, value) => always(value),
};

/**
 * Reads one option line into the draft.
 *
 * @param text - the line without its indentation, such as `out=a.iso`
 * @returns the error that refuses the entry, or undefined
 */
export function readOption(draft: OptionDraft, text: string, lineNumber: number): DownloadError | undefined {
  const equals = text.indexOf("=");
  const name = (equals === -1 ? text : text.slice(0, equals)).trim();
  // What stands behind a blank or a colon may be the value, such as a header field's.
  const [word = ""] = text.split(/[\s:=]/, 1);
  if (equals === -1) return refused(lineNumber, `"${brief(word)}" is not an option: write name=value`);
  if (!Object.hasOwn(READERS, name))
    return refused(lineNumber, `the option "${brief(word)}" is not one that lists can set`);
  try {
    READERS[name]?.(draft, text.slice(equals + 1).trim());
    return undefined;
  } catch (error) {
    return refused(lineNumber, `the option "${name}": ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The options of an entry whose lines are all read.
 *
 * @throws DownloadError TARGET_NOT_ALLOWED for a name that leaves its folder or a folder that is not allowed, NAME_INVALID
 */
export function completeOptions(draft: OptionDraft, url: string, context: OptionContext): DownloadOptions {
  const directory = draft.dir === undefined ? context.directory : within(context.directory, draft.dir, true);
  const output = draft.out === undefined ? undefined : within(directory, draft.out, false);
  for (const target of [directory, output]) if (target !== undefined) assertAllowed(target, context.allowedDirectories);
  const headers = [...draft.headers];
  if (draft.referer !== undefined) headers.push(["Referer", referer(draft.referer === "*" ? url : draft.referer)]);
  const connections = Math.min(draft.split ?? Number.POSITIVE_INFINITY, draft.perServer ?? Number.POSITIVE_INFINITY);
  const exists = ifExists(draft);
  return {
    ...(output === undefined ? { directory } : { output }),
    ...(draft.checksum && { checksum: draft.checksum }),
    ...(draft.checksumFile !== undefined && { checksumFile: draft.checksumFile }),
    ...(draft.followMetalink !== undefined && { followMetalink: draft.followMetalink }),
    ...(draft.audio && { audio: draft.audio }),
    ...mediaOptions(draft),
    ...(headers.length > 0 && { headers }),
    ...(Number.isFinite(connections) && { connections: Math.min(connections, MOST_CONNECTIONS) }),
    ...(draft.limit !== undefined && { limit: draft.limit }),
    ...(draft.maxRetries !== undefined && { maxRetries: draft.maxRetries }),
    ...(draft.retryDelay !== undefined && { retryDelay: draft.retryDelay }),
    ...(draft.timeout !== undefined && { timeout: draft.timeout }),
    ...(exists && { ifExists: exists }),
  };
}

function mediaOptions({ subs, embedSubs = false, ...draft }: OptionDraft): DownloadOptions {
  const { format, quality, media, template, recordFor, newest, tags } = draft;
  return {
    ...(format !== undefined && { format }),
    ...(quality !== undefined && { quality }),
    ...(media !== undefined && { media }),
    ...(template !== undefined && { template }),
    ...(subs && { subtitles: { languages: subs, embed: embedSubs } }),
    ...(recordFor !== undefined && { recordFor }),
    ...(newest !== undefined && { newest }),
    ...(tags !== undefined && { tags }),
  };
}

function bounded(value: string, longest: number): string {
  if (value.length > longest) throw new Error(`has ${value.length} characters; at most ${longest} are read`);
  return nonEmpty(value);
}

/** "en,pt-BR", or "all". */
function languages(value: string): readonly string[] {
  const tags = value.split(",").map((tag) => tag.trim());
  const wrong = tags.find((tag) => !/^[A-Za-z0-9]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(tag));
  if (wrong !== undefined || tags.length > MOST_LANGUAGES) throw new Error(`"${brief(wrong ?? value)}" is no language`);
  return tags;
}

/** Joins what a list says to the folder it is meant for. A relative name stays inside; only `dir` may be absolute. */
function within(directory: string, name: string, mayBeAbsolute: boolean): string {
  for (const part of name.split("/"))
    if (Buffer.byteLength(part) > LONGEST_NAME)
      throw failure(
        "NAME_INVALID",
        `"${brief(part)}" has ${Buffer.byteLength(part)} bytes; a name has at most ${LONGEST_NAME}`,
      );
  if (name.startsWith("/")) {
    if (mayBeAbsolute) return resolve(name);
    throw failure(
      "TARGET_NOT_ALLOWED",
      `out="${brief(name)}" is absolute: it is a name inside ${directory}; use dir= for the folder`,
    );
  }
  const path = resolve(directory, name);
  if (!isInside(directory, path)) throw failure("TARGET_NOT_ALLOWED", `"${brief(name)}" leads out of ${directory}`);
  if (!mayBeAbsolute && (path === resolve(directory) || /(^|\/)\.?$/.test(name)))
    throw failure("NAME_INVALID", `out="${brief(name)}" names a folder, not a file`);
  return path;
}

function assertAllowed(path: string, allowed: readonly string[] | undefined): void {
  if (allowed === undefined || allowed.some((folder) => isInside(folder, path))) return;
  throw failure("TARGET_NOT_ALLOWED", `${path} is in none of the folders that may be written to`);
}

function isInside(folder: string, path: string): boolean {
  const base = resolve(folder);
  return path === base || path.startsWith(base.endsWith(sep) ? base : base + sep);
}

/** Neither login nor fragment go along (RFC 9110 §10.1.3). */
function referer(text: string): string {
  const url = /[@#]/.test(text) ? URL.parse(text) : null;
  if (url === null) return text;
  [url.username, url.password, url.hash] = ["", "", ""];
  return url.href;
}

/** aria2 renames unless told otherwise; overwriting wins over renaming. */
function ifExists(draft: OptionDraft): IfExists | undefined {
  if (draft.allowOverwrite === true) return "overwrite";
  if (draft.autoRename !== undefined) return draft.autoRename ? "rename" : "skip";
  return draft.allowOverwrite === false ? "rename" : undefined;
}

function checksum(value: string): { algorithm: ChecksumAlgorithm; value: string } {
  const equals = value.indexOf("=");
  const algorithm = value.slice(0, Math.max(equals, 0)).trim().toLowerCase();
  const digest = value
    .slice(equals + 1)
    .trim()
    .toLowerCase();
  if (!Object.hasOwn(DIGEST_LENGTH, algorithm))
    throw new TypeError(`write ${Object.keys(DIGEST_LENGTH).join(", ")}, then "=" and the digest`);
  const known = algorithm as ChecksumAlgorithm;
  if (!/^[0-9a-f]+$/.test(digest) || digest.length !== DIGEST_LENGTH[known])
    throw new TypeError(`a ${known} digest has ${DIGEST_LENGTH[known]} hexadecimal digits`);
  return { algorithm: known, value: digest };
}

function addHeader(draft: OptionDraft, name: string, value: string): void {
  if (!TOKEN.test(name)) throw new TypeError("write Name: value");
  draft.headers.push([name, value]);
}

function nonEmpty(value: string): string {
  if (value === "") throw new TypeError("it has no value");
  return value;
}

function count(value: string, least: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least)) throw new TypeError(`"${brief(value)}" is not a whole number of at least ${least}`);
  return number;
}

function seconds(value: string): number {
  if (!/^\d{1,9}(\.\d+)?$/.test(value)) throw new TypeError(`"${brief(value)}" is not a number of seconds`);
  return Number(value);
}

function flag(value: string): boolean {
  if (value !== "true" && value !== "false") throw new TypeError(`"${brief(value)}" is neither true nor false`);
  return value === "true";
}

function always(value: string): void {
  if (!flag(value)) throw new TypeError("Snatch always does this; it cannot be false");
}

function refused(lineNumber: number, why: string): DownloadError {
  return failure("LIST_LINE_INVALID", `line ${lineNumber}: ${why}`, { metadata: { line: String(lineNumber) } });
}

function brief(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
