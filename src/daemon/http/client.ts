/**
 * The one HTTP client: everything that leaves by HTTP goes through it, so that politeness, timeouts, redirects and errors
 * are the same everywhere. undici does the wire; idle connections close by themselves.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type { ByteSink, Clock, HttpClient, HttpRequest, HttpResponse, Logger } from "../core/ports.ts";
import { checkCodings, parseCodings, pipeDecoded } from "./coding.ts";
import { Connections } from "./connections.ts";
import { Exchange, type Head } from "./exchange.ts";
import { fieldsFor, firstHop, type Hop, isRedirect, nextHop } from "./hop.ts";
import { Politeness } from "./politeness.ts";
import { statusError } from "./status.ts";

/**
 * Kept connections that may turn out to be closed, one after the other, before a request gives up: asking again is safe,
 * since nothing was answered (RFC 9112 §9.3.1).
 */
const MOST_KEPT = 3;

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
  readonly #connections: Connections;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #politeness: Politeness;
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
    this.#connections = new Connections({ ...this.#options, certificateAuthorities });
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#politeness = new Politeness(this.#options.connectionsPerHost, parts.clock);
  }

  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    const first = firstHop(request.url);
    const chain = [first.url.href];
    for (let hop = first; ; ) {
      const { head, exchange, connection } = await this.#ask(hop, first, request, signal);
      const location = head.headers.get("location");
      if (request.follow === false || request.method === "POST" || !isRedirect(head.status))
        return new Answer(head, exchange, chain, connection.certificate);
      exchange.cancel();
      hop = nextHop(hop, head.status, location);
      this.#checkChain(chain, hop);
      chain.push(hop.url.href);
      this.#logger.debug({ status: head.status, host: hop.url.host }, "following a redirect");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#connections.destroy();
  }

  /** Sends one hop's request; once more if a kept connection turned out to be closed by the other side. */
  async #ask(hop: Hop, first: Hop, request: HttpRequest, signal: AbortSignal | undefined) {
    const { host, origin, pathname, search } = hop.url;
    const headers = fieldsFor(hop, first, request, this.#options.userAgent);
    for (let attempt = 1; ; attempt++) {
      const giveTurnBack = await this.#politeness.turn(host, signal);
      if (this.#closed) throw failure("SHUTTING_DOWN", `nothing more is asked of ${host}: the client is closed`);
      const connection = this.#connections.take(origin);
      const kept = connection.served > 0;
      const exchange = new Exchange({
        host,
        timeoutMs: request.timeoutMs ?? this.#options.timeoutMs,
        clock: this.#clock,
        signal,
        onDone: (clean) => {
          this.#connections.giveBack(connection, clean);
          giveTurnBack();
        },
      });
      const { method = "GET", body = null } = request;
      connection.client.dispatch({ path: pathname + search, method, headers, body }, exchange);
      try {
        const head = await exchange.head;
        if (head.status === 429 || head.status === 503)
          this.#politeness.hold(host, statusError({ ...head, url: hop.url.href }, this.#clock.now()));
        return { head, exchange, connection };
      } catch (error) {
        if (!kept || attempt > MOST_KEPT || asDownloadError(error).code !== "CONNECTION_LOST") throw error;
        this.#logger.debug({ host }, "a kept connection was closed by the other side; asking again");
      }
    }
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
  readonly certificate?: string;
  readonly #exchange: Exchange;

  constructor(head: Head, exchange: Exchange, chain: readonly string[], certificate: string | undefined) {
    this.status = head.status;
    this.headers = head.headers;
    this.chain = chain;
    this.url = chain.at(-1) ?? "";
    if (certificate !== undefined) this.certificate = certificate;
    this.#exchange = exchange;
  }

  pipe(sink: ByteSink): Promise<void> {
    return this.#exchange.pipe(sink);
  }

  async text(maxBytes: number): Promise<string> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    const codings = parseCodings(this.headers.get("content-encoding"));
    try {
      checkCodings(codings, this);
    } catch (error) {
      this.cancel();
      throw error;
    }
    await pipeDecoded(this, codings, (bytes) => {
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
