/**
 * One request and its answer, whatever carries them: undici (undici-handler.ts) or the wire (wire-connection.ts). No streams
 * and no buffers of its own, a handful of calls for each piece of the body. Pieces go straight to the sink, or the connection
 * puts the bytes straight into the target's memory; a promise from either holds the connection back.
 *
 * What comes before there is a sink is kept, up to {@link EARLY_BYTES}: a small answer is then complete, and its connection
 * free, before anyone has asked for its body.
 */
import { copyInto } from "../core/byte-target.ts";
import { failure } from "../core/errors.ts";
import type { ByteSink, ByteTarget } from "../core/ports/http.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { type Circumstance, networkError, notConnected } from "./network-error.ts";

/** Bytes of a body that may wait for a sink before the socket is paused. */
const EARLY_BYTES = 64 * 1024;

/** An answer's head. */
export interface Head {
  readonly status: number;
  /** By lower-case name, repeated fields joined by ", "; Set-Cookie, which has commas inside, by line feeds. */
  readonly headers: ReadonlyMap<string, string>;
}

/** What an exchange asks of the connection under it. */
export interface Controls {
  /** Receive nothing more for the time being. Pieces that were received already may still be handed on. */
  pause(): void;
  resume(): void;
  /** Close the connection: when this returns, no byte is received any more. */
  abort(reason: Error): void;
}

/** What an exchange needs. */
export interface ExchangeOptions {
  /** Host and port, for messages. */
  readonly host: string;
  /** The proxy on the way, as it is shown. */
  readonly proxy?: string | undefined;
  /** Milliseconds without a byte; time in which the sink holds the sender back does not count. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  /** Called once, when the connection is no longer used by this exchange; `clean` if it can be used again. */
  readonly onDone: (clean: boolean) => void;
}

/** One request under way. */
export class Exchange {
  /** Settles when the head is here. */
  readonly head: Promise<Head>;
  readonly #options: ExchangeOptions;
  readonly #settleHead: PromiseWithResolvers<Head> = Promise.withResolvers();
  #settleBody: PromiseWithResolvers<void> | undefined;
  #controls: Controls | undefined;
  #sink: ByteSink | undefined;
  #target: ByteTarget | undefined;
  /** Pieces that came while nobody could take them. */
  #waiting: Uint8Array[] = [];
  #early = 0;
  #held = false;
  #paused = false;
  #phase: Circumstance["phase"] = "connect";
  #received = 0;
  #announced: number | undefined;
  #lastByte: number;
  #overdue = false;
  #ended = false;
  #done = false;
  #error: unknown;
  #stopTimer: () => void;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.head = this.#settleHead.promise;
    this.#lastByte = options.clock.monotonic();
    this.#stopTimer = options.clock.timer(options.timeoutMs, this.#watch);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#onAbort();
  }

  /** Hands the body to `sink`; see HttpResponse.pipe. */
  pipe(sink: ByteSink): Promise<void> {
    if (this.#options.signal?.aborted) {
      this.cancel();
      return Promise.reject(this.#options.signal.reason);
    }
    this.#settleBody = Promise.withResolvers();
    this.#sink = sink;
    // Not in this call: it may be made inside of another exchange's data, where undici cannot resume a socket.
    queueMicrotask(() => this.#drain());
    return this.#settleBody.promise;
  }

  /** The same into memory of the target's; see RangeStream.receive. */
  receive(target: ByteTarget): Promise<void> {
    const received = this.pipe(copyInto(target));
    if (this.#sink !== undefined) this.#target = target;
    return received;
  }

  /** Drops what is left of the answer, and the connection with it unless all is here. */
  cancel(): void {
    this.#waiting = [];
    if (!this.#ended) this.#fail(failure("CANCELLED", `the answer of ${this.#options.host} was not wanted`));
  }

  // ── called by the connection ──────────────────────────────────────────────────────────────────────────────────────

  /** The request is being sent; once more if another carrier takes over. */
  onStart(controls: Controls): void {
    if (this.#done) {
      controls.abort(asError(this.#error));
      return;
    }
    this.#controls = controls;
    this.#phase = "head";
    this.#lastByte = this.#options.clock.monotonic();
  }

  /** The head is here; the body follows. */
  onHead(head: Head): void {
    this.#lastByte = this.#options.clock.monotonic();
    this.#phase = "body";
    const length = head.headers.get("content-length");
    if (length !== undefined) this.#announced = Number(length);
    const coding = head.headers.get("transfer-encoding");
    // Not asked for (RFC 9112 §7.4), and not undone by undici: the bytes would not be those of the resource.
    if (coding !== undefined && !/^\s*(chunked|identity)\s*$/i.test(coding))
      this.#fail(
        failure("PROTOCOL_ERROR", `${this.#options.host} uses the transfer coding "${coding}" unasked`, {
          metadata: { host: this.#options.host },
        }),
      );
    else this.#settleHead.resolve(head);
  }

  /**
   * A piece of the body.
   *
   * @param lent - the memory is the connection's, and used again after the call
   */
  onData(chunk: Uint8Array, lent: boolean): void {
    if (this.#done) return;
    this.#lastByte = this.#options.clock.monotonic();
    this.#received += chunk.length;
    if (this.#sink !== undefined && !this.#held && this.#waiting.length === 0) {
      this.#take(() => this.#sink?.(chunk));
      return;
    }
    this.#waiting.push(lent ? Buffer.from(chunk) : chunk);
    this.#early += chunk.length;
    if (this.#held || this.#early >= EARLY_BYTES) this.#pause();
  }

  /** Where the next bytes of the body can be put at once; undefined if they are to be handed to {@link onData}. */
  room(): Uint8Array | undefined {
    if (this.#target === undefined || this.#held || this.#waiting.length > 0) return undefined;
    try {
      return this.#target.space();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** So many bytes were put into the last {@link room}. */
  onFilled(count: number): void {
    this.#lastByte = this.#options.clock.monotonic();
    this.#received += count;
    this.#take(() => this.#target?.filled(count));
  }

  /** The answer is complete. */
  onEnd(): void {
    this.#ended = true;
    this.#finish(true);
    this.#settleIfDelivered();
  }

  /** The connection broke. */
  onError(error: unknown): void {
    if (this.#done) return;
    this.#error = networkError(error, {
      host: this.#options.host,
      phase: this.#phase,
      received: this.#received,
      ...(this.#announced !== undefined && { announced: this.#announced }),
    });
    this.#ended = true;
    this.#finish(false);
    this.#settleHead.reject(this.#error);
    // What arrived is right: it is delivered before the error is.
    this.#settleIfDelivered();
  }

  // ── delivery ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lets the sink or the target have something, and holds the connection back for as long as it wants. */
  #take(deliver: () => void | Promise<void>): void {
    let taken: void | Promise<void>;
    try {
      taken = deliver();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (taken === undefined) return;
    this.#held = true;
    if (!this.#ended) this.#pause();
    taken.then(this.#release, (error: unknown) => this.#fail(error));
  }

  readonly #release = (): void => {
    this.#held = false;
    this.#drain();
  };

  #drain(): void {
    let next = 0;
    while (!this.#held && this.#sink !== undefined && next < this.#waiting.length) {
      const chunk = this.#waiting[next++];
      if (chunk !== undefined) this.#take(() => this.#sink?.(chunk));
    }
    this.#waiting.splice(0, next);
    if (this.#held || this.#sink === undefined) return;
    if (this.#ended) {
      this.#settleIfDelivered();
    } else if (this.#paused) {
      this.#paused = false;
      this.#lastByte = this.#options.clock.monotonic();
      this.#controls?.resume();
    }
  }

  #settleIfDelivered(): void {
    if (this.#held || this.#waiting.length > 0 || this.#settleBody === undefined) return;
    if (this.#error === undefined) this.#settleBody.resolve();
    else this.#settleBody.reject(this.#error);
  }

  #pause(): void {
    this.#paused = true;
    this.#controls?.pause();
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason);

  readonly #watch = (): void => {
    const { clock, timeoutMs, host, proxy } = this.#options;
    const left = this.#paused ? timeoutMs : timeoutMs - (clock.monotonic() - this.#lastByte);
    if (left > 0 || !this.#overdue) {
      // Late once is no proof: this process may have been busy, or asleep, with the bytes waiting to be read.
      this.#overdue = left <= 0;
      this.#stopTimer = clock.timer(Math.max(left, 1), this.#watch);
      return;
    }
    const seconds = timeoutMs / 1000;
    this.#fail(
      this.#phase === "connect"
        ? notConnected(host, proxy, seconds)
        : failure("TIMED_OUT", `${host} sent no byte for ${seconds} s, after ${this.#received} bytes`, {
            metadata: { host },
          }),
    );
  };

  /** Ends at once, with the connection closed. Also after the end, when the sink fails on what was waiting. */
  #fail(error: unknown): void {
    this.#error ??= error;
    this.#waiting = [];
    const running = !this.#ended;
    this.#ended = true;
    this.#sink = undefined;
    this.#target = undefined;
    this.#finish(false);
    this.#settleHead.reject(this.#error);
    this.#settleBody?.reject(this.#error);
    // In the same call: whoever learns of the end, a moment later, may use the memory for something else.
    if (running) this.#controls?.abort(asError(error));
  }

  #finish(clean: boolean): void {
    if (this.#done) return;
    this.#done = true;
    this.#stopTimer();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#options.onDone(clean);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
