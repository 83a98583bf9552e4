/** Progress of a call that is made of several runs of FFmpeg, as one that only goes forward. */
import type { MediaProgress } from "../core/media-tool.ts";
import type { AudioProgress } from "./types.ts";

/** Shares the hundred percent out among stages. */
export class StageProgress {
  readonly #onProgress: ((progress: AudioProgress) => void) | undefined;
  readonly #names: readonly string[];
  #highest = 0;

  /** @param names - in their order; all are taken to be equally long */
  constructor(onProgress: ((progress: AudioProgress) => void) | undefined, names: readonly string[]) {
    this.#onProgress = onProgress;
    this.#names = names;
  }

  /**
   * Takes the progress of a run.
   * @param part - which part of the stage the run is: [0, 1] is all of it
   */
  report(stage: string, part: readonly [from: number, to: number] = [0, 1]): (progress: MediaProgress) => void {
    const index = Math.max(0, this.#names.indexOf(stage));
    const share = 100 / this.#names.length;
    return ({ percent, etaSeconds }) => {
      if (percent !== undefined) {
        const inside = part[0] + (percent / 100) * (part[1] - part[0]);
        this.#highest = Math.max(this.#highest, (index + inside) * share);
      }
      this.#onProgress?.({
        stage,
        ...(percent !== undefined && { percent: this.#highest }),
        ...(etaSeconds !== undefined && { etaSeconds }),
      });
    };
  }
}
