/**
 * Connections to origins, kept while they are of use. undici's own pool opens another connection whenever a request
 * follows closely on another, because a connection counts as busy until the next turn of the event loop; here a request
 * gets a connection and waits that turn on it, so that the number of connections is the number of exchanges at work.
 */
import { createHash } from "node:crypto";
import { TLSSocket } from "node:tls";
import { buildConnector, Client } from "undici";

/** How connections are made and kept. */
export interface ConnectionOptions {
  /** Milliseconds until a connection must stand. */
  readonly timeoutMs: number;
  readonly maxHeaderBytes: number;
  /** Milliseconds that an unused connection stays open, if the host does not say otherwise. */
  readonly keepAliveMs: number;
  /** In PEM. */
  readonly certificateAuthorities?: string | Buffer | undefined;
}

/** One connection of one origin, which connects when it is first used. */
export interface Connection {
  readonly client: Client;
  readonly origin: string;
  /** Exchanges that it has brought to their end. */
  served: number;
  /** SHA-256 of the server's certificate, lower-case hex; known once it stands, and only over TLS. */
  certificate?: string;
}

/** The connections of all origins. */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #idle = new Map<string, Connection[]>();
  readonly #all = new Set<Client>();
  #connect: buildConnector.connector | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The connection that was used last and is free, or a new one. */
  take(origin: string): Connection {
    return this.#idle.get(origin)?.pop() ?? this.#make(origin);
  }

  /** @param clean - the exchange came to its end, so that the connection can be used again */
  giveBack(connection: Connection, clean: boolean): void {
    if (!clean) {
      this.#drop(connection);
      return;
    }
    connection.served++;
    const idle = this.#idle.get(connection.origin);
    if (idle) idle.push(connection);
    else this.#idle.set(connection.origin, [connection]);
  }

  /** Closes all of them; what is under way on them fails. */
  async destroy(): Promise<void> {
    this.#idle.clear();
    await Promise.all([...this.#all].map((client) => client.destroy()));
  }

  #make(origin: string): Connection {
    const { timeoutMs, maxHeaderBytes, keepAliveMs, certificateAuthorities } = this.#options;
    this.#connect ??= buildConnector({
      allowH2: false,
      timeout: timeoutMs,
      ...(certificateAuthorities !== undefined && { ca: certificateAuthorities }),
    });
    const connect = this.#connect;
    const client = new Client(origin, {
      allowH2: false,
      connect: (options, callback) =>
        connect(options, (...stands) => {
          const [, socket] = stands;
          if (socket instanceof TLSSocket) connection.certificate = fingerprint(socket);
          callback(...stands);
        }),
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: 60_000,
      // Exchange watches the clock itself: by a monotonic one, and not while the sink holds the sender back.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#all.add(client);
    const connection: Connection = { client, origin, served: 0 };
    client.on("disconnect", () => this.#forget(connection));
    return connection;
  }

  /** The other side, or the time, has closed it. If it is in use, its exchange knows. */
  #forget(connection: Connection): void {
    const idle = this.#idle.get(connection.origin);
    const at = idle?.indexOf(connection) ?? -1;
    if (idle === undefined || at < 0) return;
    idle.splice(at, 1);
    if (idle.length === 0) this.#idle.delete(connection.origin);
    this.#drop(connection);
  }

  #drop({ client }: Connection): void {
    this.#all.delete(client);
    // Not in this call: it is made inside of the client's own handlers. It fails only if it is destroyed already.
    queueMicrotask(() => client.destroy().catch(() => undefined));
  }
}

/** Of the certificate that the server showed; a resumed session remembers it. */
function fingerprint(socket: TLSSocket): string {
  return createHash("sha256").update(socket.getPeerCertificate().raw).digest("hex");
}
