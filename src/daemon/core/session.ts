/**
 * A session: one URL on its way to one file, from the moment it was accepted. Plain readonly values; a change is a new
 * value. The transitions that a status allows are written down here and nowhere else.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { type DownloadError, failure } from "./errors.ts";
import type { Manifest } from "./manifest.ts";
import type { PeerPath } from "./peers.ts";
import type { Candidate } from "./plan.ts";
import type { MediaAbout } from "./resolved.ts";

/** Where a session stands. */
export type SessionStatus = "queued" | "waiting" | "active" | "paused" | "completed" | "failed" | "cancelled";

/** What an active session is doing, in this order. */
export type Stage = "resolve" | "plan" | "fetch" | "verify" | "process" | "store" | "publish";

/** What a share is: one file, or a folder of files. */
export type ShareKind = "file" | "folder";

/** What to do about a file that is there already and is not this session's. */
export type IfExists = "rename" | "skip" | "overwrite";

/** The algorithms of `--checksum`. */
export type ChecksumAlgorithm = "sha-256" | "sha-512" | "sha-1" | "md5";

/** The digest that a whole file must have; `value` is lower-case hex. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
}

/** Algorithms of the digests that origins send; the last one finds accidents only. */
export type DigestAlgorithm = ChecksumAlgorithm | "crc32c";

/** What somebody else says the whole file's digest is; `value` is lower-case hex. */
export interface Digest {
  readonly algorithm: DigestAlgorithm;
  readonly value: string;
  /** Who says so, for people: a header field, a checksum file, a Metalink. */
  readonly from: string;
}

/** What the caller asked for. Absent means the configuration's default. */
export interface DownloadOptions {
  /** Absolute folder; ignored if `output` is set. */
  readonly directory?: string;
  /** Absolute path, literal. */
  readonly output?: string;
  readonly checksum?: Checksum;
  /** URL of a checksum file that names the file, or "auto": one beside it is looked for. */
  readonly checksumFile?: string;
  /** Bytes that the whole file must have; lists that describe their files say so. */
  readonly size?: number;
  /** False: a Metalink is itself the file that is wanted. */
  readonly followMetalink?: boolean;
  /** Sent to the URL's own origin only. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  /** Connections at once, at most. */
  readonly connections?: number;
  /** Bytes a second; 0 is unlimited. */
  readonly limit?: number;
  readonly maxRetries?: number;
  /** Seconds. */
  readonly retryDelay?: number;
  /** Seconds without a byte. */
  readonly timeout?: number;
  readonly ifExists?: IfExists;
  readonly force?: boolean;
  /** A selector of formats in yt-dlp's grammar, or a preset's name. */
  readonly format?: string;
  /** A target, such as `320k` or `720p`. */
  readonly quality?: string;
  /** False: what a page, playlist or feed names is not looked for, it is itself the file. True: it is in any case. */
  readonly media?: boolean;
  /** The file's name, with fields in yt-dlp's words; may name folders below the directory. */
  readonly template?: string;
  /** Languages of subtitles, or "all"; `embed` puts them into the file, else they lie beside it. */
  readonly subtitles?: { readonly languages: readonly string[]; readonly embed: boolean };
  /** Seconds for which a live stream is recorded. */
  readonly recordFor?: number;
  /** Of a playlist or feed: the newest so many. */
  readonly newest?: number;
  /** Tags, chapters and cover; default true. */
  readonly tags?: boolean;
  /** Steps of audio processing, in order, by name. */
  readonly audio?: readonly string[];
  /** The document that named the URL, if no person did. */
  readonly namedBy?: string;
  /** What that document says of it. */
  readonly about?: MediaAbout;
  /** Documents between a person and the URL. */
  readonly depth?: number;
  /** A caller over TCP asked for it: only public places are asked, and without the logins of this machine's owner. */
  readonly remote?: true;
  /** Of a `snatch:` URL: peers that are asked besides those that are found, each "host:port". */
  readonly peers?: readonly string[];
  /** The finished file is shared; what came from peers is shared on under the code that it came by. */
  readonly share?: boolean;
}

/** A request that was checked: its URLs parse, its options are in range. */
export interface DownloadRequest {
  readonly url: string;
  /** More places with the same bytes. */
  readonly mirrors: readonly string[];
  readonly options: DownloadOptions;
}

/** How far a session has come, in bytes that are on disk and proved. */
export interface Progress {
  readonly downloadedBytes: number;
  readonly totalBytes?: number;
  /** Of media that comes in segments. The total is absent while a live stream goes on. */
  readonly segments?: { readonly done: number; readonly total?: number };
}

/** The answer that a resource was first seen in. */
interface AnswerInfo {
  /** When its head came, in milliseconds since the epoch. */
  readonly at: number;
  /** The URLs on the way to it, the last one left out; absent if nothing redirected. With their secrets. */
  readonly redirects?: readonly string[];
  /** SHA-256 of the server's certificate, lower-case hex; absent without TLS. */
  readonly certificate?: string;
}

/** What the engine knows of the resource behind the URL: enough to go on after a restart, and to notice a change. */
export interface ResourceInfo {
  /** After redirects. */
  readonly finalUrl: string;
  /** Bytes of the whole; absent while unknown. */
  readonly size?: number;
  /** The origin answered a range with a right 206. */
  readonly ranges: boolean;
  /** The entity tag as received, weak ones too (RFC 9110 §8.8.3). */
  readonly etag?: string;
  /** The Last-Modified field as received. */
  readonly lastModified?: string;
  /** The value for If-Range: a strong entity tag, or a Last-Modified that is strong by RFC 9110 §8.8.2.2. */
  readonly strongValidator?: string;
  readonly contentType?: string;
  /** A coding other than identity: such a body is never fetched by ranges. */
  readonly contentEncoding?: string;
  /** The name that Content-Disposition gives, decoded, not yet made safe. */
  readonly filename?: string;
  /** Digests of the whole that the origin sent, the strongest first. */
  readonly digests?: readonly Digest[];
  /** More places with the same bytes, as the origin says (RFC 6249), the best first. */
  readonly mirrors?: readonly string[];
  /** Nobody said how long it is: the body ended with its connection, which may have been too early (RFC 9112 §6.3). */
  readonly lengthUnverified?: boolean;
  /** Permission bits that whoever shared the file gave it; only those for execution are heeded. */
  readonly mode?: number;
  readonly answer?: AnswerInfo;
}

/** What is known of the content, in the words of the spec. */
export interface Metadata {
  readonly title?: string;
  readonly format?: string;
  readonly quality?: string;
}

/** The part file and its grid; fixed when the fetch begins, changed only with a new epoch. */
export interface PartState {
  readonly path: string;
  readonly chunkSize: number;
  /** Counts the versions of the resource that were begun; chunks of an older epoch are never used. */
  readonly epoch: number;
  /** The candidates' URLs, the first being the one whose version it is; with credentials if they had any. */
  readonly sources?: readonly string[];
  /** Of media: where its tracks are collected, each in a file of its own. `path` is then what is made of them. */
  readonly tracks?: readonly TrackState[];
}

/** A track on its way. Its segments are recorded like chunks, each with its length, in an epoch of the track's own. */
export interface TrackState {
  readonly path: string;
  readonly epoch: number;
  /** Tells one list of segments from another: with a different one the track begins again. */
  readonly identity: string;
}

/** The finished file, as it was when it was put in place. */
export interface StoredFile {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
}

/** Why a session waits or failed. */
export interface SessionError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** One URL on its way to one file. Times are milliseconds since the epoch. */
export interface Session {
  /** UUID version 4. */
  readonly id: string;
  /** Order of creation. */
  readonly seq: number;
  readonly batchId?: string;
  /** As asked for, with credentials if it had any: redact before showing. */
  readonly url: string;
  readonly mirrors: readonly string[];
  readonly options: DownloadOptions;
  readonly status: SessionStatus;
  readonly stage?: Stage;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly completedAt?: number;
  /** Attempts begun since a person last queued it. */
  readonly attempt: number;
  /** While waiting. */
  readonly nextAttemptAt?: number;
  readonly progress: Progress;
  readonly metadata: Metadata;
  readonly resource?: ResourceInfo;
  readonly part?: PartState;
  /** The final path, once planned. */
  readonly target?: string;
  readonly file?: StoredFile;
  /** Root of the file's manifest. Set when all of it is verified and synced, before the file gets its name. */
  readonly manifestRoot?: string;
  /** Digests of the whole that were compared with it, and right. Set with the root. */
  readonly digests?: readonly Digest[];
  /** The bytes as they came, where a step made the file out of them: then the two differ. */
  readonly sourceManifest?: Omit<Manifest, "chunks">;
  /** The URL meant several things: they became sessions of this batch, and there is no file. */
  readonly expansion?: { readonly batchId: string; readonly count: number };
  /** Where a hook sent the next attempt, before all other places. */
  readonly detour?: Candidate;
  /** By which ways the bytes came, where they came from peers. */
  readonly via?: readonly PeerPath[];
  /** Public id of the share that was made of the finished file. */
  readonly shareId?: string;
  /** The file was there already; nothing was fetched. */
  readonly already?: boolean;
  readonly error?: SessionError;
}

/**
 * Where each status may lead. Nothing leads from active to queued: whoever queues a session that another has started
 * meanwhile is told so, instead of having it run twice.
 */
export const TRANSITIONS: Readonly<Record<SessionStatus, readonly SessionStatus[]>> = {
  queued: ["active", "paused", "cancelled", "failed"],
  waiting: ["queued", "active", "paused", "cancelled", "failed"],
  active: ["waiting", "paused", "completed", "failed", "cancelled"],
  paused: ["queued", "cancelled"],
  completed: [],
  failed: ["queued", "cancelled"],
  cancelled: ["queued"],
};

/** True for an end that needs a person to leave. */
export function hasEnded(status: SessionStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Checks a change of status. @throws DownloadError WRONG_STATUS */
export function assertTransition(session: Pick<Session, "id" | "status">, to: SessionStatus): void {
  if (session.status !== to && !TRANSITIONS[session.status].includes(to))
    throw failure("WRONG_STATUS", `session ${session.id} is ${session.status} and cannot become ${to}`, {
      metadata: { session_id: session.id, status: session.status },
    });
}

/** An error as a session keeps it. */
export function sessionError(error: DownloadError, time: number): SessionError {
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    ...(Object.keys(error.metadata).length > 0 && { metadata: error.metadata }),
    time,
  };
}
