/**
 * The one HTTP client: everything that leaves by HTTP goes through it, so that politeness, timeouts, redirects and errors
 * are the same everywhere. undici does the wire; one agent keeps a pool an origin, and idle connections close by
 * themselves.
 */
import { Agent } from "undici";
import { type DownloadError, failure } from "../core/errors.ts";
import type { ByteSink, Clock, HttpClient, HttpRequest, HttpResponse, Logger } from "../core/ports.ts";
import { Exchange, type Head } from "./exchange.ts";
import { fieldsFor, firstHop, type Hop, isRedirect, nextHop } from "./hop.ts";
import { networkError } from "./network-error.ts";
import { Politeness } from "./politeness.ts";
import { statusError } from "./status.ts";

/** Settings of the client. */
export interface HttpClientOptions {
  /** The User-Agent field of requests that bring none. */
  readonly userAgent: string;
  /** Redirects in one request; default 10. */
  readonly maxRedirects?: number;
  /** Milliseconds without a byte, for requests that name none; default 30,000. Also the longest a connection may take. */
  readonly timeoutMs?: number;
  /** Bytes of an answer's header section; default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** Connections in use at once for one host, over all downloads; more requests wait. Default 16. */
  readonly connectionsPerHost?: number;
  /** Milliseconds that an unused connection stays open, if the host does not say otherwise; default 4,000. */
  readonly keepAliveMs?: number;
  /** More certificate authorities, in PEM, in place of those of the system. */
  readonly certificateAuthorities?: string | Buffer;
}

/** What the client works with. */
export interface HttpClientParts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** {@link HttpClient} over undici. Disposal breaks off what is under way. */
export class UndiciClient implements HttpClient, AsyncDisposable {
  readonly #options: Required<Omit<HttpClientOptions, "certificateAuthorities">>;
  readonly #certificateAuthorities: string | Buffer | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #politeness: Politeness;
  #agent: Agent | undefined;
  #closed = false;

  constructor(options: HttpClientOptions, parts: HttpClientParts) {
    const { certificateAuthorities, ...rest } = options;
    this.#options = {
      maxRedirects: 10,
      timeoutMs: 30_000,
      maxHeaderBytes: 64 * 1024,
      connectionsPerHost: 16,
      keepAliveMs: 4000,
      ...rest,
    };
    this.#certificateAuthorities = certificateAuthorities;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#politeness = new Politeness(this.#options.connectionsPerHost, parts.clock);
  }

  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    const first = firstHop(request.url);
    const chain = [first.url.href];
    for (let hop = first; ; ) {
      const { head, exchange } = await this.#ask(hop, first, request, signal);
      const location = head.headers.get("location");
      if (request.follow === false || !isRedirect(head.status)) return new Answer(head, exchange, chain);
      exchange.cancel();
      hop = nextHop(hop, head.status, location);
      this.#checkChain(chain, hop);
      chain.push(hop.url.href);
      this.#logger.debug({ status: head.status, host: hop.url.host }, "following a redirect");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#agent?.destroy();
  }

  /** Sends one hop's request; once more if a kept connection turned out to be closed by the other side. */
  async #ask(hop: Hop, first: Hop, request: HttpRequest, signal: AbortSignal | undefined) {
    const { host } = hop.url;
    for (let attempt = 1; ; attempt++) {
      const exchange = new Exchange({
        host,
        timeoutMs: request.timeoutMs ?? this.#options.timeoutMs,
        clock: this.#clock,
        signal,
        onDone: await this.#politeness.turn(host, signal),
      });
      this.#dispatch(hop, fieldsFor(hop, first, request, this.#options.userAgent), request.method, exchange);
      try {
        const head = await exchange.head;
        if (head.status === 429 || head.status === 503) {
          const answer = { ...head, url: hop.url.href };
          this.#politeness.hold(host, statusError(answer, this.#clock.now()));
        }
        return { head, exchange };
      } catch (error) {
        if (attempt > 1 || !wasKeptTooLong(error)) throw error;
        this.#logger.debug({ host }, "a kept connection was closed by the other side; asking again on a new one");
      }
    }
  }

  #dispatch(hop: Hop, headers: string[], method: "GET" | "HEAD" | undefined, exchange: Exchange): void {
    const { origin, pathname, search, host } = hop.url;
    try {
      if (this.#closed) throw failure("SHUTTING_DOWN", `nothing more is asked of ${host}: the client is closed`);
      this.#agent ??= this.#makeAgent();
      this.#agent.dispatch({ origin, path: pathname + search, method: method ?? "GET", headers }, exchange);
    } catch (error) {
      const wrapped = networkError(error, { host, phase: "connect", received: 0 });
      exchange.onResponseError(undefined, wrapped);
    }
  }

  #makeAgent(): Agent {
    const { timeoutMs, maxHeaderBytes, keepAliveMs } = this.#options;
    return new Agent({
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: 60_000,
      // Exchange watches the clock itself: by a monotonic one, and not while the sink holds the sender back.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        timeout: timeoutMs,
        ...(this.#certificateAuthorities !== undefined && { ca: this.#certificateAuthorities }),
      },
    });
  }

  #checkChain(chain: readonly string[], next: Hop): void {
    const { href, host } = next.url;
    const metadata = { host };
    if (chain.includes(href))
      throw failure("TOO_MANY_REDIRECTS", `the redirects go round in a circle, by way of ${host}`, { metadata });
    if (chain.length > this.#options.maxRedirects)
      throw failure("TOO_MANY_REDIRECTS", `more than ${this.#options.maxRedirects} redirects, the last to ${host}`, {
        metadata,
      });
  }
}

/** A head and the exchange whose body waits. */
class Answer implements HttpResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly url: string;
  readonly chain: readonly string[];
  readonly #exchange: Exchange;

  constructor(head: Head, exchange: Exchange, chain: readonly string[]) {
    this.status = head.status;
    this.headers = head.headers;
    this.chain = chain;
    this.url = chain.at(-1) ?? "";
    this.#exchange = exchange;
  }

  pipe(sink: ByteSink): Promise<void> {
    return this.#exchange.pipe(sink);
  }

  async text(maxBytes: number): Promise<string> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    await this.#exchange.pipe((bytes) => {
      size += bytes.length;
      if (size > maxBytes)
        throw failure("PROTOCOL_ERROR", `${new URL(this.url).host} sent a document of more than ${maxBytes} bytes`);
      pieces.push(bytes.slice());
    });
    return Buffer.concat(pieces).toString();
  }

  cancel(): void {
    this.#exchange.cancel();
  }
}

/** True if a connection that had served before was closed before it brought a byte of this answer (RFC 9112 §9.3.1). */
function wasKeptTooLong(error: unknown): boolean {
  const { code, cause } = error as DownloadError;
  if (code !== "CONNECTION_LOST" || !(cause instanceof Error)) return false;
  const { socket } = cause as Error & { socket?: { bytesRead?: number } };
  return (socket?.bytesRead ?? 0) > 0;
}
