/**
 * A range on its way from one peer. Bytes go to the sink as they come; while the sink is held they are set aside, never more
 * than the peer was granted, and nothing more is granted until the sink goes on.
 */
import type { ByteSink } from "../../core/ports/http.ts";
import { breach } from "../channel/wire.ts";

/** A request was given up since another peer is that much quicker: what is missing is to be had there. */
export class Overtaken extends Error {}

/** Grants are sent when they are worth a frame: this part of the window. */
const WORTHWHILE = 4;

/** Milliseconds after which a request's own rate is told: before, its turn may not have come. */
const STRETCH_MS = 15_000;

/** What a request needs of its link. */
export interface LinkRequestParts {
  /** Bytes. */
  readonly length: number;
  /** Bytes that may be on the way or set aside at once; may change. */
  window(): number;
  readonly sink: ByteSink;
  /** Tells the peer that it may send so many bytes more. */
  grant(bytes: number): void;
  /** The sink takes nothing for a while, or takes bytes again. */
  heldChanged(): void;
  /** Called once, when nothing is waited for any more; `remaining`: bytes of the grant that may still come. */
  ended(remaining: number, failed: boolean): void;
  /** Milliseconds that never go back. */
  now(): number;
}

/** One range. */
export class LinkRequest {
  readonly #parts: LinkRequestParts;
  /** Bytes that have not come. */
  #left: number;
  /** Of those: how many may come now. */
  #credit: number;
  readonly #queue: Buffer[] = [];
  #queued = 0;
  #holding = false;
  #open = true;
  #failed: { readonly error: unknown } | undefined;
  readonly #done = Promise.withResolvers<void>();
  /** When the last byte came, or waiting for one began. */
  #since: number;
  /** Of the newest stretch in which bytes were waited for: how long it was before the last pause, and what has come. */
  #stretchMs = 0;
  #stretchBytes = 0;
  #stretchRate: number | undefined;
  /** When bytes were waited for again. */
  #resumed: number;
  /** Bytes that the sink was given. */
  received = 0;

  constructor(parts: LinkRequestParts) {
    this.#parts = parts;
    this.#left = parts.length;
    this.#credit = Math.min(parts.length, parts.window());
    this.#since = parts.now();
    this.#resumed = this.#since;
  }

  /** Bytes that have not come. */
  get left(): number {
    return this.#left;
  }

  /** Bytes a second over the last quarter of a minute in which some were waited for; undefined before that has passed. */
  get rate(): number | undefined {
    const now = this.#parts.now();
    const ms = this.#stretchMs + (this.#holding ? 0 : now - this.#resumed);
    if (ms >= STRETCH_MS) {
      this.#stretchRate = (this.#stretchBytes / ms) * 1000;
      this.#stretchMs = 0;
      this.#stretchBytes = 0;
      this.#resumed = now;
    }
    return this.#stretchRate;
  }

  /** Resolves when the sink has all of it; rejects with why it cannot be had, or with what the sink threw. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Bytes that may come now. */
  get credit(): number {
    return this.#credit;
  }

  /** Milliseconds without a byte, though some may come; 0 while the sink is held. */
  get idleMs(): number {
    return this.#holding || this.#credit === 0 ? 0 : this.#parts.now() - this.#since;
  }

  /** True while the sink does not take what is here. */
  get held(): boolean {
    return this.#holding;
  }

  /** Takes bytes that came. @throws NetworkError PEER_MISBEHAVED if they are more than were granted */
  data(bytes: Buffer): void {
    if (bytes.length > this.#credit)
      throw breach(`it sent more than the ${this.#parts.length} bytes that it was asked for, or before it was to`);
    this.#credit -= bytes.length;
    this.#left -= bytes.length;
    this.#stretchBytes += bytes.length;
    this.#since = this.#parts.now();
    if (this.#holding) {
      this.#queue.push(Buffer.from(bytes));
      this.#queued += bytes.length;
    } else this.#give(bytes);
  }

  /** The peer says that all was sent. @throws NetworkError PEER_MISBEHAVED if it was not */
  end(): void {
    if (this.#left > 0) throw breach(`it ended a range ${this.#left} bytes early`);
  }

  /** It goes no further: what the sink holds back is waited for, so that another may go on behind it. */
  fail(error: unknown): void {
    if (!this.#open) return;
    this.#close(true);
    this.#failed = { error };
    if (!this.#holding) this.#done.reject(error);
  }

  /** It is not wanted any more; nothing is waited for. */
  abort(error: unknown): void {
    if (this.#open) this.#close(true);
    this.#done.reject(error);
  }

  #close(failed: boolean): void {
    this.#open = false;
    this.#queue.length = 0;
    this.#queued = 0;
    this.#parts.ended(this.#credit, failed);
  }

  #give(bytes: Buffer): void {
    let held: Promise<void> | undefined;
    try {
      held = this.#parts.sink(bytes) || undefined;
    } catch (error) {
      this.abort(error);
      return;
    }
    this.received += bytes.length;
    if (held !== undefined) {
      this.#holding = true;
      this.#stretchMs += this.#parts.now() - this.#resumed;
      if (this.#open) this.#parts.heldChanged();
      held.then(
        () => this.#goOn(),
        (error: unknown) => {
          this.#resume();
          this.abort(error);
        },
      );
    } else this.#taken();
  }

  #resume(): void {
    this.#holding = false;
    this.#resumed = this.#parts.now();
    if (this.#open) this.#parts.heldChanged();
  }

  /** The sink takes bytes again. */
  #goOn(): void {
    this.#resume();
    if (this.#failed) {
      this.#done.reject(this.#failed.error);
      return;
    }
    this.#since = this.#parts.now();
    while (this.#open && !this.#holding) {
      const bytes = this.#queue.shift();
      if (bytes === undefined) break;
      this.#queued -= bytes.length;
      this.#give(bytes);
    }
    if (this.#open && !this.#holding) this.#taken();
  }

  /** All that came so far is with the sink. */
  #taken(): void {
    if (this.#queued > 0) return;
    if (this.#left === 0) {
      if (!this.#open) return;
      this.#close(false);
      this.#done.resolve();
      return;
    }
    const window = this.#parts.window();
    const more = Math.min(this.#left, window) - this.#credit;
    if (more <= 0 || (more < window / WORTHWHILE && more < this.#left - this.#credit)) return;
    if (this.#credit === 0) this.#since = this.#parts.now();
    this.#credit += more;
    this.#parts.grant(more);
  }
}
