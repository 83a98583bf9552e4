/**
 * Wire → domain. Everything that a caller may get wrong is found here and answered with INVALID_ARGUMENT that names the
 * field; what comes out has the domain's shape and no absurd numbers. The other direction is `present.ts`; no other file
 * knows both sides.
 */
import { isAbsolute } from "node:path";
import type { Duration } from "../../gen/google/protobuf/duration.ts";
import type { MoveDownloadRequest, Selection as WireSelection } from "../../gen/snatch/v1/download_service.ts";
import { IfExists, type DownloadOptions as WireOptions } from "../../gen/snatch/v1/session.ts";
import { isHostPort } from "../../shared/address.ts";
import { type DownloadError, failure } from "../core/errors.ts";
import type { Selection } from "../core/ports/downloads.ts";
import type { Checksum, ChecksumAlgorithm, DownloadOptions } from "../core/session.ts";

/** Digits of each algorithm's hexadecimal digest. */
const DIGEST_LENGTH: Readonly<Record<ChecksumAlgorithm, number>> = {
  "sha-256": 64,
  "sha-512": 128,
  "sha-1": 40,
  md5: 32,
};

const IF_EXISTS = { [IfExists.RENAME]: "rename", [IfExists.SKIP]: "skip", [IfExists.OVERWRITE]: "overwrite" } as const;

/** Field names are tokens (RFC 9110 §5.6.2). */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Field values hold no control characters but TAB (RFC 9110 §5.5). */
const CONTROL = /[^\P{Cc}\t]/u;

/** Limits that no honest caller meets. */
const LONGEST_PATH = 4096;
const LONGEST_WORD = 200;
const LONGEST_SELECTOR = 2000;
const LONGEST_TEMPLATE = 4096;
const MOST_LANGUAGES = 100;
const MOST_NEWEST = 100_000;
const LONGEST_REFERENCE = 16 * 1024;
const MOST_HEADERS = 100;
const LONGEST_HEADER = 8 * 1024;
const MOST_CONNECTIONS = 256;
const MOST_RETRIES = 10_000;
const LONGEST_DURATION_S = 7 * 24 * 3600;
const MOST_STEPS = 32;
const MOST_PEERS = 16;
const MOST_IDS = 10_000;
const LONGEST_ID = 64;
const SHORTEST_ID = 4;
const LARGEST_PAGE = 1000;
const DEFAULT_PAGE = 100;

/** The error of a field: INVALID_ARGUMENT, with the field in its metadata. */
export function badField(field: string, why: string): DownloadError {
  return failure("INVALID_ARGUMENT", `${field}: ${why}`, { metadata: { field } });
}

/** What a download's options say. Unset fields stay unset. @throws DownloadError INVALID_ARGUMENT */
export function toOptions(wire: WireOptions | undefined, at = "options"): DownloadOptions {
  if (wire === undefined) return {};
  const { checksum, connections, limitBytesPerSecond, maxRetries, retryDelay, timeout, ifExists } = wire;
  const { followMetalink, audio } = wire;
  return {
    ...(wire.directory !== "" && { directory: toPath(wire.directory, `${at}.directory`) }),
    ...(wire.output !== "" && { output: toFilePath(wire.output, `${at}.output`) }),
    ...(checksum !== undefined && { checksum: toChecksum(checksum, `${at}.checksum`) }),
    ...(wire.headers.length > 0 && { headers: toHeaders(wire.headers, `${at}.headers`) }),
    ...(connections !== undefined && { connections: toInteger(connections, 1, MOST_CONNECTIONS, `${at}.connections`) }),
    ...(limitBytesPerSecond !== undefined && { limit: toLimit(limitBytesPerSecond, `${at}.limit_bytes_per_second`) }),
    ...(maxRetries !== undefined && { maxRetries: toInteger(maxRetries, 0, MOST_RETRIES, `${at}.max_retries`) }),
    ...(retryDelay !== undefined && { retryDelay: toSeconds(retryDelay, `${at}.retry_delay`) }),
    ...(timeout !== undefined && { timeout: toTimeout(timeout, `${at}.timeout`) }),
    ...(ifExists !== IfExists.UNSPECIFIED && { ifExists: toIfExists(ifExists, `${at}.if_exists`) }),
    ...(wire.force && { force: true }),
    ...(wire.format !== "" && { format: toText(wire.format, LONGEST_SELECTOR, `${at}.format`) }),
    ...(wire.quality !== "" && { quality: toWord(wire.quality, `${at}.quality`) }),
    ...(wire.checksumFile !== "" && { checksumFile: toReference(wire.checksumFile, `${at}.checksum_file`) }),
    ...(followMetalink !== undefined && { followMetalink }),
    ...(audio !== undefined && { audio: toSteps(audio.names, `${at}.audio.names`) }),
    ...(wire.peers.length > 0 && { peers: toPeers(wire.peers, `${at}.peers`) }),
    ...(wire.share && { share: true }),
    ...toMediaOptions(wire, at),
  };
}

/** What is asked of media. The resolve stage reads formats, qualities and templates. */
function toMediaOptions(wire: WireOptions, at: string): DownloadOptions {
  const { media, template, subtitles, recordFor, newest, tags } = wire;
  return {
    ...(media !== undefined && { media }),
    ...(template !== "" && { template: toText(template, LONGEST_TEMPLATE, `${at}.template`) }),
    ...(subtitles !== undefined && { subtitles: toSubtitles(subtitles, `${at}.subtitles`) }),
    ...(recordFor !== undefined && { recordFor: toTimeout(recordFor, `${at}.record_for`) }),
    ...(newest !== 0 && { newest: toInteger(newest, 1, MOST_NEWEST, `${at}.newest`) }),
    ...(tags !== undefined && { tags }),
  };
}

function toSubtitles(
  { languages, embed }: { languages: readonly string[]; embed: boolean },
  field: string,
): NonNullable<DownloadOptions["subtitles"]> {
  if (languages.length === 0 || languages.length > MOST_LANGUAGES)
    throw badField(`${field}.languages`, `give from 1 to ${MOST_LANGUAGES} languages, or "all"`);
  return { languages: languages.map((tag, index) => toLanguage(tag, `${field}.languages[${index}]`)), embed };
}

function toLanguage(tag: string, field: string): string {
  if (!/^-?[\w*]{1,16}(-[\w*]{1,16})*$/.test(tag)) throw badField(field, `"${tag.slice(0, 40)}" is no language`);
  return tag;
}

function toSteps(names: readonly string[], field: string): readonly string[] {
  if (names.length > MOST_STEPS) throw badField(field, `${names.length} steps; at most ${MOST_STEPS} are done`);
  return names.map((name, index) => toWord(name, `${field}[${index}]`));
}

function toPeers(wire: readonly string[], field: string): readonly string[] {
  if (wire.length > MOST_PEERS) throw badField(field, `${wire.length} peers; at most ${MOST_PEERS} are asked`);
  return wire.map((peer, index) => {
    if (!isHostPort(peer))
      throw badField(`${field}[${index}]`, `"${peer.slice(0, 80)}" is not a host and a port, such as "192.0.2.7:4000"`);
    return peer;
  });
}

/** An absolute path. @throws DownloadError INVALID_ARGUMENT */
export function toPath(text: string, field: string): string {
  if (text === "") throw badField(field, "a path is missing");
  if (text.includes("\0")) throw badField(field, "a path cannot hold a NUL character");
  if (!isAbsolute(text))
    throw badField(field, `"${text}" is not absolute; the daemon does not know the caller's folder`);
  const bytes = Buffer.byteLength(text);
  if (bytes > LONGEST_PATH) throw badField(field, `a path of ${bytes} bytes; at most ${LONGEST_PATH} are possible`);
  return text;
}

function toFilePath(text: string, field: string): string {
  const path = toPath(text, field);
  if (/\/\.{0,2}$/.test(path)) throw badField(field, `"${path}" names a folder, not a file`);
  return path;
}

function toChecksum(wire: { algorithm: string; value: string }, field: string): Checksum {
  const algorithm = wire.algorithm.toLowerCase();
  if (!isAlgorithm(algorithm))
    throw badField(`${field}.algorithm`, `"${wire.algorithm}" is none of ${Object.keys(DIGEST_LENGTH).join(", ")}`);
  const length = DIGEST_LENGTH[algorithm];
  const value = wire.value.toLowerCase();
  if (value.length !== length || !/^[0-9a-f]*$/.test(value))
    throw badField(`${field}.value`, `a ${algorithm} digest has ${length} hexadecimal digits`);
  return { algorithm, value };
}

const isAlgorithm = (text: string): text is ChecksumAlgorithm => Object.hasOwn(DIGEST_LENGTH, text);

function toHeaders(
  wire: ReadonlyArray<{ name: string; value: string }>,
  field: string,
): ReadonlyArray<readonly [string, string]> {
  if (wire.length > MOST_HEADERS) throw badField(field, `${wire.length} fields; at most ${MOST_HEADERS} are sent`);
  return wire.map(({ name, value }, index) => {
    if (!FIELD_NAME.test(name)) throw badField(`${field}[${index}].name`, "not a name of a header field");
    if (CONTROL.test(value))
      throw badField(`${field}[${index}].value`, "holds a line break or another control character");
    if (name.length + value.length > LONGEST_HEADER)
      throw badField(`${field}[${index}].value`, `is longer than ${LONGEST_HEADER} characters`);
    return [name, value] as const;
  });
}

function toIfExists(wire: IfExists, field: string): "rename" | "skip" | "overwrite" {
  if (wire === IfExists.RENAME || wire === IfExists.SKIP || wire === IfExists.OVERWRITE) return IF_EXISTS[wire];
  throw badField(field, "not a value that this daemon knows");
}

const toWord = (text: string, field: string): string => toText(text, LONGEST_WORD, field);

function toText(text: string, longest: number, field: string): string {
  if (text.length > longest || CONTROL.test(text))
    throw badField(field, `not a text of at most ${longest} characters without control characters`);
  return text;
}

/** A URL, perhaps relative; the engine says whether it leads anywhere. */
function toReference(text: string, field: string): string {
  if (text.length > LONGEST_REFERENCE || CONTROL.test(text))
    throw badField(field, `not a URL of at most ${LONGEST_REFERENCE} characters`);
  return text;
}

function toInteger(value: number, least: number, most: number, field: string): number {
  if (value < least || value > most) throw badField(field, `${value} is not between ${least} and ${most}`);
  return value;
}

/** Bytes a second; 0 is unlimited. @throws DownloadError INVALID_ARGUMENT */
export function toLimit(value: number, field: string): number {
  if (value < 0) throw badField(field, `${value} is less than 0 (which means unlimited)`);
  return value;
}

function toTimeout(wire: Duration, field: string): number {
  const seconds = toSeconds(wire, field);
  if (seconds === 0) throw badField(field, "a timeout is longer than 0 seconds");
  return seconds;
}

function toSeconds({ seconds, nanos }: Duration, field: string): number {
  if (seconds < 0 || nanos < 0 || nanos > 999_999_999) throw badField(field, "not a duration of 0 seconds or more");
  const value = seconds + nanos / 1e9;
  if (value > LONGEST_DURATION_S) throw badField(field, `${value} seconds is more than ${LONGEST_DURATION_S}`);
  return value;
}

/** An id, or an unambiguous beginning. @throws DownloadError INVALID_ARGUMENT */
export function toSessionId(text: string, field: string): string {
  if (!/^[0-9A-Za-z-]*$/.test(text) || text.length > LONGEST_ID)
    throw badField(field, `"${text.slice(0, LONGEST_ID)}" is no id`);
  if (text.length < SHORTEST_ID) throw badField(field, `an id, or at least the first ${SHORTEST_ID} characters of one`);
  return text.toLowerCase();
}

/** Ids without repetition. @throws DownloadError INVALID_ARGUMENT */
export function toSessionIds(wire: readonly string[], field: string): string[] {
  if (wire.length > MOST_IDS) throw badField(field, `${wire.length} ids; at most ${MOST_IDS} in one call`);
  return [...new Set(wire.map((id, index) => toSessionId(id, `${field}[${index}]`)))];
}

/** A batch's id, as it was given out. @throws DownloadError INVALID_ARGUMENT */
export function toBatchId(text: string, field: string): string {
  if (!/^[\x21-\x7e]{1,200}$/.test(text)) throw badField(field, "not a batch id");
  return text;
}

/** Exactly one of ids, all, and a batch. @throws DownloadError INVALID_ARGUMENT */
export function toSelection(wire: WireSelection | undefined): Selection {
  const ids = wire?.sessionIds ?? [];
  const ways = Number(ids.length > 0) + Number(wire?.all === true) + Number((wire?.batchId ?? "") !== "");
  if (wire === undefined || ways !== 1)
    throw badField("selection", "give session_ids, or all, or batch_id, and one of them only");
  if (wire.all) return { all: true };
  if (wire.batchId !== "") return { batchId: toBatchId(wire.batchId, "selection.batch_id") };
  return { ids: toSessionIds(ids, "selection.session_ids") };
}

/** Where in the queue. @throws DownloadError INVALID_ARGUMENT */
export function toPlace(
  wire: MoveDownloadRequest["destination"],
): "top" | "bottom" | { by: number } | { position: number } {
  switch (wire?.$case) {
    case "top":
    case "bottom":
      if (!wire.value) throw badField(wire.$case, "is only meaningful when true");
      return wire.$case;
    case "by":
      if (wire.value === 0) throw badField("by", "a move by 0 places is no move");
      return { by: wire.value };
    case "position":
      if (wire.value < 1) throw badField("position", `${wire.value} is not a place; the first is 1`);
      return { position: wire.value };
    default:
      throw badField("destination", "give one of top, bottom, by and position");
  }
}

/** The size of a page: 0 means the default, more than the largest means the largest (AIP-158). @throws DownloadError INVALID_ARGUMENT */
export function toPageSize(wire: number): number {
  if (wire < 0) throw badField("page_size", `${wire} is less than 0`);
  return wire === 0 ? DEFAULT_PAGE : Math.min(wire, LARGEST_PAGE);
}

/** True if the newest come first. @throws DownloadError INVALID_ARGUMENT */
export function toReverse(orderBy: string): boolean {
  const order = orderBy.trim().replace(/\s+/g, " ");
  if (order === "" || order === "create_time" || order === "create_time asc") return false;
  if (order === "create_time desc") return true;
  throw badField("order_by", `"${orderBy.slice(0, LONGEST_WORD)}" is neither "create_time" nor "create_time desc"`);
}

/** Values by key path, from JSON. @throws DownloadError INVALID_ARGUMENT */
export function toConfigValues(wire: Readonly<Record<string, string>>): Record<string, unknown> {
  const entries = Object.entries(wire);
  if (entries.length === 0) throw badField("values_json", "names no value to set");
  return Object.fromEntries(
    entries.map(([key, json]) => {
      try {
        return [key, JSON.parse(json) as unknown];
      } catch {
        throw badField(`values_json["${key.slice(0, LONGEST_WORD)}"]`, "is not JSON; a text needs its quotes");
      }
    }),
  );
}
