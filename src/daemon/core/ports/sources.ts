/** Where bytes come from: origins, mirrors, stored files and peers alike. */
import type { PeerPath } from "../peers.ts";
import type { ResourceInfo, Session } from "../session.ts";
import type { PlacedFile } from "./files.ts";
import type { ByteSink, ByteTarget, HttpRequest, HttpResponse } from "./http.ts";

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
  /** @param listener - told when the first peer of a share is here or nobody will come any more (`true`: who waits is to look), or the last one has gone. @returns ends it */
  onPresence?(listener: (publicId: string, here: boolean) => void): () => void;
}

/** Shares finished files; implemented by the p2p room. */
export interface FileSharer {
  /** Shares a file that was fetched; one that came from peers under the code that it came by. @returns the share's public id */
  shareFetched(session: Pick<Session, "url" | "options">, placed: PlacedFile): Promise<string>;
}
