/**
 * What can be asked to be done to the audio of a file: the words that the RPCs, the steps of a download and the audio room
 * share. Behind `AudioWork` stands the room; nothing here knows how.
 */

/** How much noise is taken away. */
export type DenoiseStrength = "light" | "medium" | "heavy";

/** What audio is mostly made of. */
export type AudioContent = "speech" | "music" | "film";

/** How loud it is to become. */
interface LoudnessWish {
  /** LUFS (EBU R128). */
  readonly targetLufs?: number;
  /** dBTP. */
  readonly truePeak?: number;
}

/** One thing to do. What is absent is as the configuration has it. */
export type AudioOperation =
  | ({
      readonly kind: "normalize";
      /** `linear` changes the gain only, and limits peaks; `ebu` is FFmpeg's two-pass loudnorm. */
      readonly mode?: "linear" | "ebu";
      readonly preset?: "standard" | "podcast";
    } & LoudnessWish)
  | {
      readonly kind: "denoise";
      readonly strength?: DenoiseStrength;
      readonly preserveQuality?: boolean;
    }
  | { readonly kind: "upmix"; readonly content?: AudioContent | "auto" }
  | { readonly kind: "detect" }
  | { readonly kind: "validate" }
  | { readonly kind: "enhance" }
  | { readonly kind: "chain"; readonly filters: readonly string[] }
  | { readonly kind: "replaygain" }
  | {
      readonly kind: "analyze";
      /** Absolute path of the HTML report; absent: figures only. */
      readonly report?: string;
      /** Absolute path of another state of the same audio, to stand beside it as "after". */
      readonly after?: string;
    }
  | ({
      readonly kind: "process";
      readonly enhanceSurround?: boolean;
      /** Absent: noise is left alone. */
      readonly denoiseLevel?: DenoiseStrength;
    } & LoudnessWish);

/** A file and what to do to it. */
export interface AudioJob {
  /** Absolute. */
  readonly path: string;
  readonly operation: AudioOperation;
  /** Absolute; absent: beside the input, as `name.WHAT.flac`. */
  readonly output?: string;
  /** The result takes the input's place once it is proved. */
  readonly inPlace?: boolean;
  /** Replace another file that is there. */
  readonly overwrite?: boolean;
  /** Only say what would be done. */
  readonly dryRun?: boolean;
}

/** How far a job is. */
export interface AudioJobProgress {
  /** What it is at: "measuring". */
  readonly stage: string;
  /** Of the whole job, 0 to 100. */
  readonly percent?: number;
  readonly etaSeconds?: number;
}

/** What came of a job. */
export interface AudioOutcome {
  /** The file that was made; the input if nothing was. */
  readonly path: string;
  /** A file was made or changed. */
  readonly changed: boolean;
  /** What a person ought to know, in whole sentences. */
  readonly notes: readonly string[];
  /** False: what was looked for was found to be wrong (a damaged FLAC file). */
  readonly ok: boolean;
  /** Figures, as JSON could hold them; names in snake_case. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** A filter that chains can be made of. */
export interface AudioFilterInfo {
  readonly name: string;
  readonly description: string;
  /** Comes with Snatch; others came from the configuration or a plugin. */
  readonly builtIn: boolean;
  /** Why it cannot run with the FFmpeg that is here; absent: it can. */
  readonly problem?: string;
}

/** A filter that somebody adds. */
export interface AudioFilterDefinition {
  /** A chain of libavfilter with one input and one output. */
  readonly filter: string;
  readonly description?: string;
}

/** Takes filters; implemented by the audio room. */
export interface AudioFilterRegistry {
  /**
   * Adds a filter, or replaces one that was added. It can be used at once; if FFmpeg does not run it, it is taken away again.
   * @throws DownloadError INVALID_ARGUMENT for a name or a filter that is not allowed, or that FFmpeg does not run
   */
  registerFilter(name: string, definition: AudioFilterDefinition): Promise<void>;
}

/** Does it. */
export interface AudioWork extends AudioFilterRegistry {
  /** @throws DownloadError; the signal's reason. Nothing is left over, and the input is as it was */
  run(
    job: AudioJob,
    control: { readonly signal?: AbortSignal; readonly onProgress?: (progress: AudioJobProgress) => void },
  ): Promise<AudioOutcome>;
  /** All filters by name. */
  filters(signal?: AbortSignal): Promise<readonly AudioFilterInfo[]>;
}
