/**
 * The one way to a host: opens the socket over which an origin is then talked to, directly or through a proxy, with TLS
 * where the URL wants it. undici's connections and the raw fast path both come through here, so that proxies, Happy Eyeballs
 * and the network policy hold for both.
 */
import { createHash } from "node:crypto";
import { connect, isIP, type OnReadOpts, type Socket, type TcpNetConnectOpts } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  TLSSocket,
} from "node:tls";
import { type AddressKind, addressKind } from "../core/address-kind.ts";
import { DownloadError, failure } from "../core/errors.ts";
import { type Address, addressesOf, connectFirst, type Lookup, lookup } from "./address-race.ts";
import { notConnected } from "./network-error.ts";
import { hostKind, mayLead, requireAllowed, type Sender } from "./network-policy.ts";
import type { Proxies, ProxyServer } from "./proxy.ts";
import { openTunnel } from "./proxy-connect.ts";
import { connectBySocks } from "./proxy-socks.ts";

/** TLS sessions that are remembered, so that the next connection to the same host is quicker. */
const MOST_SESSIONS = 100;

/** How sockets are opened. */
export interface DialOptions {
  /** Milliseconds until a connection must stand, with all that belongs to it. */
  readonly timeoutMs: number;
  /** Sent to proxies. */
  readonly userAgent: string;
  readonly proxies: Proxies;
  /** In PEM, in place of those of the system; for origins and HTTPS proxies. */
  readonly certificateAuthorities?: string | Buffer | undefined;
  /** Default: the system's resolver. */
  readonly lookup?: Lookup;
}

/** Where to. */
export interface Destination {
  /** Scheme, host and port count. */
  readonly url: URL;
  /** Where the URL lies that a person gave, if this one was learnt from the network: see network-policy.ts. */
  readonly from?: Sender | undefined;
  /** Gives up; what is half open is closed. */
  readonly signal?: AbortSignal | undefined;
  /** Receives into memory of the caller's (node:net). Heeded only where {@link Dialer.heedsOnread} says so. */
  readonly onread?: OnReadOpts;
}

/** An open way to a host. */
export interface Dialled {
  readonly socket: Socket;
  /** Where the host lies; through a proxy that resolves names, what its name tells. */
  readonly kind: AddressKind;
  /** SHA-256 of the origin's certificate, lower-case hex; only over TLS. */
  readonly certificate?: string;
}

/** Opens sockets to origins. Keeps none of them. */
export class Dialer {
  readonly #options: DialOptions;
  readonly #sessions = new Map<string, Buffer>();
  /** A resumed session does not show the certificate again (RFC 5246 §7.3). */
  readonly #certificates = new Map<string, string>();
  #context: SecureContext | undefined;

  constructor(options: DialOptions) {
    this.#options = options;
  }

  /** The proxy through which a URL is asked. @throws DownloadError CONFIG_INVALID */
  proxyFor(url: URL): ProxyServer | undefined {
    return this.#options.proxies.forUrl(url);
  }

  /**
   * The proxy that has to be sent whole URLs, and its own credentials, in each request: an HTTP proxy, for http. All others
   * make a connection on which the origin is talked to as if there were no proxy.
   *
   * @throws DownloadError CONFIG_INVALID
   */
  forwarderFor(url: URL): ProxyServer | undefined {
    const proxy = this.proxyFor(url);
    return url.protocol === "http:" && (proxy?.kind === "http" || proxy?.kind === "https") ? proxy : undefined;
  }

  /** True if there is no proxy on the way: Node reads into a caller's memory only on sockets that it connected for that. */
  heedsOnread(url: URL): boolean {
    return this.proxyFor(url) === undefined;
  }

  /**
   * Opens a socket.
   *
   * @throws NetworkError ADDRESS_NOT_ALLOWED, PROXY_FAILED, PROXY_UNAUTHORIZED, CONNECT_FAILED after the timeout; Error of
   *   node:dns, node:net or node:tls about the origin (see network-error.ts); the signal's reason
   */
  async dial(to: Destination): Promise<Dialled> {
    const { timeoutMs } = this.#options;
    const proxy = this.proxyFor(to.url);
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(to.signal?.reason);
    to.signal?.addEventListener("abort", onAbort, { once: true });
    if (to.signal?.aborted) onAbort();
    const timer = setTimeout(() => abort.abort(notConnected(to.url.host, proxy?.shown, timeoutMs / 1000)), timeoutMs);
    try {
      const dialled = await (proxy ? this.#byProxy(to, proxy, abort.signal) : this.#directly(to, abort.signal));
      const certificate = this.#certificate(to.url, dialled.socket);
      return certificate === undefined ? dialled : { ...dialled, certificate };
    } catch (error) {
      throw abort.signal.aborted ? abort.signal.reason : error;
    } finally {
      clearTimeout(timer);
      to.signal?.removeEventListener("abort", onAbort);
    }
  }

  async #directly({ url, from, onread }: Destination, signal: AbortSignal): Promise<Dialled> {
    const addresses = await this.#allowed(url.hostname, from);
    const read = onread && { onread };
    const plain = url.protocol === "http:";
    const open = (to: TcpNetConnectOpts): Socket =>
      plain ? connect({ ...to, ...read }) : this.#tls(url, { ...to, ...read });
    const socket = await connectFirst(addresses, portOf(url), { signal, open });
    const { remoteAddress } = socket;
    // Of what is closed already nobody knows where it led.
    if (remoteAddress === undefined) throw reset(socket, "the connection was closed as soon as it stood");
    const kind = addressKind(remoteAddress);
    if (plain) return { socket, kind };
    socket.setNoDelay(true).setKeepAlive(true, 60_000);
    return { socket: await secured(socket, signal), kind };
  }

  async #byProxy({ url, from }: Destination, proxy: ProxyServer, signal: AbortSignal): Promise<Dialled> {
    const told = hostKind(url.hostname);
    requireAllowed(from, told, url.hostname);
    const host = bare(url.hostname);
    // The origin's own addresses are looked up before the proxy is bothered.
    const [address] = proxy.kind === "socks5" ? await this.#allowed(url.hostname, from) : [];
    const socket = await this.#toProxy(proxy, signal);
    const breakOff = (): void => void socket.destroy();
    signal.addEventListener("abort", breakOff, { once: true });
    try {
      if (proxy.kind === "socks5" || proxy.kind === "socks5h")
        await connectBySocks(socket, proxy, address?.address ?? host, portOf(url));
      else if (url.protocol === "https:")
        await openTunnel(socket, proxy, `${url.hostname}:${portOf(url)}`, this.#options.userAgent);
    } catch (error) {
      socket.destroy();
      throw proxyError(error, proxy);
    } finally {
      signal.removeEventListener("abort", breakOff);
    }
    const kind = address ? addressKind(address.address) : told;
    return { socket: url.protocol === "http:" ? socket : await this.#secure(socket, url, signal), kind };
  }

  /** The proxy is of the user's own choice: it may be anywhere. */
  async #toProxy(proxy: ProxyServer, signal: AbortSignal): Promise<Socket> {
    try {
      const addresses = await addressesOf(proxy.hostname, this.#options.lookup ?? lookup);
      const socket = await connectFirst(addresses, proxy.port, { signal });
      if (proxy.kind !== "https") return socket;
      return await this.#secure(socket, new URL(`https://${proxy.hostname}:${proxy.port}`), signal);
    } catch (error) {
      throw proxyError(error, proxy);
    }
  }

  /** @throws NetworkError ADDRESS_NOT_ALLOWED if none may be connected to */
  async #allowed(hostname: string, from: Sender | undefined): Promise<readonly Address[]> {
    const found = await addressesOf(hostname, this.#options.lookup ?? lookup);
    const allowed = found.filter(({ address }) => mayLead(from, addressKind(address)));
    const [first] = found;
    if (allowed.length === 0 && first) requireAllowed(from, addressKind(first.address), hostname);
    return allowed;
  }

  #secure(socket: Socket, url: URL, signal: AbortSignal): Promise<Socket> {
    return secured(this.#tls(url, { socket }), signal, socket);
  }

  /** A TLS client for the URL's host, whatever it is connected to. */
  #tls(url: URL, to: ConnectionOptions): TLSSocket {
    const host = bare(url.hostname);
    const key = keyOf(url);
    const { certificateAuthorities: ca } = this.#options;
    this.#context ??= createSecureContext(ca === undefined ? {} : { ca });
    const session = this.#sessions.get(key);
    const client = connectTls({
      ...to,
      // Addresses are not named in the handshake (RFC 6066 §3).
      servername: isIP(host) === 0 ? host : "",
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
      secureContext: this.#context,
      // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1"],
      ...(session && { session }),
    });
    return client.on("session", (fresh: Buffer) => this.#remember(key, fresh));
  }

  #remember(key: string, session: Buffer): void {
    keep(this.#sessions, key, session);
  }

  /** The certificate of the host; a plain request over an HTTPS proxy has the proxy's, which is not the origin's. */
  #certificate(url: URL, socket: Socket): string | undefined {
    if (url.protocol !== "https:" || !(socket instanceof TLSSocket)) return undefined;
    const key = keyOf(url);
    const raw = socket.getPeerX509Certificate()?.raw;
    if (raw === undefined) return this.#certificates.get(key);
    const certificate = createHash("sha256").update(raw).digest("hex");
    keep(this.#certificates, key, certificate);
    return certificate;
  }
}

/** Waits for the end of the handshake. @param below - the socket that it is made over, if that is another one */
function secured(client: Socket, signal: AbortSignal, below: Socket = client): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      signal.removeEventListener("abort", onAbort);
      client.off("close", onClose);
    };
    const fail = (error: unknown): void => {
      end();
      client.destroy();
      below.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    const onClose = (): void => fail(reset(client, "the connection was closed in the TLS handshake"));
    signal.addEventListener("abort", onAbort, { once: true });
    client.once("secureConnect", () => {
      end();
      resolve(client);
    });
    client.on("error", fail);
    client.once("close", onClose);
    if (signal.aborted) onAbort();
  });
}

/** The error of a connection that the other side has closed. */
function reset(socket: Socket, message: string): Error {
  socket.destroy();
  return Object.assign(new Error(message), { code: "ECONNRESET" });
}

/** Puts an entry into a map that remembers the latest ones. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST_SESSIONS && oldest !== undefined) map.delete(oldest);
}

function keyOf(url: URL): string {
  return `${bare(url.hostname)}:${portOf(url)}`;
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === "https:" ? 443 : 80));
}

function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Errors on the way to the proxy are the proxy's, not the origin's. */
function proxyError(error: unknown, { shown }: ProxyServer): unknown {
  if (error instanceof DownloadError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === "ECONNREFUSED" ? "it refused the connection" : code === "ENOTFOUND" ? "its name is unknown" : message;
  return failure("PROXY_FAILED", `the proxy ${shown} cannot be used: ${why}`, {
    cause: error,
    metadata: { proxy: shown, ...(code !== undefined && { errno: code }) },
  });
}
