/** What callers of this room say and are told, whatever is done to the audio: how to follow it, where it goes, what came of it. */

/** How far a call is. */
export interface AudioProgress {
  /** What it is at: "measuring", "encoding". */
  readonly stage: string;
  /** Of the whole call, 0 to 100; absent where the length is not known. */
  readonly percent?: number;
  /** Of this stage. */
  readonly etaSeconds?: number;
}

/** Follows a call, and ends it. */
export interface AudioControl {
  /** The call rejects with its reason, when nothing of it is left. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: AudioProgress) => void;
}

/** Where a result goes; by default beside the input, as `name.WHAT.flac`. */
export interface OutputOptions {
  /** Path of the result; the ending of the name chooses the container. */
  readonly output?: string;
  /** The result takes the input's place, once it is proved; until then the input stays as it is. */
  readonly inPlace?: boolean;
  /** Replace another file that is there; default: TARGET_EXISTS. */
  readonly overwrite?: boolean;
  /** The result is going to take the input's place: fail rather than leave out anything that is in it. In place: always. */
  readonly whole?: boolean;
}

/** What came of a call. */
export interface AudioResult {
  /** The file that was made; the input itself if nothing was. */
  readonly path: string;
  /** False: there was nothing to do, and nothing was written. */
  readonly changed: boolean;
  /** What a person ought to know, in whole sentences. */
  readonly notes: readonly string[];
}
