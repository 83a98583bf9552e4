/**
 * Calls to the daemon: one gRPC client for all services, with the token on every call, TLS unless the connection stays
 * on this machine, and every failure as a {@link ClientError}.
 */
import {
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { ClientError } from "./failure.ts";
import type { Globals } from "./globals.ts";
import { resolveTarget, type Target, unreachable } from "./target.ts";

/** A method of a generated service definition. */
export interface Method<Q, A> {
  readonly path: string;
  readonly requestSerialize: (value: Q) => Buffer;
  readonly responseDeserialize: (value: Buffer) => A;
}

/** Longest time for the answer to a single call, in seconds. Steering everything of a large daemon is the slowest. */
const ANSWER_SECONDS = 120;

/** Statuses of a call without ErrorInfo that mean: the connection broke, not the call. */
const BROKEN = new Set<number>([status.UNAVAILABLE, status.CANCELLED, status.ABORTED, status.INTERNAL, status.UNKNOWN]);

/** A page of 1,000 sessions with long URLs is larger than gRPC's default of 4 MiB. */
const LARGEST_MESSAGE = 64 * 1024 * 1024;

/** The calls to one daemon. */
export class Connection implements Disposable {
  readonly target: Target;
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor(target: Target) {
    this.target = target;
    const { address } = target;
    const where = address.kind === "unix" ? target.text : `dns:${target.text}`;
    if (target.token) this.#metadata.set("authorization", `Bearer ${target.token}`);
    this.#client = new Client(where, channelCredentials(target), {
      "grpc.max_receive_message_length": LARGEST_MESSAGE,
      // Nobody asks a command for its statistics.
      "grpc.enable_channelz": 0,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      // A dead peer is noticed on a network; on this machine the kernel tells.
      ...(address.kind === "tcp" && !address.loopback && { "grpc.keepalive_time_ms": 30_000 }),
      ...((address.kind === "unix" || address.loopback) && { "grpc.enable_http_proxy": 0 }),
    });
  }

  /** One request, one answer. @throws ClientError */
  ask<Q, A>(method: Method<Q, A>, request: Q, seconds = ANSWER_SECONDS): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        { deadline: Date.now() + seconds * 1000 },
        (error, answer) => {
          if (error) void this.#explain(error).then(reject);
          else resolve(answer as A);
        },
      );
    });
  }

  /** One request, many answers; leaving the loop ends the call. @throws ClientError */
  async *receive<Q, A>(method: Method<Q, A>, request: Q, signal?: AbortSignal): AsyncGenerator<A, void> {
    const call: ClientReadableStream<A> = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      this.#metadata,
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    if (signal?.aborted) cancel();
    try {
      for await (const message of call) yield message as A;
    } catch (error) {
      if (!signal?.aborted) throw await this.#explain(error as ServiceError);
    } finally {
      signal?.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  /** Many requests, one answer; sends no faster than they are taken. @throws ClientError, or what `requests` throws */
  async send<Q, A>(method: Method<Q, A>, requests: AsyncIterable<Q>): Promise<A> {
    const { promise, resolve, reject } = Promise.withResolvers<A>();
    const call: ClientWritableStream<Q> = this.#client.makeClientStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      this.#metadata,
      (error: ServiceError | null, answer?: A) => {
        if (error) void this.#explain(error).then(reject);
        else resolve(answer as A);
      },
    );
    let answered = false;
    const done = promise.finally(() => {
      answered = true;
    });
    done.catch(() => {});
    try {
      for await (const request of requests) {
        if (answered) break;
        if (!call.write(request)) await Promise.race([new Promise((next) => call.once("drain", next)), done]);
      }
      call.end();
    } catch (error) {
      call.cancel();
      // The daemon's refusal says more than the broken pipe that it caused.
      throw answered
        ? await done.then(
            () => error,
            (refusal: unknown) => refusal,
          )
        : error;
    }
    return done;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #explain(error: ServiceError): Promise<Error> {
    const details = error.metadata?.get("grpc-status-details-bin")[0];
    const info = details instanceof Buffer ? (await import("./error-info.ts")).readErrorInfo(details) : undefined;
    if (info) return new ClientError(info.reason, error.details, undefined, info.metadata);
    if (error.code === status.DEADLINE_EXCEEDED) return unreachable(this.target, "it does not answer in time");
    if (error.code === status.UNIMPLEMENTED)
      return new ClientError("INTERNAL", `the daemon at ${this.target.text} does not know this call`, UPDATE);
    if (error.code === status.UNAUTHENTICATED) return new ClientError("UNAUTHENTICATED", error.details);
    if (error.code === status.UNAVAILABLE && error.details.startsWith("No connection"))
      return unreachable(this.target, reasonOf(error.details));
    if (BROKEN.has(error.code))
      return new ClientError(
        "DAEMON_UNREACHABLE",
        `the connection to the daemon at ${this.target.text} broke (${error.details})`,
      );
    return new ClientError("INTERNAL", `${error.details} (gRPC status ${status[error.code]})`);
  }
}

const UPDATE = "The daemon is older or newer than snatchctl: see `snatchctl daemon status`.";

/** The essence of gRPC's "No connection established. Last error: Error: connect ENOENT /path. Resolution note: …". */
function reasonOf(details: string): string {
  const reason = /Error: (?<reason>.+?)(?:\. Resolution note:.*| \(\d{4}-.*)?$/s.exec(details)?.groups?.["reason"];
  return (reason ?? details).replace(/^(connect E[A-Z]+) \S+$/, "$1");
}

function channelCredentials(target: Target): ChannelCredentials {
  const plain = target.address.kind === "unix" || (target.address.loopback && target.ca === undefined);
  return plain ? credentials.createInsecure() : credentials.createSsl(target.ca ?? null);
}

/** The daemon that the options mean. Nothing is sent before the first call. @throws ClientError */
export function connect(globals: Globals): Connection {
  return new Connection(resolveTarget(globals));
}

/** True for an error that means: the daemon went away, and may come back. */
export function isGone(error: unknown): boolean {
  return error instanceof ClientError && (error.code === "DAEMON_UNREACHABLE" || error.code === "SHUTTING_DOWN");
}
