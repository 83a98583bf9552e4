/**
 * How many connections a download uses. It starts with one. A download that would take a while gets more, as long as
 * nothing speaks against it: the origin, the disk, or a limit. Once they run, half of them are put down now and then, and
 * taken up again only if the rest is slower for it: connections that bring nothing are not kept.
 */
import type { PressureLevel } from "../core/ports/runtime.ts";

/** Milliseconds between two steps of the climb. */
const STEP_MS = 150;

/** What would be here within this time, in seconds, is not worth another connection. */
const SOON_S = 3;

/** Milliseconds over which a rate is compared; an origin's own limit often comes in bursts of a second. */
const COMPARE_MS = 2000;

/** With fewer connections the rate may fall to this share before they are taken up again. */
const AS_GOOD = 0.9;

/** Trying with fewer costs time: only when so many seconds are left. */
const TRY_S = 15;

/** Milliseconds until the next try after one that was slower, and after the origin objected. */
const PATIENCE_MS = 30_000;

/** What is seen at a step. */
export interface Sight {
  /** Milliseconds on a monotonic clock. */
  readonly now: number;
  /** Bytes received so far. */
  readonly received: number;
  /** Bytes still to come. */
  readonly left: number;
  /** The disk or a limit holds the connections back: more of them would not help. */
  readonly held: boolean;
}

/** Decides how many connections there should be. */
export class ConnectionCount {
  readonly #most: number;
  #wanted = 1;
  /** The origin objected to more than this. */
  #ceiling: number;
  #ceilingRaise = 0;
  #last: Sight | undefined;
  #climbing = true;
  #mark: Sight | undefined;
  #nextTry = 0;
  /** A try with fewer is under way: the count and the rate before it. */
  #trial: { readonly count: number; readonly rate: number } | undefined;

  readonly #pressure: () => PressureLevel;

  /**
   * @param most - connections that are allowed
   * @param pressure - how short memory is: every connection fills buffers of its own
   */
  constructor(most: number, pressure: () => PressureLevel = () => 0) {
    this.#most = most;
    this.#ceiling = most;
    this.#pressure = pressure;
  }

  get wanted(): number {
    return Math.min(this.#wanted, this.#affordable());
  }

  /** The origin refused a connection, with `running` others open. */
  objected(now: number, running: number): void {
    this.#ceiling = Math.max(1, Math.min(this.#ceiling - 1, running));
    this.#ceilingRaise = now + PATIENCE_MS;
    this.#wanted = Math.min(this.#wanted, this.#ceiling);
    this.#climbing = false;
    this.#trial = undefined;
    this.#mark = undefined;
  }

  /** To be called often. @returns connections that there should be */
  see(sight: Sight): number {
    const { now } = sight;
    this.#last ??= sight;
    this.#mark ??= sight;
    if (this.#ceiling < this.#most && now >= this.#ceilingRaise) {
      // Additive increase: one more, and then a while to see whether it is liked.
      this.#ceiling++;
      this.#ceilingRaise = now + PATIENCE_MS;
      this.#wanted = Math.min(this.#wanted + 1, this.#ceiling);
    }
    // What memory keeps from running cannot be compared with.
    const held = sight.held || this.#wanted > this.#affordable();
    if (this.#climbing) this.#climb({ ...sight, held });
    else this.#compare({ ...sight, held });
    return this.wanted;
  }

  #affordable(): number {
    const level = this.#pressure();
    if (level === 0) return this.#most;
    return level === 1 ? Math.ceil(this.#most / 2) : 1;
  }

  #climb(sight: Sight): void {
    const last = this.#last ?? sight;
    if (sight.now - last.now < STEP_MS || sight.received === 0) return;
    const rate = Math.max(1, ((sight.received - last.received) / (sight.now - last.now)) * 1000);
    this.#last = sight;
    const more = !sight.held && sight.left / rate > SOON_S && this.#wanted < this.#ceiling;
    if (more) this.#wanted = Math.min(this.#wanted * 2, this.#ceiling);
    if (this.#wanted < this.#ceiling && more) return;
    this.#climbing = !more && !sight.held && this.#wanted < this.#ceiling;
    this.#mark = sight;
  }

  #compare(sight: Sight): void {
    const mark = this.#mark ?? sight;
    const elapsed = sight.now - mark.now;
    if (elapsed < COMPARE_MS) return;
    const rate = ((sight.received - mark.received) / elapsed) * 1000;
    this.#mark = sight;
    if (this.#trial) {
      const { count, rate: before } = this.#trial;
      this.#trial = undefined;
      if (rate >= before * AS_GOOD) return;
      this.#wanted = Math.min(count, this.#ceiling);
      this.#nextTry = sight.now + PATIENCE_MS;
      return;
    }
    if (this.#wanted === 1 || sight.held || sight.now < this.#nextTry || sight.left / Math.max(rate, 1) < TRY_S) return;
    this.#trial = { count: this.#wanted, rate };
    this.#wanted = Math.ceil(this.#wanted / 2);
  }
}
