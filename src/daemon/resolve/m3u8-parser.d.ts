/** The part of m3u8-parser 7 that is used: a media playlist's segments. It comes without types. */
declare module "m3u8-parser" {
  /** A segment, in the order of the playlist. */
  interface ParsedSegment {
    readonly uri?: string;
    /** Seconds. */
    readonly duration?: number;
    readonly byterange?: { readonly length?: number; readonly offset?: number };
    readonly discontinuity?: boolean;
  }
  interface ParsedPlaylist {
    /** Seconds. */
    readonly targetDuration?: number;
    readonly mediaSequence?: number;
    readonly playlistType?: string;
    readonly endList?: boolean;
    readonly segments: readonly ParsedSegment[];
  }
  export class Parser {
    readonly manifest: ParsedPlaylist;
    /** Takes text; whole lines are read at once. */
    push(text: string): void;
    end(): void;
  }
}
