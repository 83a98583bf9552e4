/**
 * One request and its answer over undici's dispatch: no streams, no buffers of its own, a handful of calls for each piece
 * of the body. Pieces go straight to the sink; a sink that returns a promise pauses the socket.
 *
 * What comes before there is a sink is kept, up to {@link EARLY_BYTES}: a small answer is then complete, and its connection
 * free, before anyone has asked for its body.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import { failure } from "../core/errors.ts";
import type { ByteSink, Clock } from "../core/ports.ts";
import { type Circumstance, networkError } from "./network-error.ts";

/** Bytes of a body that may wait for a sink before the socket is paused. */
const EARLY_BYTES = 64 * 1024;

/** An answer's head. */
export interface Head {
  readonly status: number;
  /** By lower-case name, repeated fields joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
}

/** What an exchange needs. */
export interface ExchangeOptions {
  /** Host and port, for messages. */
  readonly host: string;
  /** Milliseconds without a byte; time in which the sink holds the sender back does not count. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  /** Called once, when the connection is no longer used by this exchange; `clean` if it can be used again. */
  readonly onDone: (clean: boolean) => void;
}

/** The handler of one dispatch. */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Settles when the head is here. */
  readonly head: Promise<Head>;
  readonly #options: ExchangeOptions;
  readonly #settleHead: PromiseWithResolvers<Head> = Promise.withResolvers();
  #settleBody: PromiseWithResolvers<void> | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #sink: ByteSink | undefined;
  /** Pieces that came while nobody could take them. Views of the socket's own buffers, which are not used again. */
  #waiting: Buffer[] = [];
  #early = 0;
  #held = false;
  #paused = false;
  #phase: Circumstance["phase"] = "connect";
  #received = 0;
  #announced: number | undefined;
  #lastByte: number;
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

  /** Drops what is left of the answer, and the connection with it unless all is here. */
  cancel(): void {
    this.#waiting = [];
    if (!this.#ended) this.#fail(failure("CANCELLED", `the answer of ${this.#options.host} was not wanted`));
  }

  // ── called by undici ──────────────────────────────────────────────────────────────────────────────────────────────

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#done) {
      controller.abort(asError(this.#error));
      return;
    }
    this.#controller = controller;
    this.#phase = "head";
    this.#lastByte = this.#options.clock.monotonic();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, fields: IncomingHttpHeaders): void {
    // An interim answer (RFC 9110 §15.2): the real one follows, within the time that it has in any case.
    if (status < 200) return;
    this.#lastByte = this.#options.clock.monotonic();
    this.#phase = "body";
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
    }
    const length = headers.get("content-length");
    if (length !== undefined) this.#announced = Number(length);
    const coding = headers.get("transfer-encoding");
    // Not asked for (RFC 9112 §7.4), and not undone by undici: the bytes would not be those of the resource.
    if (coding !== undefined && !/^\s*(chunked|identity)\s*$/i.test(coding))
      this.#fail(
        failure("PROTOCOL_ERROR", `${this.#options.host} uses the transfer coding "${coding}" unasked`, {
          metadata: { host: this.#options.host },
        }),
      );
    else this.#settleHead.resolve({ status, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // A resumed parser is first run on nothing, and reports that as a piece. Pausing on it again would never end.
    if (chunk.length === 0) return;
    this.#lastByte = this.#options.clock.monotonic();
    this.#received += chunk.length;
    if (this.#sink !== undefined && !this.#held) {
      this.#deliver(chunk);
      return;
    }
    this.#waiting.push(chunk);
    this.#early += chunk.length;
    if (this.#held || this.#early >= EARLY_BYTES) this.#pause(controller);
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#finish(true);
    this.#settleIfDelivered();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
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

  #deliver(chunk: Buffer): void {
    let taken: void | Promise<void>;
    try {
      taken = this.#sink?.(chunk);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (taken === undefined) return;
    this.#held = true;
    if (this.#controller !== undefined && !this.#ended) this.#pause(this.#controller);
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
      if (chunk !== undefined) this.#deliver(chunk);
    }
    this.#waiting.splice(0, next);
    if (this.#held || this.#sink === undefined) return;
    if (this.#ended) {
      this.#settleIfDelivered();
    } else if (this.#paused) {
      this.#paused = false;
      this.#lastByte = this.#options.clock.monotonic();
      this.#controller?.resume();
    }
  }

  #settleIfDelivered(): void {
    if (this.#held || this.#waiting.length > 0 || this.#settleBody === undefined) return;
    if (this.#error === undefined) this.#settleBody.resolve();
    else this.#settleBody.reject(this.#error);
  }

  #pause(controller: Dispatcher.DispatchController): void {
    this.#paused = true;
    controller.pause();
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason);

  readonly #watch = (): void => {
    const { clock, timeoutMs, host } = this.#options;
    const left = this.#paused ? timeoutMs : timeoutMs - (clock.monotonic() - this.#lastByte);
    if (left > 0) {
      this.#stopTimer = clock.timer(left, this.#watch);
      return;
    }
    const seconds = timeoutMs / 1000;
    this.#fail(
      this.#phase === "connect"
        ? failure("CONNECT_FAILED", `no connection to ${host} within ${seconds} s`, { metadata: { host } })
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
    this.#finish(false);
    this.#settleHead.reject(this.#error);
    this.#settleBody?.reject(this.#error);
    if (running) this.#controller?.abort(asError(error));
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
