/** The `MediaTool` of the house, over the one runner. */
import { availableParallelism } from "node:os";
import { failure } from "../core/errors.ts";
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
} from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { Capabilities } from "./capabilities.ts";
import { containerFor } from "./containers.ts";
import { ProgramFinder } from "./find.ts";
import { make } from "./make.ts";
import { probe } from "./probe.ts";
import { Runner } from "./run.ts";

/** Milliseconds that a trial of a chain may take. */
const TRIAL_MS = 30_000;

/** How FFmpeg is run. */
export interface FfmpegOptions {
  /** Path or name; "" is the ffmpeg in PATH. */
  readonly path: string;
  /** Processes at once; 0: as many as there are cores. */
  readonly processes: number;
  /** Milliseconds that a run may take. */
  readonly timeoutMs: number;
}

/** Runs FFmpeg for everybody. Disposed of, it ends what runs and waits for it. */
export class FfmpegTool implements MediaTool, AsyncDisposable {
  readonly #finder: ProgramFinder;
  readonly #runner: Runner;
  readonly #trials: Runner;
  readonly #capabilities: Capabilities;
  readonly #clock: Clock;
  readonly #end = new AbortController();

  constructor({ path, processes, timeoutMs }: FfmpegOptions, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#finder = new ProgramFinder(path, clock);
    const deps = { finder: this.#finder, clock };
    this.#runner = new Runner({ processes: processes === 0 ? availableParallelism() : processes, timeoutMs }, deps);
    // Whoever asks whether a chain runs does not wait behind an hour of encoding.
    this.#trials = new Runner({ processes: 2, timeoutMs: TRIAL_MS }, deps);
    this.#capabilities = new Capabilities(this.#finder, this.#trials, clock);
  }

  async version(signal?: AbortSignal): Promise<MediaToolVersion> {
    const { path, version } = await this.#finder.find(signal);
    return { path, version };
  }

  has(part: MediaPart, name: string, signal?: AbortSignal): Promise<boolean> {
    return this.#capabilities.has(part, name, signal);
  }

  refusesChain(chain: string, trial: ChainTrial): Promise<string | undefined> {
    return this.#capabilities.refusesChain(chain, trial);
  }

  run(run: MediaRun): Promise<MediaRunResult> {
    return this.#runner.run(run);
  }

  async probe(
    path: string,
    options: { readonly format?: string; readonly signal?: AbortSignal } = {},
  ): Promise<MediaInfo> {
    const given = options.signal === undefined ? [] : [options.signal];
    const signal = AbortSignal.any([this.#end.signal, ...given]);
    const { ffprobe } = await this.#finder.find(signal);
    return probe(ffprobe, path, { ...options, signal, clock: this.#clock });
  }

  async cover(path: string, signal?: AbortSignal): Promise<Cover | undefined> {
    const limited = signal === undefined ? {} : { signal };
    const { streams } = await this.probe(path, limited);
    const picture = streams.find(({ attachedPicture }) => attachedPicture);
    if (picture === undefined) return undefined;
    const pieces: Uint8Array[] = [];
    await this.run({
      ...limited,
      inputs: [{ path }],
      output: {
        sink: (bytes) => void pieces.push(bytes),
        format: "image2pipe",
        options: ["-map", `0:${picture.index}`, "-c", "copy", "-frames:v", "1"],
      },
    });
    return { bytes: Buffer.concat(pieces) };
  }

  containerFor(tracks: readonly MediaInfo[], wanted?: Container): Container {
    return containerFor(tracks, wanted);
  }

  make(job: MediaJob): Promise<MediaMade> {
    return make(this, job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(failure("SHUTTING_DOWN", "the daemon is ending"));
    await Promise.all([this.#runner[Symbol.asyncDispose](), this.#trials[Symbol.asyncDispose]()]);
  }
}
