/**
 * Watches the memory of the machine, of the control groups and of this process while there is work, and says when it is
 * short: then downloads get fewer connections and keep no buffers in reserve. When the work has ended, what it left lying
 * is given back. Without work nothing is read, and no timer runs.
 */
import { formatBytes } from "../../shared/format.ts";
import type { Clock, Logger, MemoryPressure, MemoryReport, PressureLevel } from "../core/ports/runtime.ts";
import type { HeapControl } from "./heap.ts";
import type { MemoryState } from "./memory.ts";

/** Milliseconds between two readings. */
const READ_MS = 1000;

/** Readings without work until what it left lying is given back. */
const QUIET_READINGS = 4;

/** Readings in a row that must be better before the level falls: memory that was just given back is no relief yet. */
const CALM_READINGS = 3;

/** Percentage points below a threshold from which on it counts as left. */
const RELIEF_POINTS = 3;

/** Above this size the process collects garbage more often; in bytes, resident. */
const LARGE_PROCESS = 176 * 1024 * 1024;

/** What a watch needs. */
export interface MemoryWatchInit {
  readonly probe: { read(): MemoryState };
  /** Absent where the process belongs to somebody else. */
  readonly heap?: HeapControl;
  readonly clock: Clock;
  readonly logger: Logger;
  /** In percent of the tightest limit, `memory_limit_percent`. */
  readonly limitPercent: () => number;
  /** True while there is work. */
  readonly busy: () => boolean;
}

/** Watches memory, from {@link MemoryWatch.wake} until there is no more work. */
export class MemoryWatch implements MemoryPressure, AsyncDisposable {
  readonly #init: MemoryWatchInit;
  readonly #listeners = new Set<() => void>();
  #level: PressureLevel = 0;
  #cancel: (() => void) | undefined;
  #ended = false;
  #woken = false;
  #quiet = 0;
  #calm = 0;
  #frugal = false;

  constructor(init: MemoryWatchInit) {
    this.#init = init;
  }

  get level(): PressureLevel {
    return this.#level;
  }

  wake(): void {
    this.#woken = true;
    if (this.#cancel === undefined && !this.#ended) this.#arm();
  }

  onRelease(listener: () => void): () => void {
    // Of its own identity, so that the same function may listen twice.
    const own = () => listener();
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  report(): MemoryReport {
    const { tightest, rss } = this.#init.probe.read();
    return {
      level: this.#level,
      processBytes: rss,
      limitedBy: tightest.name,
      limitBytes: tightest.limit,
      usedBytes: tightest.used,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#frugal) this.#init.heap?.frugal(false);
    return Promise.resolve();
  }

  #arm(): void {
    this.#cancel = this.#init.clock.timer(READ_MS, () => this.#look());
  }

  #look(): void {
    this.#cancel = undefined;
    const working = this.#woken || this.#init.busy();
    this.#woken = false;
    this.#quiet = working ? 0 : this.#quiet + 1;
    const state = this.#init.probe.read();
    this.#judge(state);
    const over = this.#quiet >= QUIET_READINGS;
    // A pressure that lasts is looked after also without work: the next download would begin under it.
    if (over && this.#level === 0) {
      this.#quiet = 0;
      this.#setFrugal(false);
      this.#release();
      return;
    }
    this.#setFrugal(this.#level > 0 || state.rss > LARGE_PROCESS);
    this.#arm();
  }

  #judge(state: MemoryState): void {
    const { tightest, rss } = state;
    // The group's own account may lag behind what the process holds.
    const used = Math.max(state.usedPercent, (rss / tightest.limit) * 100);
    const limit = this.#init.limitPercent();
    const now = levelOf(used, limit);
    if (now > this.#level) {
      this.#change(now, state, used);
      return;
    }
    this.#calm = levelOf(used + RELIEF_POINTS, limit) < this.#level ? this.#calm + 1 : 0;
    if (this.#calm >= CALM_READINGS) this.#change(levelOf(used + RELIEF_POINTS, limit), state, used);
  }

  #change(level: PressureLevel, { tightest, rss }: MemoryState, used: number): void {
    const rose = level > this.#level;
    this.#level = level;
    this.#calm = 0;
    const where = tightest.name === "machine" ? "this machine" : `the control group ${tightest.name}`;
    const fields = { level, used_bytes: tightest.used, limit_bytes: tightest.limit, process_bytes: rss };
    const share = `${Math.round(used)} % of ${formatBytes(tightest.limit)} of ${where} is in use`;
    const { logger } = this.#init;
    if (rose) logger.warn(fields, `memory is ${level === 2 ? "very " : ""}short: ${share}; ${MEASURES[level]}`);
    else
      logger.info(fields, `memory ${level === 0 ? "suffices again" : "is less short"}: ${share}; ${MEASURES[level]}`);
    if (rose) this.#release();
  }

  /** What lies in reserve is let go, and then what nobody holds any more is collected. */
  #release(): void {
    for (const listener of this.#listeners) listener();
    this.#init.heap?.collect();
  }

  #setFrugal(on: boolean): void {
    if (on === this.#frugal) return;
    this.#frugal = on;
    this.#init.heap?.frugal(on);
  }
}

const MEASURES: Readonly<Record<PressureLevel, string>> = {
  0: "downloads run as configured",
  1: "downloads get half of their connections, and no buffer is kept in reserve",
  2: "one download at a time is begun, each has one connection",
};

/** The second level begins half-way between the limit and everything. */
function levelOf(usedPercent: number, limitPercent: number): PressureLevel {
  if (usedPercent < limitPercent) return 0;
  return usedPercent < (limitPercent + 100) / 2 ? 1 : 2;
}
