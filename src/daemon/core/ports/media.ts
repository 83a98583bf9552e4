/** What works on media. */
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
} from "../media-tool.ts";

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

/** Makes the steps that a request, or the configuration, wants. */
export interface StepFactory {
  /** @throws DownloadError INVALID_ARGUMENT if there is no step of such a name */
  steps(names: readonly string[]): readonly ProcessStep[];
}
