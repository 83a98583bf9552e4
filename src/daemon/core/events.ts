/**
 * What happened, as numbered events. The log keeps the newest in memory; a subscriber that comes back with the last
 * number it saw gets what it missed, or is told that it is gone.
 */
import type { Session, SessionError } from "./session.ts";

/** Something that happened to a session. `cleaned`: it was forgotten, by a person or by the clean-up. */
export type SessionEvent =
  | { readonly type: "created"; readonly session: Session }
  | { readonly type: "updated"; readonly session: Session; readonly previous: Session }
  | { readonly type: "progress"; readonly session: Session; readonly milestone: number }
  | { readonly type: "error"; readonly session: Session; readonly error: SessionError }
  | { readonly type: "cleaned"; readonly session: Session };

/** An event with its place in the log. */
export interface NumberedEvent {
  readonly sequence: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly event: SessionEvent;
}

/** The answer to "what came after N?": the events, or that some of them are gone. */
export interface Replay {
  readonly events: readonly NumberedEvent[];
  /** True if events after N are no longer known. */
  readonly gap: boolean;
}

/** Listener of the log. It must not throw and must not block: it is called inside the change that it is told of. */
export type EventListener = (event: NumberedEvent) => void;

/** A ring of the newest events and its listeners. */
export class EventLog {
  readonly #ring: NumberedEvent[] = [];
  readonly #listeners = new Set<EventListener>();
  readonly #keep: number;
  readonly #now: () => number;
  #next: number;

  /**
   * @param firstSequence - greater than every number given out before, also by an earlier process
   * @param keep - how many events stay in memory
   */
  constructor(firstSequence: number, keep: number, now: () => number = Date.now) {
    this.#next = firstSequence;
    this.#keep = keep;
    this.#now = now;
  }

  /** The number of the newest event, or the one before the first. */
  get newest(): number {
    return this.#next - 1;
  }

  /** The oldest number that can still be replayed. */
  get oldest(): number {
    return this.#ring[0]?.sequence ?? this.#next;
  }

  emit(event: SessionEvent): NumberedEvent {
    const numbered = { sequence: this.#next++, time: this.#now(), event };
    this.#ring.push(numbered);
    // Cut in blocks: shift() on every event would cost more than the event.
    if (this.#ring.length > this.#keep * 1.25) this.#ring.splice(0, this.#ring.length - this.#keep);
    for (const listener of this.#listeners) listener(numbered);
    return numbered;
  }

  /** What came after `sequence`. A number from the future is a gap too: it belongs to another daemon's log. */
  after(sequence: number): Replay {
    const gap = sequence + 1 < this.oldest || sequence > this.newest;
    return { gap, events: gap ? [...this.#ring] : this.#ring.filter((entry) => entry.sequence > sequence) };
  }

  /** Calls `listener` for every event from now on. @returns ends it */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
