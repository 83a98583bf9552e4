/** Playlists of HLS as values (RFC 8216 §4.3). */
import type { Attributes } from "./hls-lines.ts";

/** A key as a playlist describes it (RFC 8216 §4.3.2.4). */
export interface PlaylistKey {
  readonly method: string;
  readonly format: string;
  /** As written: locked ones have schemes of their own. */
  readonly uri?: string;
  /** What `uri` is relative to. */
  readonly base: string;
  /** As written. */
  readonly iv?: string;
  readonly line: number;
}

/** An EXT-X-MAP: what has to be read before the segments can be. */
export interface PlaylistMap {
  readonly url: string;
  readonly range?: { readonly start: number; readonly end: number };
  readonly keys: readonly PlaylistKey[];
  readonly line: number;
}

/** A segment. */
export interface PlaylistSegment {
  readonly url: string;
  readonly line: number;
  /** Seconds. */
  readonly duration: number;
  /** `start` is absent where it is to follow from a segment before that is none of the same resource. */
  readonly range?: { readonly start?: number; readonly length: number };
  readonly discontinuity: boolean;
  /** It is missing at the origin, which says so. */
  readonly gap: boolean;
  /** Those that fit, of whatever kind; none: it is not encrypted. */
  readonly keys: readonly PlaylistKey[];
  readonly map?: PlaylistMap;
}

/** A media playlist. */
export interface MediaPlaylist {
  readonly kind: "media";
  readonly url: string;
  /** Seconds. */
  readonly targetDuration: number;
  /** Media sequence number of the first segment. */
  readonly sequence: number;
  /** Nothing will be added. */
  readonly ended: boolean;
  readonly type: "vod" | "event" | undefined;
  readonly segments: readonly PlaylistSegment[];
}

/** A variant, or a rendition of a group. */
export interface PlaylistEntry {
  readonly attributes: Attributes;
  /** Absent: a rendition that lies in the variant itself. */
  readonly url?: string;
  readonly line: number;
}

/** A master playlist. */
export interface MasterPlaylist {
  readonly kind: "master";
  readonly url: string;
  readonly variants: readonly PlaylistEntry[];
  readonly renditions: readonly PlaylistEntry[];
  readonly sessionKeys: readonly PlaylistKey[];
  readonly variables: ReadonlyMap<string, string>;
}
