/**
 * What the room must know without looking through all sessions: how many there are in each status, and the next numbers.
 * It is written in the same batch as the changes that it counts, so that it is right after any death.
 */
import type { Write } from "../core/ports/key-value.ts";
import type { SessionStatus } from "../core/session.ts";
import { SPACE } from "./keys.ts";
import { MIDDLE, placeOf } from "./place.ts";

const KEY = "state";
const VERSION = 1;

/** How many sessions there are in each status. */
export type Counts = Record<SessionStatus, number>;

/** No sessions at all. */
export function noCounts(): Counts {
  return { queued: 0, waiting: 0, active: 0, paused: 0, completed: 0, failed: 0, cancelled: 0 };
}

/** The room's numbers. */
export class State {
  readonly counts: Counts;
  /** The repair of the database (see `KeyValue.repairs`) that the derived entries are newer than. */
  readonly repairs: number;
  #nextSequence: number;
  #head: number;
  #tail: number;

  constructor(from: { counts: Counts; nextSequence: number; head: number; tail: number; repairs: number }) {
    this.counts = from.counts;
    this.repairs = from.repairs;
    this.#nextSequence = from.nextSequence;
    this.#head = from.head;
    this.#tail = from.tail;
  }

  /** Of a database without sessions. */
  static empty(repairs: number): State {
    return new State({ counts: noCounts(), nextSequence: 1, head: MIDDLE - 1, tail: MIDDLE, repairs });
  }

  /** Reads what {@link State.write} wrote; undefined if it is not usable. */
  static parse(text: string | undefined): State | undefined {
    if (text === undefined) return undefined;
    try {
      const { version, counts, next_sequence, head, tail, repairs } = JSON.parse(text) as Record<string, unknown>;
      const numbers = [next_sequence, head, tail, repairs];
      if (version !== VERSION || !numbers.every(Number.isSafeInteger) || typeof counts !== "object") return undefined;
      return new State({
        counts: { ...noCounts(), ...(counts as Counts) },
        nextSequence: next_sequence as number,
        head: head as number,
        tail: tail as number,
        repairs: repairs as number,
      });
    } catch {
      return undefined;
    }
  }

  /** The key under which it is kept. */
  static readonly key = KEY;

  /** The next session's number; greater than all before. */
  takeSequence(): number {
    return this.#nextSequence++;
  }

  /** A place behind all others. */
  takeTail(): string {
    return placeOf(this.#tail++);
  }

  /** A place before all others. */
  takeHead(): string {
    return placeOf(this.#head--);
  }

  /** Places for as many sessions, in order, behind all others. */
  takeTails(count: number): readonly string[] {
    return Array.from({ length: count }, () => this.takeTail());
  }

  /** The entry to write with a change. @param counts - of the records as they are written */
  write(counts: Counts = this.counts): Write {
    const value = {
      version: VERSION,
      counts,
      next_sequence: this.#nextSequence,
      head: this.#head,
      tail: this.#tail,
      repairs: this.repairs,
    };
    return { type: "put", space: SPACE.meta, key: KEY, value: JSON.stringify(value) };
  }
}
