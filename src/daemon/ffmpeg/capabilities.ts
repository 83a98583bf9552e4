/**
 * What this FFmpeg can do: which parts it was built with, and whether a chain of filters really runs. A list of filters
 * says nothing of their options, so a chain is tried. Everything is remembered until the program changes.
 */
import { DownloadError } from "../core/errors.ts";
import type { ChainTrial, MediaPart, MediaRun } from "../core/media-tool.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { ask } from "./ask.ts";
import type { ProgramFinder } from "./find.ts";
import type { Runner } from "./run.ts";

/** Seconds of signal that a chain is tried with. */
const TRIAL_SECONDS = 0.1;
/** Chains that are remembered. */
const REMEMBERED = 1000;

/** The name in a line of `ffmpeg -encoders` and so on. */
const LINES: Readonly<Record<MediaPart, RegExp>> = {
  encoder: /^ [VAS][F.][S.][X.][B.][D.] (\S+)/gm,
  decoder: /^ [VAS][F.][S.][X.][B.][D.] (\S+)/gm,
  muxer: /^ [D ]E[d ]? +([^=\s]\S*)/gm,
  demuxer: /^ D[E ][d ]? +([^=\s]\S*)/gm,
  filter: /^ [T.][S.][C.]? +(\S+) +\S+->\S+/gm,
};

/** The names in a list that FFmpeg printed. */
function partsIn(part: MediaPart, output: string): ReadonlySet<string> {
  return new Set(Array.from(output.matchAll(LINES[part])).flatMap(([, names = ""]) => names.split(",")));
}

/** Answers what FFmpeg can do. */
export class Capabilities {
  readonly #finder: ProgramFinder;
  readonly #trials: Runner;
  readonly #clock: Clock;
  readonly #known = new Map<string, ReadonlySet<string> | string | undefined>();

  /** @param trials - runs the trials; not the one that others wait for */
  constructor(finder: ProgramFinder, trials: Runner, clock: Clock) {
    this.#finder = finder;
    this.#trials = trials;
    this.#clock = clock;
  }

  /** As in `MediaTool.has`. */
  async has(part: MediaPart, name: string, signal?: AbortSignal): Promise<boolean> {
    const { path, identity } = await this.#finder.find(signal);
    const parts = await this.#remember(`${identity}\n${part}`, async () =>
      partsIn(part, await ask(path, ["-hide_banner", `-${part}s`], this.#clock, signal)),
    );
    return parts.has(name);
  }

  /** As in `MediaTool.refusesChain`. */
  async refusesChain(chain: string, trial: ChainTrial): Promise<string | undefined> {
    const { identity } = await this.#finder.find(trial.signal);
    const { kind, sampleRate = 48_000, layout = "stereo", inputs = 1, signal } = trial;
    const key = [identity, kind, sampleRate, layout, inputs, chain].join("\n");
    const signals = `anoisesrc=d=${TRIAL_SECONDS}:a=0.1:r=${sampleRate},aformat=channel_layouts=${layout}`;
    const generate = kind === "audio" ? signals : `testsrc2=d=${TRIAL_SECONDS}:s=64x64:r=25`;
    const option = kind === "audio" ? "-filter:a" : "-filter:v";
    const run: MediaRun = {
      inputs: Array.from({ length: inputs }, () => ({ generate })),
      ...(inputs > 1 && { graph: chain }),
      output: { nothing: true, options: inputs > 1 ? [] : [option, chain] },
      ...(signal !== undefined && { signal }),
    };
    return this.#remember(key, async () => {
      try {
        await this.#trials.run(run);
        return undefined;
      } catch (error) {
        if (error instanceof DownloadError && error.code === "FFMPEG_FAILED") return reasonIn(error);
        throw error;
      }
    });
  }

  async #remember<T extends ReadonlySet<string> | string | undefined>(key: string, ask: () => Promise<T>): Promise<T> {
    if (this.#known.has(key)) return this.#known.get(key) as T;
    const answer = await ask();
    if (this.#known.size >= REMEMBERED) this.#known.delete(this.#known.keys().next().value ?? "");
    this.#known.set(key, answer);
    return answer;
  }
}

/** The first line says what is wrong, those behind it what followed from that. */
function reasonIn(error: DownloadError): string {
  const [first = error.message] = (error.metadata["log"] ?? "").split("\n");
  return (first === "" ? error.message : first).replace(/^(\[[^\]]*\] )+/, "");
}
