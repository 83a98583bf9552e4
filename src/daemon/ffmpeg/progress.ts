/** Reads what `-progress` writes: blocks of `key=value` lines, each ended by `progress=continue` or `progress=end`. */
import type { MediaProgress } from "../core/media-tool.ts";

/** Takes the lines as bytes. */
export class ProgressReader {
  readonly #durationSeconds: number | undefined;
  readonly #onProgress: ((progress: MediaProgress) => void) | undefined;
  #rest = "";
  #seconds: number | undefined;
  #speed: number | undefined;

  /** @param durationSeconds - of the output */
  constructor(durationSeconds?: number, onProgress?: (progress: MediaProgress) => void) {
    this.#durationSeconds = durationSeconds;
    this.#onProgress = onProgress;
  }

  /** Seconds of the output so far. */
  get seconds(): number | undefined {
    return this.#seconds;
  }

  add(bytes: Buffer): void {
    const lines = (this.#rest + bytes.toString("latin1")).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, 4096);
    for (const line of lines) this.#take(line);
  }

  #take(line: string): void {
    const [, key, value = ""] = /^(\w+)=\s*(.*?)\s*$/.exec(line) ?? [];
    // out_time_ms is in microseconds as well, by an old mistake; out_time_us is what it says.
    if (key === "out_time_us" && /^\d+$/.test(value)) this.#seconds = Number(value) / 1e6;
    if (key === "speed") this.#speed = /^\d/.test(value) ? Number.parseFloat(value) : undefined;
    if (key === "progress" && this.#seconds !== undefined)
      this.#onProgress?.(this.#now(this.#seconds, value === "end"));
  }

  #now(seconds: number, ended: boolean): MediaProgress {
    const total = this.#durationSeconds;
    const speed = this.#speed;
    const known = total !== undefined && total > 0;
    const left = known && !ended ? Math.max(0, total - seconds) : 0;
    return {
      seconds,
      ...(known && { percent: ended ? 100 : Math.min(100, (seconds / total) * 100) }),
      ...(speed !== undefined && { speed }),
      ...(known && speed !== undefined && speed > 0 && { etaSeconds: left / speed }),
    };
  }
}
