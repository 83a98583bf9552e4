/**
 * What rooms need of each other, as interfaces. Rooms on floor 3 never import one another: each implements or is handed
 * one of these, and the composition root introduces them. Every port has one contract test that each implementation
 * passes (test/contract/).
 */
import type { DownloadError } from "./errors.ts";
import type { NumberedEvent, SessionEvent } from "./events.ts";
import type {
  ChainTrial,
  Container,
  Cover,
  MediaInfo,
  MediaJob,
  MediaMade,
  MediaPart,
  MediaRun,
  MediaRunResult,
  MediaToolVersion,
} from "./media-tool.ts";
import type { PeerPath } from "./peers.ts";
import type { Resolved } from "./plan.ts";
import type { Receipt, ReceiptChunk } from "./receipt.ts";
import type { Expansion, Media, MediaAbout, MediaChoice, MediaFormat } from "./resolved.ts";
import type {
  Checksum,
  Digest,
  DownloadOptions,
  DownloadRequest,
  IfExists,
  Progress,
  ResourceInfo,
  Session,
  SessionStatus,
  StoredFile,
} from "./session.ts";

// ── time and words ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Time, so that tests can hold it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. For timeouts and rates. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms` (any length); the returned function calls it off. Never keeps the process alive. */
  timer(ms: number, callback: () => void): () => void;
}

/** Structured log; the object comes first, as in pino. Secrets are the caller's to keep out. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

// ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How short memory is: 0 there is enough, 1 it is short, 2 it is very short. */
export type PressureLevel = 0 | 1 | 2;

/** Memory as it is now, in bytes. */
export interface MemoryReport {
  readonly level: PressureLevel;
  /** Resident memory of this process. */
  readonly processBytes: number;
  /** Whose limit is the nearest: "machine", or a control group's path. */
  readonly limitedBy: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** Says how short memory is. */
export interface MemoryPressure {
  readonly level: PressureLevel;
  /** There is work: memory is watched until it has ended. Cheap; to be called often. */
  wake(): void;
  /** Calls back when memory became shorter, and when work has ended: what is kept in reserve is to be let go. @returns ends it */
  onRelease(listener: () => void): () => void;
  /** Reads memory anew. */
  report(): MemoryReport;
}

// ── keys and values ─────────────────────────────────────────────────────────────────────────────────────────────────

/** One change of a batch. `space` names a sublevel. */
export type Write =
  | { readonly type: "put"; readonly space: string; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly space: string; readonly key: string };

/** Bounds of a scan, by UTF-8 order of the keys. */
export interface KeyRange {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** An ordered store of strings in named spaces. */
export interface KeyValue {
  get(space: string, key: string): Promise<string | undefined>;
  getMany(space: string, keys: readonly string[]): Promise<(string | undefined)[]>;
  entries(space: string, range?: KeyRange): AsyncIterable<readonly [key: string, value: string]>;
  /**
   * All or nothing, across spaces. Calls are applied in the order in which they were made; those that wait at the same
   * time share one write to the disk.
   * @param options.sync - resolve only when it survives a power cut; otherwise it survives the death of the process
   */
  write(writes: readonly Write[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Grows by one with every repair of a damaged database: whoever keeps derived entries then makes them anew. */
  readonly repairs?: number;
  /**
   * Gives back the room on the disk that deleted entries of a space take; other calls go on meanwhile. Absent where deleted
   * entries take none.
   * @returns bytes that the database is smaller now; 0 if it is not
   */
  compact?(space: string): Promise<number>;
}

// ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes bytes as they come. The buffer is only valid during the call: copy it. A promise holds the sender back. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** Takes bytes into memory of its own: they are received straight into it where that can be done. */
export interface ByteTarget {
  /** Room for the next bytes: never empty, and valid until `filled` is called or the transfer ends. Throws to break off. */
  space(): Uint8Array;
  /** So many bytes were put at the beginning of the last space. A promise holds the sender back; throws to break off. */
  filled(count: number): void | Promise<void>;
}

/** A request. */
export interface HttpRequest {
  readonly url: string;
  /** A POST is not redirected: whatever it carries was meant for its own URL. */
  readonly method?: "GET" | "HEAD" | "POST";
  /** Of a POST. It may be sent twice where a kept connection breaks before an answer. */
  readonly body?: string;
  /** Sent to the URL's own origin; fields that may be secret are dropped when a redirect leaves it. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  /** Milliseconds without a byte, before and inside the body. */
  readonly timeoutMs?: number;
  /** Follow redirects (RFC 9110 §15.4); default true. */
  readonly follow?: boolean;
  /** The URL of what named this one, if no person did: from a public host it may not lead into the private network. */
  readonly namedBy?: string;
  /** A caller over TCP wants it: only public places are asked, and without the logins of this machine's owner. */
  readonly remote?: true;
  /** The URL's host was outside of the private network before: it must still be. */
  readonly outside?: boolean;
}

/** An answer whose header section is here and whose body waits. Exactly one of its methods is called. */
export interface HttpResponse {
  readonly status: number;
  /** By lower-case name; repeated fields are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** After redirects. */
  readonly url: string;
  /** The URLs on the way, the first one included. */
  readonly chain: readonly string[];
  /** Links of the redirects on the way, as values of a Link field with absolute targets; absent: none. */
  readonly links?: readonly string[];
  /** SHA-256 of the certificate of the server that answered, lower-case hex; absent without TLS. */
  readonly certificate?: string;
  /** The host of the first URL is outside of the private network, as far as is known. */
  readonly outside?: boolean;
  /**
   * Hands the body to `sink`, in order, and resolves at its end. Rejects with NetworkError (CONNECTION_LOST, TRUNCATED,
   * TIMED_OUT …), with the signal's reason, or with what the sink threw; in each case the connection is closed.
   */
  pipe(sink: ByteSink): Promise<void>;
  /** The same, into memory of the target's: straight from the kernel where that can be done. */
  receive?(target: ByteTarget): Promise<void>;
  /**
   * As `pipe`, with its content codings (RFC 9110 §8.4) undone: for documents. Absent: it has none.
   *
   * @throws ResourceError CONTENT_CODING_UNKNOWN; NetworkError TRUNCATED or PROTOCOL_ERROR if a coding is broken
   */
  decoded?(sink: ByteSink): Promise<void>;
  /** The body as text, for small documents. @throws NetworkError PROTOCOL_ERROR if it is longer than `maxBytes` */
  text(maxBytes: number): Promise<string>;
  /** Drops the body. While `pipe` runs this ends it, with CANCELLED. */
  cancel(): void;
}

/** The client that everything which leaves by HTTP goes through. Statuses are not errors here. */
export interface HttpClient {
  /** Sends a request and resolves with the answer's head. @throws NetworkError */
  request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse>;
}

// ── where bytes come from ───────────────────────────────────────────────────────────────────────────────────────────

/** What a source is asked for. */
export interface RangeRequest {
  /** First byte. */
  readonly start: number;
  /** Exclusive; absent: to the end. */
  readonly end?: number;
  /** What the bytes must belong to; absent on the first request. A source that now has another version says so. */
  readonly expected?: ResourceInfo;
  readonly signal: AbortSignal;
}

/** An open range. Exactly one of `pipe` and `cancel` is called. */
export interface RangeStream {
  /** First byte that will come: `start` as asked, or 0 if the source knows no ranges. */
  readonly start: number;
  /** Where it will end (exclusive), if that is known; may be less than was asked for. */
  readonly end?: number;
  readonly resource: ResourceInfo;
  /** The URL of a Metalink that describes the resource, as the origin says (RFC 6249 §4). */
  readonly describedBy?: string;
  /** As in {@link HttpResponse.pipe}. */
  pipe(sink: ByteSink): Promise<void>;
  /** The same, straight into memory of the target's; absent where the source cannot do that. Called instead of `pipe`. */
  receive?(target: ByteTarget): Promise<void>;
  cancel(): void;
}

/**
 * Something that holds a resource's bytes: an HTTP origin, a mirror, a stored file, a peer.
 *
 * `open` throws ResourceError RESOURCE_CHANGED if `expected` is no longer what it has, ResourceError HTTP_* for the origin's
 * refusals, ResourceError RANGE_INVALID for an answer that does not fit what was asked, and NetworkError.
 */
export interface ChunkSource {
  /** For logs and hooks: a URL without secrets. */
  readonly id: string;
  open(request: RangeRequest): Promise<RangeStream>;
  /** By which ways bytes come, and came since it was made; absent where there is only one. */
  readonly via?: readonly PeerPath[];
  /**
   * Which bytes of what is missing had better be asked for next: of those that can be had now, those that the fewest hold. A
   * part of one of the gaps, or undefined if it does not matter, or if none of them can be had now. `open` waits where nobody
   * has what is asked for; meanwhile other gaps are asked about again and again.
   */
  choose?(gaps: readonly ByteRange[]): ByteRange | undefined;
  /** How many requests at once are of use; absent: that shows. */
  readonly lanes?: number;
  /** A chunk that came from here is not what its manifest says; it is asked for again. Whoever sent it is not to be asked. */
  reject?(chunk: ByteRange): void;
  /**
   * The fetch begins: what is here of the file may be given to others until the answer is disposed of. Only what is compared
   * with a manifest; the source knows whether that is wanted.
   */
  attach?(held: HeldPart): Disposable;
}

/** Bytes of a file; `end` is exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The part of a file that is here and proved, while it grows. */
export interface HeldPart {
  /** Chunks, by index. */
  readonly done: { has(index: number): boolean; keys(): Iterable<number> };
  readonly chunkSize: number;
  read(position: number, length: number): Promise<Uint8Array>;
  /** Calls back with the index of each chunk that is here from now on. @returns ends it */
  onGained(listener: (index: number) => void): () => void;
}

/** Makes the source of a URL. */
export interface SourceFactory {
  /** `options` as in {@link HttpRequest}. */
  http(url: string, options: Pick<HttpRequest, "headers" | "timeoutMs" | "namedBy" | "remote">): ChunkSource;
}

/** Makes the source of a file that peers hold; implemented by the p2p room. */
export interface PeerSources {
  /** @param url - `snatch:share/ID/INDEX`, as its resolver has named it */
  peer(url: string): ChunkSource;
  /** True while nobody is here who shares what the URL names: whoever wants it only waits. */
  seeking?(url: string): boolean;
  /** @param listener - told when the first peer of a share is here, or the last one has gone. @returns ends it */
  onPresence?(listener: (publicId: string, here: boolean) => void): () => void;
}

/** Shares finished files; implemented by the p2p room. */
export interface FileSharer {
  /** Shares a file that was fetched; one that came from peers under the code that it came by. @returns the share's public id */
  shareFetched(session: Pick<Session, "url" | "options">, placed: PlacedFile): Promise<string>;
}

/** A finished file in its place, and what its bytes are. */
export interface PlacedFile {
  readonly file: StoredFile;
  /** Bytes of every chunk but the last. */
  readonly chunkSize: number;
  /** SHA-256 of each chunk, lower-case hex. */
  readonly chunks: readonly string[];
  /** Digests of the whole that were compared with it, and right. */
  readonly digests: readonly Digest[];
}

/** A cache that may hold whole resources by digest; asked before an origin is. */
export interface DownloadCache {
  /** A source for bytes with this digest, if it has them all. */
  sourceFor(digest: { readonly algorithm: string; readonly value: string }): Promise<ChunkSource | undefined>;
  /** A finished file is in its place. What is written down is handed to the store in this turn. Never rejects. */
  placed?(file: PlacedFile): Promise<void>;
}

/** What is cached. */
export type CacheKind = "metadata" | "thumbnails" | "fragments" | "sessions";

/** What a cache holds of one kind. Uses are counted from the start on. */
export interface CacheKindStats {
  readonly kind: CacheKind;
  readonly entries: number;
  /** Bytes of the bodies; 0 for sessions. */
  readonly bytes: number;
  readonly maxBytes?: number;
  readonly maxEntries?: number;
  readonly hits: number;
  readonly misses: number;
  /** Left because of a limit. */
  readonly evicted: number;
  /** Dropped because the bytes were not those that had been stored. */
  readonly damaged: number;
}

/** What all caches hold. */
export interface CacheStats {
  readonly enabled: boolean;
  /** Where the bodies lie; absolute. */
  readonly directory: string;
  /** Each kind once; only sessions if the cache is off. */
  readonly kinds: readonly CacheKindStats[];
  readonly bytes: number;
  readonly maxBytes: number;
  /** Why it cannot be used now. */
  readonly problem?: string;
  /** When it was last cleaned and compacted, in milliseconds since the epoch; absent: not since the start. */
  readonly cleanedAt?: number;
  readonly compactedAt?: number;
}

/** What was given back. */
export interface CacheFreed {
  readonly entries: number;
  /** Of bodies, and of the database where it was compacted. */
  readonly bytes: number;
}

/** The records of sessions that are held in memory; implemented by the session room. */
export interface HotRecords {
  stats(): Omit<CacheKindStats, "kind">;
  /** Lets go of all that are neither active nor being written. @returns how many */
  clear(): number;
}

/**
 * The care for all caches; implemented by the cache room. What an active download uses stays in each case. The three that
 * change something wait for one another. Each throws CACHE_UNAVAILABLE if the cache is off or cannot be used.
 */
export interface CacheControl {
  stats(): Promise<CacheStats>;
  /** Removes what is stale. */
  clean(signal?: AbortSignal): Promise<CacheFreed>;
  /** Gives back room that is not used any more. */
  compact(signal?: AbortSignal): Promise<CacheFreed>;
  /** Removes all of a kind, or of all kinds. */
  clear(kind?: CacheKind, signal?: AbortSignal): Promise<CacheFreed>;
}

/** One kind of URL, and what it means. The first that claims a URL resolves it. */
export interface Resolver {
  readonly name: string;
  /**
   * The URL as sessions keep and show it, where it is itself a secret: that is then kept elsewhere, safe when this returns.
   * @throws DownloadError INVALID_URL
   */
  conceal?(url: string): string;
  /** @param options - of the request; absent where it is only asked whether such URLs can be fetched at all */
  claims(url: string, options?: DownloadOptions): boolean;
  /** @throws DownloadError */
  resolve(request: DownloadRequest, signal: AbortSignal): Promise<Resolved>;
  /** True if an answer of this media type has to be resolved, whatever its URL looked like. */
  claimsAnswer?(request: DownloadRequest, resource: ResourceInfo): boolean;
  /** What a description that the resource's origin named says of it; undefined if it is about something else. */
  describe?(
    url: string,
    request: DownloadRequest,
    resource: ResourceInfo,
    signal: AbortSignal,
  ): Promise<DescribedFile | undefined>;
}

/** A file that a Metalink describes. */
export interface DescribedFile {
  /** A relative path with forward slashes that leads nowhere else; empty if the description gives no usable name. */
  readonly name: string;
  /** http and https only, the best first; may be empty. */
  readonly urls: readonly string[];
  /** Bytes. */
  readonly size?: number;
  /** The strongest of those that can be compared. */
  readonly digest?: Digest;
}

/** An episode, or whatever else a feed brings. */
export interface FeedItem {
  /** What it is known by from one day to the next: its identifier, or else its address without what passes. */
  readonly key: string;
  readonly url: string;
  /** More places with the same bytes. */
  readonly mirrors: readonly string[];
  readonly about: MediaAbout;
  readonly checksum?: Checksum;
}

/** A feed that was read. */
interface Feed {
  readonly title?: string;
  /** The newest first; what brings no file is not among them. */
  readonly items: readonly FeedItem[];
}

/** Reads feeds; implemented by the resolve room. */
export interface FeedReader {
  /**
   * @param wanted - where an item can be had in several ways, the format and quality decide
   * @throws ResourceError FEED_INVALID; the signal's reason
   */
  read(
    document: { readonly bytes: Uint8Array; readonly url: string; readonly contentType?: string },
    wanted: Pick<DownloadOptions, "format" | "quality">,
    signal: AbortSignal,
  ): Promise<Feed>;
}

/** Reads a Metalink. @throws DownloadError METALINK_INVALID */
export type MetalinkReader = (document: string) => readonly DescribedFile[];

// ── where bytes go ──────────────────────────────────────────────────────────────────────────────────────────────────

/** A file under construction. It never bears the final name. */
export interface PartFile {
  readonly path: string;
  /**
   * Writes all of `bytes` at `position`. With `passing`, nobody reads them again soon: they need not stay in memory, and go
   * straight to the disk where page-aligned memory, position, length and the file system allow it.
   */
  write(bytes: Uint8Array, position: number, options?: { readonly passing: boolean }): Promise<void>;
  /** Reads `length` bytes at `position`; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Until this resolves, what was written may be lost in a power cut (fdatasync). */
  sync(): Promise<void>;
  /** Reserves room. @throws SystemResourceError DISK_FULL */
  reserve(size: number): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** A file whose bytes are looked at. */
export type ReadableFile = Pick<PartFile, "path" | "read" | "size" | "close">;

/** A target that is spoken for in this process, until it is disposed of. Disposing of it again does nothing. */
export interface Claim extends Disposable {
  readonly path: string;
}

/** Files and folders, as far as a download needs them. Every method throws FileSystemError or SystemResourceError. */
export interface FileStore {
  /** Opens a part file for reading and writing, `empty` without what is in it; makes it (0600 & ~umask bits for others) if it does not exist. */
  openPart(path: string, options?: { readonly empty?: boolean }): Promise<PartFile>;
  exists(path: string): Promise<boolean>;
  stat(path: string): Promise<{ size: number; mtimeMs: number; ino: number } | undefined>;
  /** Makes the folder with its parents, and checks that it can be written. */
  ensureDirectory(path: string): Promise<void>;
  /** Opens a file that is to be looked at only. */
  openRead(path: string): Promise<ReadableFile>;
  /**
   * The target for a name in a folder under a policy: the name made safe, cut by bytes, and, for "rename", made unique.
   * @throws FileSystemError TARGET_EXISTS under "skip", TARGET_BUSY if another holds it, TARGET_NOT_ALLOWED in a folder into
   *   which nothing is downloaded
   */
  claim(directory: string, name: string, policy: IfExists): Promise<Claim>;
  /** The same for a path that is taken literally. */
  claimPath(path: string, policy: IfExists): Promise<Claim>;
  /** Claims a path that an earlier run had; undefined if another holds it now, or if a file is there and may not be replaced. */
  reclaim(path: string, policy: IfExists): Promise<Claim | undefined>;
  /**
   * Gives a synced part file its final name: mtime, mode, rename, sync of the folder (in groups). Refuses to replace an
   * existing file unless `replace`.
   * @param options.mode - permission bits: those for execution are given to the file, as far as the user's mask allows
   * @returns the identity of the file in place
   */
  place(
    part: string,
    target: string,
    options: { mtimeMs?: number; mode?: number; replace: boolean },
  ): Promise<{ size: number; mtimeMs: number; ino: number }>;
  remove(path: string): Promise<void>;
  /** Sets the time of a file's last change, in milliseconds since the epoch. */
  setModified(path: string, mtimeMs: number): Promise<void>;
  /** Bytes free for this process in the folder's file system. @param maxAgeMs - how old the answer may be; default 0 */
  freeSpace(directory: string, maxAgeMs?: number): Promise<number>;
  /** A file's bytes, for digests. */
  readStream(path: string): AsyncIterable<Uint8Array>;
}

// ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What may change in a session. `undefined` removes the field. */
export type SessionPatch = { readonly [K in keyof Omit<Session, "id" | "seq" | "createdAt">]?: Session[K] | undefined };

/** When a change of a session is on the disk. */
export interface UpdateOptions {
  readonly sync?: boolean;
  /**
   * Visible at once, and written with the session's next change that is not lazy, or some 200 ms later: if the process
   * dies before that, the session is as it was. For what then costs no more than doing it again.
   */
  readonly lazy?: boolean;
}

/** Which sessions. */
export interface SessionFilter {
  readonly status?: SessionStatus;
  readonly statusNot?: SessionStatus;
  readonly batchId?: string;
  /** With `*` at the ends. */
  readonly url?: string;
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: readonly Session[];
  readonly nextPageToken?: string;
}

/** More for a batch of sessions that are made together. Everything is written in one atomic batch. */
export interface CreateOptions {
  readonly batchId?: string;
  /** Sessions that exist already and join the batch (the same URL to the same place was asked for before). */
  readonly adopt?: readonly string[];
  /** Called with the new sessions; what it returns is written in the same batch: the ledger of a list. */
  readonly with?: (created: readonly Session[]) => readonly Write[];
}

/** What is looked up in the archive: a URL, the place it was asked for (a file's path or else a folder's), and in which form. */
export interface ArchiveKey {
  readonly url: string;
  readonly target: string;
  /** Format, quality, name and steps that were asked for; absent if none were. */
  readonly variant?: string;
}

/**
 * A chunk whose bytes are proved. `sources`: where its bytes came from, as places in the part's list of sources. `segment`: of
 * one whose length no grid says.
 */
export type RecordedChunk = readonly [
  index: number,
  sha256: string,
  sources?: readonly number[],
  segment?: Omit<RecordedSegment, "sha256">,
];

/** A segment that was recorded. */
export interface RecordedSegment {
  readonly sha256: string;
  /** Bytes. */
  readonly length: number;
  /** Tells it from others of its track. */
  readonly name: string;
  /** Milliseconds of media; 0 if that is not known. */
  readonly durationMs: number;
}

/** Chunk digests of a session's current epoch, by index. */
export type ChunkDigests = ReadonlyMap<number, string>;

/** The record of all sessions: durable, ordered, observable. */
export interface SessionStore {
  /** Makes sessions, queued in this order behind all others, and resolves when they survive a power cut. */
  create(requests: readonly DownloadRequest[], options?: CreateOptions): Promise<Session[]>;
  get(id: string): Promise<Session | undefined>;
  /** Every batch of a session, the one that it was made in first; none if there is no such session. */
  batches(id: string): Promise<readonly string[]>;
  /** The one session whose id begins so. @throws DownloadError SESSION_NOT_FOUND, SESSION_AMBIGUOUS */
  find(idOrPrefix: string): Promise<Session>;
  /**
   * Changes a session. The status change is checked against the transitions. Resolves when the change survives the
   * death of the process, or with `sync` a power cut; the new value is visible to `get` at once.
   * @throws DownloadError SESSION_NOT_FOUND, WRONG_STATUS
   */
  update(id: string, patch: SessionPatch, options?: UpdateOptions): Promise<Session>;
  /**
   * Changes all sessions in a batch or a status (the filter names one), in order, some hundred at a time, each lot durable.
   * @param applies - asked with the newest value, in the same turn in which it is changed
   * @returns how many were changed
   * @throws DownloadError WRONG_STATUS if one to which it applies cannot be changed so
   */
  updateAll(filter: SessionFilter, patch: SessionPatch, applies: (session: Session) => boolean): Promise<number>;
  /** Keeps fresh progress for `get` and events without writing it: a restart recounts it from the chunks. */
  progress(id: string, downloadedBytes: number, totalBytes?: number, segments?: Progress["segments"]): void;
  /** Forgets sessions and everything kept with them. */
  remove(ids: readonly string[]): Promise<void>;
  list(filter: SessionFilter, page: { size: number; token?: string; reverse?: boolean }): Promise<SessionPage>;
  counts(): Readonly<Record<SessionStatus, number>>;

  /** The next queued sessions in queue order, at most `limit`, without those in `except`. */
  nextQueued(limit: number, except: ReadonlySet<string>): Promise<Session[]>;
  /** Waiting sessions whose time has come, at most `limit`. */
  due(now: number, limit: number): Promise<Session[]>;
  /** When the next waiting session's time comes. */
  nextDue(): Promise<number | undefined>;
  move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<void>;
  /** 1 for the next to start; undefined if it is not queued. */
  queuePosition(id: string): Promise<number | undefined>;

  /** Records chunks whose bytes are on disk and synced. Survives a power cut when it resolves. */
  recordChunks(id: string, epoch: number, chunks: readonly RecordedChunk[]): Promise<void>;
  chunks(id: string, epoch: number): Promise<ChunkDigests>;
  /** Segments of an epoch of a track, by index. */
  segments(id: string, epoch: number): Promise<ReadonlyMap<number, RecordedSegment>>;
  /** Which sources gave each chunk; empty for chunks of which nobody said so. */
  chunkSources(id: string, epoch: number): Promise<ReadonlyMap<number, readonly number[]>>;
  /** Drops every chunk of a session, of all epochs or of one. */
  dropChunks(id: string, epoch?: number): Promise<void>;

  /** For each key the session that last brought, or brings, that URL to that place. */
  archived(keys: readonly ArchiveKey[]): Promise<(Session | undefined)[]>;

  subscribe(listener: (event: NumberedEvent) => void): () => void;
}

/** What has to be done about events, written down in the very batch that changes the sessions: neither without the other. */
export interface Outbox {
  /** `make` is called with the events of each change before it is written; what it returns is written with it. @returns ends it */
  alongside(make: (events: readonly SessionEvent[]) => readonly Write[]): () => void;
}

/** A receipt that was carried out of a daemon. */
export interface CarriedReceipt {
  readonly receipt: Receipt;
  readonly chunks: readonly ReceiptChunk[];
}

/**
 * The receipts of finished files. A receipt is there from the moment in which its session is completed, and stays when the
 * session is forgotten, until it is forgotten itself or another download has put a file in the same place.
 */
export interface ReceiptStore {
  /** The newest receipt of a file that was put at this absolute path. */
  byPath(path: string): Promise<Receipt | undefined>;
  /** The receipt of the one session whose id begins so. @throws DownloadError RECEIPT_NOT_FOUND, SESSION_AMBIGUOUS */
  bySession(idOrPrefix: string): Promise<Receipt>;
  /** Receipts of files that had this inode number and size, wherever they lay; the newest first. */
  byIdentity(identity: Pick<StoredFile, "ino" | "size">): Promise<Receipt[]>;
  /** All but those whose file was replaced by a later download. */
  all(): AsyncIterable<Receipt>;
  /** The chunks of the file in place, in their order. @throws DownloadError RECEIPT_NOT_FOUND if it was forgotten meanwhile */
  chunks(receipt: Receipt): AsyncIterable<ReceiptChunk>;
  /** The file is somewhere else now, or has another identity. @throws DownloadError RECEIPT_NOT_FOUND */
  refile(receipt: Receipt, file: StoredFile): Promise<void>;
  /** Forgets a receipt, and its session with it if that is still known. The file stays. */
  forget(sessionId: string): Promise<void>;
  /** A receipt as JSON, in pieces. Secrets are in it, unless it was redacted. */
  write(receipt: Receipt): AsyncIterable<string>;
  /** Reads what {@link ReceiptStore.write} wrote. @throws DownloadError RECEIPT_INVALID */
  read(json: string): CarriedReceipt;
}

/** A chunk of a file that is not what the receipt says. */
export interface DamagedChunk {
  readonly index: number;
  /** First byte. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** It has other bytes; the file is too short for it; the disk does not give it. */
  readonly problem: "changed" | "missing" | "unreadable";
}

/** What became of one file. `damaged` counts chunks, also those that were repaired. */
export interface VerifyOutcome {
  /** "failed": it could not be looked at to its end, or a repair did not succeed; `error` says why. */
  readonly status: "whole" | "damaged" | "repaired" | "missing" | "failed";
  readonly receipt: Receipt;
  /** Where it is now. */
  readonly path: string;
  /** Bytes that it had when it was looked at; absent if it is missing. */
  readonly size?: number;
  readonly damaged: number;
  readonly repaired: number;
  /** Its time of change is not that of the receipt. */
  readonly touched: boolean;
  readonly error?: DownloadError;
}

/** What a verification tells of one file, in this order: begun, then chunks and progress, then done. */
export type VerifyEvent =
  | { readonly type: "begun"; readonly receipt: Receipt; readonly path: string }
  | { readonly type: "progress"; readonly path: string; readonly bytes: number; readonly total: number }
  | { readonly type: "damaged"; readonly path: string; readonly chunk: DamagedChunk }
  | { readonly type: "repaired"; readonly path: string; readonly chunk: DamagedChunk; readonly source: string }
  | { readonly type: "done"; readonly outcome: VerifyOutcome };

/** Which files: one by its path, one by its session, one by a receipt in a file of this machine, or all with receipts. */
export type VerifyTarget =
  | { readonly path: string }
  | { readonly sessionId: string }
  | { readonly receiptFile: string; readonly path?: string }
  | { readonly all: true };

/** How to verify. */
export interface VerifyOptions {
  /** Fetch what is damaged again. */
  readonly repair: boolean;
  /** Look for a file that was moved, by its inode number, size and time. */
  readonly findMoved: boolean;
  /** Asked before a file is written to. @throws DownloadError if the caller may not */
  mayWrite(path: string): Promise<void>;
  readonly signal: AbortSignal;
}

/** Holds files against their receipts; implemented by the download room. */
export interface FileVerifier {
  /**
   * Verifies, a file at a time. What is wrong with a file is told, not thrown.
   * @throws DownloadError RECEIPT_NOT_FOUND, RECEIPT_INVALID, SESSION_AMBIGUOUS, INVALID_ARGUMENT for a repair by a receipt in
   *   a file without a path; the signal's reason
   */
  verify(target: VerifyTarget, options: VerifyOptions): AsyncIterable<VerifyEvent>;
}

/** What an import did. */
export interface ImportOutcome {
  readonly imported: number;
  /** Here already; left alone. */
  readonly skipped: number;
  /** Why lines are no session; the first 100. */
  readonly refused: readonly string[];
}

/** Carries sessions out and back in, one line of JSON in the spec's session schema each; secrets included. */
export interface SessionTransfer {
  /** Lines without their line feed, in the order of creation. */
  exportLines(filter: SessionFilter): AsyncIterable<string>;
  importLines(lines: AsyncIterable<string>): Promise<ImportOutcome>;
}

// ── lists and watch folders ─────────────────────────────────────────────────────────────────────────────────────────

/** A line that did not become a request. */
export interface RefusedEntry {
  readonly lineNumber: number;
  readonly line: string;
  readonly code: string;
  readonly message: string;
}

/** A line of a list that became a request, or why it did not. `lineNumber` counts from 1. */
export type ListEntry =
  | { readonly lineNumber: number; readonly urls: readonly string[]; readonly options: DownloadOptions }
  | { readonly lineNumber: number; readonly line: string; readonly error: DownloadError };

/** What became of one accepted request: a new session, or one that exists for the same URL and place. */
export interface Accepted {
  readonly session: Session;
  /** False if the session was there before: unfinished and going on, or finished with its file unchanged. */
  readonly created: boolean;
}

/** Takes requests; implemented by the download manager. */
export interface Intake {
  /** Checks a request: URLs parse, options are in range, defaults are filled in. @throws DownloadError */
  check(urls: readonly string[], options: DownloadOptions): DownloadRequest;
  /**
   * Queues checked requests as one durable batch. The same URL to the same place is one session, whatever the number of
   * requests. Answers in the order of the requests; `options.with` gets those answers.
   */
  accept(requests: readonly DownloadRequest[], options?: AcceptOptions): Promise<readonly Accepted[]>;
}

/** More for requests that are accepted together. */
export interface AcceptOptions {
  readonly batchId?: string;
  /** Called with the answers before they are durable; what it returns is written in the same atomic batch. */
  readonly with?: (accepted: readonly Accepted[]) => readonly Write[];
}

/** Where the papers of a list go; all absolute. */
export interface ListFiles {
  /** The list itself, once it is taken. */
  readonly done: string;
  /** One line of JSON for each line of the list, appended as its outcome becomes known. */
  readonly report: string;
  /** The refused lines, if there are any. */
  readonly rejected: string;
}

/** A list to take. */
export interface ListJob {
  /** For people, such as the file's name. */
  readonly name: string;
  /** The whole list from its first byte: text, or gzip of it. Read once, as fast as it is taken in. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Defaults for lines that do not say otherwise. `directory` is also what relative names in the list are joined to. */
  readonly options: DownloadOptions;
  /** Made if absent. */
  readonly batchId?: string;
  /** Folders that lines may write to; absent: any. */
  readonly allowedDirectories?: readonly string[];
  /** For a list that outlives this process: what it is known by, and where its papers go. */
  readonly ledger?: { readonly key: string; readonly files: ListFiles };
  /** Stops between two batches; what was taken stays taken. */
  readonly signal?: AbortSignal;
}

/** What became of a list. */
export interface ListTaken {
  readonly batchId: string;
  /** Entries that became sessions or met one. */
  readonly accepted: number;
  readonly refused: number;
  /** The first hundred that this call refused. */
  readonly refusedLines: readonly RefusedEntry[];
  /** Where the papers really go: as asked for, or as an earlier call with the same key was told. */
  readonly files?: ListFiles;
}

/** Takes lists; implemented by the intake room. */
export interface ListTaker {
  /**
   * Takes a list to its end, in durable batches. With a ledger a call that was cut short, even by the death of the
   * process, is continued by the next one with the same key, at the byte where the last batch ended.
   * @throws what the bytes threw, or what the intake threw for a whole batch; refused lines are not thrown. DownloadError
   *   INVALID_ARGUMENT if a new list is to have the report of an unfinished one
   */
  take(job: ListJob): Promise<ListTaken>;
  /** The list with this key is out of the way: the same key now means a new list. Its report goes on. */
  settle(key: string): Promise<void>;
  /** Lists that were begun and never settled: this process is at them, or an earlier one died over them. */
  unsettled(): readonly { readonly key: string; readonly files: ListFiles }[];
  /** True if the report of an unfinished list goes to this file: another list must not be given it. */
  isReporting(report: string): boolean;
}

/** A folder in which a dropped list becomes downloads. */
export interface WatchFolderState {
  readonly path: string;
  /** Where its files go. */
  readonly directory: string;
  /** It comes from the configuration and cannot be removed. */
  readonly configured: boolean;
  /** Lists taken since the daemon started. */
  readonly listCount: number;
  /** Milliseconds since the epoch. */
  readonly lastListAt?: number;
  /** Why it is not watched now. */
  readonly problem?: string;
}

/** The folders that are watched; implemented by the watch room. Paths are absolute. */
export interface WatchFolderControl {
  list(): readonly WatchFolderState[];
  /** Makes the folder if it does not exist. @throws DownloadError WATCH_FOLDER_INVALID and those of the file system */
  add(path: string, directory?: string): Promise<WatchFolderState>;
  /** @throws DownloadError WATCH_FOLDER_INVALID if it is not watched, or configured */
  remove(path: string): Promise<void>;
}

/** How a feed is followed. */
export interface FeedSettings {
  /** Milliseconds between two polls. */
  readonly everyMs: number;
  /** Only the newest so many episodes count; absent: all. */
  readonly keep?: number;
  /** Of the episodes that are there at the first poll: the newest so many; absent: as many as are kept. */
  readonly newest?: number;
  /** Files that it brought are removed when they are not among the newest `keep` any more, unless they were changed. */
  readonly deleteOld: boolean;
  /** Of its downloads. */
  readonly options: DownloadOptions;
}

/** A feed that is followed. Times are milliseconds since the epoch. */
export interface FeedState extends FeedSettings {
  /** Also the batch of its sessions. */
  readonly id: string;
  /** With credentials, if it has any. */
  readonly url: string;
  readonly title?: string;
  readonly lastPollAt?: number;
  readonly nextPollAt: number;
  /** Why the last poll failed. */
  readonly problem?: string;
  /** Episodes that it has brought so far. */
  readonly episodeCount: number;
}

/** What a poll found. */
export interface FeedPolled {
  readonly feed: FeedState;
  /** New episodes. */
  readonly newCount: number;
  /** Files that were removed. */
  readonly removedCount: number;
}

/** The feeds that are followed; implemented by the feeds room. Feeds are named by URL, or by an unambiguous beginning of an id. */
export interface FeedControl {
  list(): readonly FeedState[];
  /** Follows a feed; the first poll is at once, in the background. One that is followed already is followed so from now on. */
  add(url: string, settings: FeedSettings): Promise<FeedState>;
  /** What it brought stays. @throws DownloadError FEED_NOT_FOUND */
  remove(feed: string): Promise<void>;
  /** Asks now: one feed, or all. What goes wrong is in the feed's `problem`. @throws DownloadError FEED_NOT_FOUND */
  poll(feed: string | undefined, signal: AbortSignal): Promise<readonly FeedPolled[]>;
}

// ── steering ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Names sessions: ids (or unambiguous beginnings), all that the call can apply to, or all of a batch. */
export type Selection = { readonly ids: readonly string[] } | { readonly all: true } | { readonly batchId: string };

/** What a steering call did. `sessions` are those asked for by id, as they are now. */
export interface SteerOutcome {
  readonly changed: number;
  readonly sessions: readonly Session[];
}

/** What an active session does at this moment; never written down. */
export interface LiveProgress {
  readonly bytesPerSecond: number;
  readonly connections: number;
  /** Received, not yet on disk and proved. */
  readonly pendingBytes: number;
  /** By which ways the bytes come, where they come from peers. */
  readonly via?: readonly PeerPath[];
}

/** Steers downloads; implemented by the download manager. Each throws SESSION_NOT_FOUND, SESSION_AMBIGUOUS, WRONG_STATUS. */
export interface Downloads extends Intake {
  /** Stops; what is on disk stays. */
  pause(selection: Selection): Promise<SteerOutcome>;
  /** Queues paused and waiting sessions again. */
  resume(selection: Selection): Promise<SteerOutcome>;
  /** Calls off and removes part files. */
  cancel(selection: Selection): Promise<SteerOutcome>;
  /** Queues failed and cancelled sessions again, with attempts counted from zero. */
  retry(selection: Selection): Promise<SteerOutcome>;
  /** Forgets, calling off what is unfinished; finished files stay. The sessions returned are as they were before. */
  remove(selection: Selection): Promise<SteerOutcome>;
  move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<Session>;
  /** Bytes a second, 0 for unlimited; of one session, or of the whole daemon. @returns the limit in force */
  setLimit(bytesPerSecond: number, sessionId?: string): Promise<number>;
  limit(): number;
  live(id: string): LiveProgress | undefined;
  /** Bytes a second, all downloads. */
  rate(): number;
}

// ── media ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What runs FFmpeg; implemented by the ffmpeg room. Every method throws SystemResourceError FFMPEG_MISSING or
 * FFMPEG_TOO_OLD, and the signal's reason when it was aborted and nothing of it is left.
 */
export interface MediaTool {
  /** The FFmpeg that is used; cheap after the first call. */
  version(signal?: AbortSignal): Promise<MediaToolVersion>;
  /** Whether this build has a part. */
  has(part: MediaPart, name: string, signal?: AbortSignal): Promise<boolean>;
  /** Tries a chain of filters for a tenth of a second; remembered. @returns why it does not run, undefined if it does */
  refusesChain(chain: string, trial: ChainTrial): Promise<string | undefined>;
  /**
   * Runs FFmpeg once, when its turn comes.
   * @throws DownloadError FFMPEG_FAILED with its last lines, FFMPEG_TIMED_OUT; TARGET_EXISTS, DISK_FULL and what else files can throw
   */
  run(run: MediaRun): Promise<MediaRunResult>;
  /** What a file holds. @param format - demuxer, where it is known. @throws ResourceError MEDIA_INVALID */
  probe(path: string, options?: { readonly format?: string; readonly signal?: AbortSignal }): Promise<MediaInfo>;
  /** The picture that stands for a file, as it is in it; undefined if there is none. */
  cover(path: string, signal?: AbortSignal): Promise<Cover | undefined>;
  /** The container for these tracks as they are: the one wanted if it can hold them, else "mkv" (or "mka"). */
  containerFor(tracks: readonly MediaInfo[], wanted?: Container): Container;
  /**
   * Makes a file of tracks: remuxes, merges, encodes audio anew, puts in tags, chapters, cover and subtitles. The result is
   * read back, and has its name only if it has all tracks in their whole length.
   * @throws ResourceError MEDIA_UNFIT if the container cannot hold a track, MEDIA_INVALID; and what `run` throws
   */
  make(job: MediaJob): Promise<MediaMade>;
}

/** A step that works on a finished file: on a copy, so that what was fetched and proved stays as it is. */
export interface ProcessStep {
  /** For people, the log and the receipt. */
  readonly name: string;
  /**
   * Makes a new file of `input`, at `output` with an ending of the step's choice; nothing is left there if it throws.
   * @param input - an absolute path; `name` is what the file is going to be called
   * @returns the new file, or undefined if there was nothing to do
   */
  run(
    input: { readonly path: string; readonly name: string },
    output: string,
    control: { readonly signal: AbortSignal; readonly onProgress?: (percent: number) => void },
  ): Promise<{ readonly path: string; readonly ext?: string; readonly notes?: readonly string[] } | undefined>;
}

/** Small pictures that stand for media. */
export interface Thumbnails {
  /**
   * A picture, proved to be one by its bytes.
   * @throws ResourceError IMAGE_INVALID, IMAGE_TOO_LARGE; what fetching it throws
   */
  picture(
    url: string,
    options: { readonly namedBy?: string; readonly remote?: true; readonly signal: AbortSignal },
  ): Promise<{ readonly type: string; readonly bytes: Uint8Array }>;
}

/** In which formats media can be had. */
export interface FormatList {
  readonly media: Media;
  /** The best first, by what was asked for. */
  readonly formats: readonly MediaFormat[];
  /** What would be fetched; empty if there is a refusal. */
  readonly choices: readonly MediaChoice[];
  /** Why nothing of it would be fetched. */
  readonly refusal?: DownloadError;
}

/** Says in which formats media can be had; implemented with the resolvers. */
export interface FormatLister {
  /**
   * Looks at what a URL leads to; fetches no format.
   *
   * @returns the formats, or the things of which each has its own
   * @throws DownloadError FORMAT_INVALID; ResourceError MEDIA_NOT_FOUND if it is a file by itself; what resolving throws
   */
  list(request: DownloadRequest, signal: AbortSignal): Promise<FormatList | Expansion>;
}

/** Makes the steps that a request, or the configuration, wants. */
export interface StepFactory {
  /** @throws DownloadError INVALID_ARGUMENT if there is no step of such a name */
  steps(names: readonly string[]): readonly ProcessStep[];
}

// ── the house itself ────────────────────────────────────────────────────────────────────────────────────────────────

/** What a check found. */
export interface CheckOutcome {
  readonly status: "ok" | "warning" | "failed" | "skipped";
  readonly message: string;
  /** What to do. */
  readonly fix?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** Something that can be examined: each room exports its own; doctor and `initializeConfig` gather them. */
export interface Check {
  /** Stable, snake_case. */
  readonly id: string;
  readonly title: string;
  /** Must not throw and must heed the signal. */
  run(signal: AbortSignal): Promise<CheckOutcome>;
}

/** A check's outcome with its name. */
export interface CheckReport extends CheckOutcome {
  readonly id: string;
  readonly title: string;
}

/** One change that a reload made. Values as JSON; secrets as "***". */
export interface ConfigChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  readonly needsRestart: boolean;
}

/** One value of the configuration in force. */
export interface ConfigValue {
  readonly key: string;
  readonly json: string;
  readonly origin: "default" | "file" | "environment" | "flag";
  readonly originDetail: string;
  readonly needsRestart: boolean;
}

/** What the RPC room may do to the daemon. */
export interface DaemonControl {
  readonly version: string;
  readonly startedAt: number;
  readonly addresses: readonly string[];
  readonly paths: {
    readonly configFile: string;
    readonly stateDir: string;
    readonly logFile: string;
    readonly downloadDir: string;
  };
  config(): readonly ConfigValue[];
  /** All or none. `null` takes a key out of the file. @throws DownloadError CONFIG_INVALID */
  setConfig(values: Readonly<Record<string, unknown>>): Promise<readonly ConfigChange[]>;
  /** @throws DownloadError CONFIG_INVALID; the configuration in force then stays */
  reload(): Promise<readonly ConfigChange[]>;
  check(ids: readonly string[], signal: AbortSignal): Promise<readonly CheckReport[]>;
  /** Begins the end and returns at once. */
  shutdown(reason: string): void;
}
