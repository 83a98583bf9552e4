/**
 * What `get` and `add` are asked for, checked as far as that is possible without the daemon: before one is started, and
 * with paths made absolute, because the daemon has another working directory.
 */
import { statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { DownloadOptions, IfExists } from "../gen/snatch/v1/session.ts";
import { parseHostPort } from "../shared/address.ts";
import { audioSteps } from "../shared/audio-steps.ts";
import { parseBytes, parseDuration } from "../shared/format.ts";
import { redactUrl } from "../shared/redact.ts";
import { ClientError, fail, misuse, option } from "./failure.ts";
import { hideCode, isShareLink, readShareCode, shareLink } from "./share-link.ts";
import type { Target } from "./target.ts";

/** The options of `get` and `add` as they stand on the command line. */
export interface OrderFlags {
  readonly input?: string;
  readonly output?: string;
  readonly dir?: string;
  readonly checksum?: string;
  readonly checksumFile?: string;
  /** `--no-metalink` makes it false. */
  readonly metalink?: boolean;
  readonly header?: readonly string[];
  readonly connections?: string;
  readonly limit?: string;
  readonly maxRetries?: string;
  readonly retryDelay?: string;
  readonly timeout?: string;
  readonly ifExists?: "rename" | "skip" | "overwrite";
  readonly force?: boolean;
  readonly format?: string;
  readonly quality?: string;
  readonly audio?: string;
  /** `--media` makes it true, `--no-media` false. */
  readonly media?: boolean;
  readonly template?: string;
  readonly subs?: string;
  readonly embedSubs?: boolean;
  readonly for?: string;
  readonly newest?: string;
  /** `--no-tags` makes it false. */
  readonly tags?: boolean;
  readonly peer?: readonly string[];
  readonly share?: boolean;
}

/** One text that was meant as a URL. */
export interface AskedUrl {
  readonly text: string;
  /** Why it cannot be one. */
  readonly refusal?: ClientError;
}

/** What is asked for: URLs, or a list. */
export interface Order {
  readonly urls: readonly AskedUrl[];
  /** A path, or "-" for the standard input. */
  readonly list?: string;
  readonly listName: string;
  readonly options: DownloadOptions;
}

/** @throws ClientError for options that make no sense, alone or together */
export function readOrder(urls: readonly string[], flags: OrderFlags, target: Target): Order {
  const { input } = flags;
  if (input === undefined && urls.length === 0)
    throw misuse("there is nothing to fetch", "Give one or more URLs, or a list with -i.");
  if (input !== undefined && urls.length > 0)
    throw misuse("URLs and a list (-i) do not go together", "Put the URLs into the list, or use two commands.");
  if (flags.peer !== undefined && input === undefined && !urls.some(isShareLink))
    throw misuse("--peer names who else is asked for a share, and no snatch:CODE is asked for");
  const several = input !== undefined || urls.length > 1;
  if (several && flags.output !== undefined)
    throw misuse("-o names one file, and this asks for several", "Name a folder with -d.");
  if (several && flags.checksum !== undefined)
    throw misuse("--checksum holds for one file, and this asks for several", "In a list, write `  checksum=` lines.");
  const local = target.address.kind === "unix" || target.address.loopback;
  return {
    urls: urls.map(checkUrl),
    ...(input !== undefined && { list: input === "-" ? input : resolve(input) }),
    listName: input === undefined || input === "-" ? "stdin" : basename(input),
    options: readOptions(flags, local),
  };
}

/** Only what no daemon could take; schemes are the daemon's to know. */
export function checkUrl(text: string): AskedUrl {
  if (isShareLink(text)) return checkCode(text);
  const hostAndPort = /^[\w.-]+:\d+(?:[/?#]|$)/.test(text);
  if (URL.canParse(text) && !hostAndPort) return { text };
  const meant = /^(?:localhost|127\.|\[::1\])/.test(text) ? `http://${text}` : `https://${text}`;
  const guess =
    /^(?:[^\s/:]+\.[^\s/:]+|localhost|\[[\da-f:]+\])(?::\d+)?(?:[/?#].*)?$/i.test(text) && URL.canParse(meant);
  const hint = guess ? `Did you mean ${redactUrl(meant)}?` : undefined;
  return { text, refusal: fail("INVALID_URL", `"${redactUrl(text)}" is not a URL`, hint) };
}

/** A slip of the pen is told before a daemon is started. */
function checkCode(text: string): AskedUrl {
  try {
    return { text: shareLink(readShareCode(text)) };
  } catch (error) {
    if (error instanceof ClientError) return { text: hideCode(text), refusal: error };
    throw error;
  }
}

function readOptions(flags: OrderFlags, local: boolean): DownloadOptions {
  const { checksum, connections, limit, maxRetries, retryDelay, timeout, ifExists } = flags;
  return DownloadOptions.fromPartial({
    directory: flags.dir === undefined ? "" : resolve(nonEmpty("-d", flags.dir)),
    output: flags.output === undefined ? "" : readOutput(flags.output, local),
    checksum: checksum === undefined ? undefined : readChecksum(checksum),
    headers: (flags.header ?? []).map(readHeader),
    connections: connections === undefined ? undefined : readCount("--connections", connections, 1),
    limitBytesPerSecond: limit === undefined ? undefined : option("--limit", () => parseBytes(limit)),
    maxRetries: maxRetries === undefined ? undefined : readCount("--max-retries", maxRetries, 0),
    retryDelay: retryDelay === undefined ? undefined : readDuration("--retry-delay", retryDelay),
    timeout: timeout === undefined ? undefined : readDuration("--timeout", timeout),
    ifExists: ifExists === undefined ? IfExists.UNSPECIFIED : IF_EXISTS[ifExists],
    force: flags.force ?? false,
    format: flags.format ?? "",
    quality: flags.quality ?? "",
    checksumFile: flags.checksumFile === undefined ? "" : nonEmpty("--checksum-file", flags.checksumFile),
    followMetalink: flags.metalink === false ? false : undefined,
    audio: flags.audio === undefined ? undefined : { names: [...readSteps(flags.audio)] },
    media: flags.media,
    template: flags.template === undefined ? "" : nonEmpty("--template", flags.template),
    subtitles: readSubtitles(flags),
    recordFor: flags.for === undefined ? undefined : readDuration("--for", flags.for),
    newest: flags.newest === undefined ? 0 : readCount("--newest", flags.newest, 1),
    tags: flags.tags === false ? false : undefined,
    peers: (flags.peer ?? []).map(readPeer),
    share: flags.share ?? false,
  });
}

/** "en,de" or "all". @throws ClientError */
function readSubtitles({ subs, embedSubs = false }: OrderFlags): { languages: string[]; embed: boolean } | undefined {
  if (subs === undefined) {
    if (embedSubs) throw misuse("--embed-subs says where subtitles go, not which", "Name languages with --subs en,de.");
    return undefined;
  }
  const languages = subs.split(",").map((tag) => tag.trim());
  const wrong = languages.find((tag) => !/^-?[\w*]{1,16}(-[\w*]{1,16})*$/.test(tag));
  if (wrong !== undefined)
    throw misuse(
      `--subs: "${wrong}" is no language`,
      "Write --subs en,pt-BR, --subs 'de-*', or --subs all,-live_chat.",
    );
  return { languages, embed: embedSubs };
}

function readSteps(text: string): readonly string[] {
  return option("--audio", () => audioSteps(text));
}

const IF_EXISTS = { rename: IfExists.RENAME, skip: IfExists.SKIP, overwrite: IfExists.OVERWRITE };

function nonEmpty(name: string, value: string): string {
  if (value === "") throw misuse(`${name} is empty`);
  return value;
}

function readOutput(value: string, local: boolean): string {
  const path = resolve(nonEmpty("-o", value));
  const folder = value.endsWith("/") || (local && statSync(path, { throwIfNoEntry: false })?.isDirectory());
  if (folder) throw misuse(`-o names a file, and ${value} is a folder`, `To keep the file's own name: -d ${value}`);
  return path;
}

/** "host:port", as it was written. @throws ClientError */
function readPeer(text: string): string {
  option("--peer", () => parseHostPort(text));
  return text.trim();
}

/** Hexadecimal digits of each digest. */
const DIGEST_LENGTH: Readonly<Record<string, number>> = { "sha-256": 64, "sha-512": 128, "sha-1": 40, md5: 32 };

/** Reads "sha-256=…" or "sha256=…". @throws ClientError */
export function readChecksum(text: string): { algorithm: string; value: string } {
  const [name = "", value = ""] = text.split(/=(.*)/s);
  const algorithm = name.toLowerCase().replace(/^sha-?(?=\d)/, "sha-");
  const length = DIGEST_LENGTH[algorithm];
  if (length === undefined)
    throw misuse(
      `--checksum: "${name}" is none of ${Object.keys(DIGEST_LENGTH).join(", ")}`,
      "Write --checksum sha-256=DIGEST.",
    );
  const digest = value.trim().toLowerCase();
  if (!/^[\da-f]*$/.test(digest) || digest.length !== length)
    throw misuse(
      `--checksum: a ${algorithm} digest has ${length} hexadecimal digits, and this has ${digest.length}: "${value}"`,
    );
  return { algorithm, value: digest };
}

/** Reads "Name: value" (RFC 9110 §5.1, §5.5). @throws ClientError */
export function readHeader(text: string): { name: string; value: string } {
  const match = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):[ \t]*(.*)$/s.exec(text);
  const value = match?.[2]?.trimEnd() ?? "";
  if (!match?.[1] || /[^\t\P{Cc}]/u.test(value))
    throw misuse(`--header: "${text}" is not a header field`, "Write --header 'Name: value'.");
  return { name: match[1], value };
}

/** A whole number. @throws ClientError */
export function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > 0x7fffffff)
    throw misuse(`${name}: "${text}" is not a whole number from ${least} on`);
  return value;
}

/** A duration as the wire has it. @throws ClientError */
export function readDuration(name: string, text: string): { seconds: number; nanos: number } {
  const value = option(name, () => parseDuration(text));
  const seconds = Math.floor(value);
  return { seconds, nanos: Math.round((value - seconds) * 1e9) };
}
