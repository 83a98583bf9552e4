/**
 * The one HTTP client: everything that leaves by HTTP goes through it, so that politeness, timeouts, redirects and errors
 * are the same everywhere. Plain answers are read by the wire, which has the least to do for each byte; all others by undici.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type { ByteSink, ByteTarget, HttpClient, HttpRequest, HttpResponse } from "../core/ports/http.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { retryAfterMs } from "../core/retry-after.ts";
import { statusError } from "../core/status-error.ts";
import type { Lookup } from "./address-race.ts";
import { checkCodings, parseCodings, pipeDecoded } from "./coding.ts";
import { Connections } from "./connections.ts";
import { Dialer } from "./dial.ts";
import { Exchange, type Head } from "./exchange.ts";
import { Holds } from "./holds.ts";
import { fieldsFor, firstHop, type Hop, isRedirect, nextHop } from "./hop.ts";
import { type ChainIdentity, Identity } from "./identity.ts";
import { absoluteLinks } from "./link-field.ts";
import { requirePort, SeenHosts, type Sender } from "./network-policy.ts";
import { Politeness } from "./politeness.ts";
import { type Proxies, type ProxyServer, proxiesOf, proxyAuthorization } from "./proxy.ts";
import { type Bypass, bypassOf } from "./proxy-bypass.ts";
import { requireAdmission } from "./proxy-connect.ts";
import { UndiciHandler } from "./undici-handler.ts";
import { isPlainRequest, WireConnection } from "./wire-connection.ts";
import { Wires } from "./wires.ts";

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
  /** Read plain answers without a parser (wire-connection.ts); default true. */
  readonly wire?: boolean;
  /** More certificate authorities, in PEM, in place of those of the system. */
  readonly certificateAuthorities?: string | Buffer;
  /** Milliseconds for which a host is left alone at most, whatever it asks for; default a day. */
  readonly maxRetryAfterMs?: number;
  /** Default: none. */
  readonly proxies?: Proxies;
  /** Redirects may lead from public hosts into the private network; default false. */
  readonly allowPrivateRedirects?: boolean;
  /** Hosts that callers over TCP may have asked as the owner may (proxy-bypass.ts); of others only public ones. Default none. */
  readonly allowRemoteHosts?: readonly string[];
  /** Default: the system's resolver. */
  readonly lookup?: Lookup;
}

/** Options that have no default value. */
type Optional = "certificateAuthorities" | "proxies" | "lookup";

/** What the client works with. */
export interface HttpClientParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hosts that want to be left alone; default: none so far, and none after the end. */
  readonly holds?: Holds;
  /** Default: nobody in particular. */
  readonly identity?: Identity;
}

/** {@link HttpClient} over undici. Disposal breaks off what is under way. */
export class UndiciClient implements HttpClient, AsyncDisposable {
  readonly #options: Required<Omit<HttpClientOptions, Optional>>;
  readonly #dialer: Dialer;
  readonly #connections: Connections;
  readonly #wires: Wires;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #politeness: Politeness;
  readonly #identity: Identity;
  readonly #seen = new SeenHosts();
  readonly #allowsRemote: Bypass;
  #closed = false;

  constructor(options: HttpClientOptions, parts: HttpClientParts) {
    const { certificateAuthorities, proxies, lookup, ...rest } = options;
    this.#options = {
      maxRedirects: 10,
      timeoutMs: 30_000,
      maxHeaderBytes: 64 * 1024,
      connectionsPerHost: 16,
      keepAliveMs: 4000,
      wire: true,
      allowPrivateRedirects: false,
      allowRemoteHosts: [],
      maxRetryAfterMs: 86_400_000,
      ...rest,
    };
    this.#allowsRemote = bypassOf(this.#options.allowRemoteHosts.join(","));
    this.#dialer = new Dialer({
      ...this.#options,
      certificateAuthorities,
      proxies: proxies ?? proxiesOf({ proxy: "direct", noProxy: [], environment: {} }),
      ...(lookup && { lookup }),
    });
    // An origin has no more connections because there are two ways to read from it.
    this.#connections = new Connections(this.#options, this.#dialer, (origin) => this.#wires.dropIdle(origin));
    const onNew = (origin: string): void => this.#connections.dropIdle(origin);
    this.#wires = new Wires({ ...this.#options, dialer: this.#dialer, clock: parts.clock, onNew });
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    const holds = parts.holds ?? new Holds(this.#options.maxRetryAfterMs, parts);
    this.#politeness = new Politeness(this.#options.connectionsPerHost, parts.clock, holds);
    this.#identity = parts.identity ?? new Identity({ netrc: "", netrcOptional: true, cookieFile: "" }, parts);
  }

  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    const first = firstHop(request.url);
    const chain = [first.url.href];
    const links: string[] = [];
    // Where a person sent us; what is learnt from there on may not lead further inside.
    const { namedBy } = request;
    const guarded = !this.#options.allowPrivateRedirects;
    let from: Sender | undefined;
    if (guarded && namedBy !== undefined) from = this.#seen.kindOf(new URL(namedBy).hostname);
    if (guarded && request.outside) from = "public";
    let outside: boolean | undefined;
    const identity = this.#identity.begin();
    for (let hop = first; ; ) {
      const remote = request.remote === true && !this.#allowsRemote(hop.url);
      if (remote || (hop === first && namedBy !== undefined)) requirePort(hop.url);
      const way = { hop, first, from: remote ? "remote" : from, identity, remote } as const;
      const { head, exchange, connection } = await this.#ask(way, request, signal);
      this.#seen.note(hop.url.hostname, connection.kind);
      const kind = connection.kind ?? this.#seen.kindOf(hop.url.hostname);
      outside ??= kind === "public";
      // Once outside, the way does not lead in again.
      if (guarded) from = kind === "public" ? kind : (from ?? kind);
      const location = head.headers.get("location");
      if (request.follow === false || request.method === "POST" || !isRedirect(head.status))
        return new Answer(head, exchange, { chain, links, outside }, connection.certificate);
      links.push(...absoluteLinks(head.headers.get("link"), hop.url.href));
      exchange.cancel();
      const learnt = identity.learn(hop, head.headers.get("set-cookie"));
      const next = nextHop(hop, head.status, location);
      if (next.url.origin !== hop.url.origin) requirePort(next.url);
      hop = next;
      // Who sets a cookie and sends back to the same place wants to be asked again, with it.
      this.#checkChain(learnt ? [] : chain, chain.length, hop);
      chain.push(hop.url.href);
      this.#logger.debug({ status: head.status, host: hop.url.host }, "following a redirect");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#wires.destroy();
    await this.#connections.destroy();
  }

  /** Sends one hop's request; once more if a kept connection turned out to be closed by the other side. */
  async #ask({ hop, first, from, identity, remote }: Way, request: HttpRequest, signal: AbortSignal | undefined) {
    const { host, origin, pathname, search, href } = hop.url;
    const forwarder = this.#dialer.forwarderFor(hop.url);
    const { fields: headers, given } = fieldsFor(hop, first, request, this.#options.userAgent);
    const named = request.namedBy !== undefined;
    const { authorization, cookie } = await identity.at(hop, first, given, { named, remote });
    if (authorization !== undefined) headers.push("authorization", authorization);
    if (cookie !== undefined) headers.push("cookie", cookie);
    const admission = forwarder && proxyAuthorization(forwarder);
    if (admission !== undefined) headers.push("proxy-authorization", admission);
    for (let attempt = 1; ; attempt++) {
      const turn = await this.#politeness.turn(host, signal);
      if (this.#closed) {
        turn.end();
        throw failure("SHUTTING_DOWN", `nothing more is asked of ${host}: the client is closed`);
      }
      const { method = "GET", body = null } = request;
      const path = forwarder ? href : pathname + search;
      const plain = this.#options.wire && method === "GET" && !forwarder && isPlainRequest({ path, headers });
      const wired = plain && this.#wires.suits(origin);
      const connection = wired ? this.#wires.take(hop.url, from) : this.#connections.take(origin, from);
      const kept = connection.served > 0;
      const exchange = new Exchange({
        host,
        proxy: this.#dialer.proxyFor(hop.url)?.shown,
        timeoutMs: request.timeoutMs ?? this.#options.timeoutMs,
        clock: this.#clock,
        signal,
        onDone: (clean) => {
          if (connection instanceof WireConnection) this.#wires.giveBack(connection, clean);
          else this.#connections.giveBack(connection, clean);
          // Whoever waits begins when it is known what the host has against this one.
          if (clean) turn.end();
          else setImmediate(() => turn.end(true));
        },
      });
      if (connection instanceof WireConnection) connection.send({ path, headers }, exchange);
      else connection.client.dispatch({ path, method, headers, body }, new UndiciHandler(exchange));
      try {
        const head = this.#believed(await exchange.head);
        this.#tellFewer(host, turn.answered(head.status));
        if (forwarder) this.#checkAdmission(forwarder, head, exchange);
        if (head.status === 429 || head.status === 503)
          this.#politeness.hold(host, statusError({ ...head, url: hop.url.href }, this.#clock.now()));
        return { head, exchange, connection };
      } catch (error) {
        const failed = asDownloadError(error);
        if (!kept) this.#tellFewer(host, turn.failed(failed));
        if (!kept || attempt > MOST_KEPT || failed.code !== "CONNECTION_LOST") throw error;
        this.#logger.debug({ host }, "a kept connection was closed by the other side; asking again");
      }
    }
  }

  #tellFewer(host: string, connections: number | undefined): void {
    if (connections !== undefined)
      this.#logger.info(
        { host, connections },
        `${host} objects: it gets at most ${connections} connections for a while`,
      );
  }

  /** A Retry-After is believed up to the longest wait, by everyone who reads it. */
  #believed(head: Head): Head {
    const { headers } = head;
    const wait = retryAfterMs(headers.get("retry-after"), headers.get("date"), this.#clock.now());
    const { maxRetryAfterMs } = this.#options;
    if (wait === undefined || wait <= maxRetryAfterMs) return head;
    return { ...head, headers: new Map(headers).set("retry-after", String(Math.ceil(maxRetryAfterMs / 1000))) };
  }

  /** @throws NetworkError PROXY_UNAUTHORIZED */
  #checkAdmission(forwarder: ProxyServer, { status }: Head, exchange: Exchange): void {
    try {
      requireAdmission(forwarder, status);
    } catch (error) {
      exchange.cancel();
      throw error;
    }
  }

  /** @param length - places that were asked so far */
  #checkChain(chain: readonly string[], length: number, next: Hop): void {
    const { href, host } = next.url;
    const metadata = { host };
    if (chain.includes(href))
      throw failure("TOO_MANY_REDIRECTS", `the redirects go round in a circle, by way of ${host}`, { metadata });
    if (length > this.#options.maxRedirects)
      throw failure("TOO_MANY_REDIRECTS", `more than ${this.#options.maxRedirects} redirects, the last to ${host}`, {
        metadata,
      });
  }
}

/** A hop, and the way to it. */
interface Way {
  readonly hop: Hop;
  readonly first: Hop;
  /** Where the URL lies that a person gave; undefined at that URL itself. */
  readonly from: Sender | undefined;
  readonly identity: ChainIdentity;
  /** A caller over TCP leads there, to whom nothing more is allowed. */
  readonly remote: boolean;
}

/** A head and the exchange whose body waits. */
class Answer implements HttpResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly url: string;
  readonly chain: readonly string[];
  readonly links: readonly string[];
  readonly certificate?: string;
  readonly outside: boolean;
  readonly #exchange: Exchange;

  constructor(
    head: Head,
    exchange: Exchange,
    { chain, links, outside }: Pick<Answer, "chain" | "links" | "outside">,
    certificate: string | undefined,
  ) {
    this.status = head.status;
    this.headers = head.headers;
    this.chain = chain;
    this.links = links;
    this.outside = outside;
    this.url = chain.at(-1) ?? "";
    if (certificate !== undefined) this.certificate = certificate;
    this.#exchange = exchange;
  }

  pipe(sink: ByteSink): Promise<void> {
    return this.#exchange.pipe(sink);
  }

  receive(target: ByteTarget): Promise<void> {
    return this.#exchange.receive(target);
  }

  async decoded(sink: ByteSink): Promise<void> {
    const codings = parseCodings(this.headers.get("content-encoding"));
    try {
      checkCodings(codings, this);
    } catch (error) {
      this.cancel();
      throw error;
    }
    await pipeDecoded(this, codings, sink);
  }

  async text(maxBytes: number): Promise<string> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    await this.decoded((bytes) => {
      size += bytes.length;
      if (size > maxBytes)
        throw failure("PROTOCOL_ERROR", `${new URL(this.url).host} sent a document of more than ${maxBytes} bytes`);
      pieces.push(Buffer.from(bytes));
    });
    return Buffer.concat(pieces).toString();
  }

  cancel(): void {
    this.#exchange.cancel();
  }
}
