/**
 * What every call has in common: an AbortSignal that fires when the caller leaves or its deadline passes, errors as
 * statuses, back-pressure on streams, and the end of all streams when the daemon drains.
 */
import { once } from "node:events";
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { failure } from "../core/errors.ts";
import type { Logger } from "../core/ports/runtime.ts";
import { toServiceError } from "./status.ts";

/**
 * A client on Node that cancels an upload ends its stream and then resets it: for a moment what was cut short looks like
 * the whole. This many milliseconds a reset may come after the end.
 */
const RESET_MS = 50;

/** Sends one message of a stream; resolves when the next one may be sent. Rejects when the caller has left. */
export type Send<R> = (message: R) => Promise<void>;

/** A request that could not be decoded, in the place of the request. */
class Malformed {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** What all four kinds of grpc-js calls have. */
interface AnyCall {
  once(event: "cancelled", listener: () => void): unknown;
  getPath(): string;
}

/**
 * A service whose undecodable requests reach the handlers of {@link Calls}, which answer INVALID_ARGUMENT; grpc-js alone
 * would call them an internal error.
 */
export function tolerant(service: ServiceDefinition<UntypedServiceImplementation>): ServiceDefinition {
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize(bytes: Buffer): unknown {
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new Malformed(error instanceof Error ? error.message : String(error));
        }
      },
    },
  ]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

function decoded<Q>(request: Q | Malformed): Q {
  if (request instanceof Malformed)
    throw failure("INVALID_ARGUMENT", `the request cannot be decoded: ${request.reason}`);
  return request;
}

/** Makes grpc-js handlers of plain asynchronous functions. */
export class Calls {
  readonly #logger: Logger;
  readonly #streams = new Set<AbortController>();
  #draining = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Open streams. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** From now on new calls are refused; streams end with SHUTTING_DOWN; single answers under way are finished. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#streams) stream.abort(shuttingDown());
  }

  unary<Q, R>(work: (request: Q, signal: AbortSignal) => R | Promise<R>): handleUnaryCall<Q, R> {
    return (call, callback) => {
      const abort = new AbortController();
      this.#run(call, abort, () => work(decoded(call.request), abort.signal)).then(
        (response) => callback(null, response),
        (error: unknown) => callback(this.#status(error, call)),
      );
    };
  }

  serverStream<Q, R>(
    work: (request: Q, send: Send<R>, signal: AbortSignal) => Promise<void>,
  ): handleServerStreamingCall<Q, R> {
    return (call) => {
      const abort = new AbortController();
      this.#streams.add(abort);
      const send: Send<R> = async (message) => {
        abort.signal.throwIfAborted();
        if (!call.write(message)) await once(call, "drain", { signal: abort.signal });
      };
      this.#run(call, abort, () => work(decoded(call.request), send, abort.signal))
        .then(
          () => void call.end(),
          (error: unknown) => {
            if (!call.cancelled) call.emit("error", this.#status(error, call, abort.signal));
          },
        )
        .finally(() => this.#streams.delete(abort));
    };
  }

  clientStream<Q, R>(
    work: (messages: AsyncIterable<Q>, signal: AbortSignal) => Promise<R>,
  ): handleClientStreamingCall<Q, R> {
    return (call, callback) => {
      const abort = new AbortController();
      this.#streams.add(abort);
      async function* messages(): AsyncGenerator<Q> {
        for await (const message of call) {
          abort.signal.throwIfAborted();
          yield decoded(message as Q | Malformed);
        }
        await once(abort.signal, "abort", { signal: AbortSignal.timeout(RESET_MS) }).catch(() => {});
        abort.signal.throwIfAborted();
      }
      // The reading may wait for a caller that sends nothing: draining must not wait for it.
      abort.signal.addEventListener("abort", () => call.destroy(), { once: true });
      this.#run(call, abort, () => work(messages(), abort.signal))
        .then(
          (response) => callback(null, response),
          (error: unknown) => callback(this.#status(error, call, abort.signal)),
        )
        .finally(() => this.#streams.delete(abort));
    };
  }

  async #run<T>(call: AnyCall, abort: AbortController, work: () => T | Promise<T>): Promise<T> {
    if (this.#draining) throw shuttingDown();
    // "cancelled" also tells of a passed deadline, and of the ordinary end, when nobody listens to the signal any more.
    call.once("cancelled", () => abort.abort(failure("CANCELLED", "the caller has left or its deadline has passed")));
    return await work();
  }

  #status(error: unknown, call: AnyCall, signal?: AbortSignal) {
    // An ended stream breaks in many ways; the reason of the end is the one worth telling.
    return toServiceError(signal?.aborted === true ? signal.reason : error, this.#logger, call.getPath());
  }
}

const shuttingDown = () => failure("SHUTTING_DOWN", "the daemon is ending");
