/**
 * Connections to origins, kept while they are of use. undici's own pool opens another connection whenever a request
 * follows closely on another, because a connection counts as busy until the next turn of the event loop; here a request
 * gets a connection and waits that turn on it, so that the number of connections is the number of exchanges at work.
 */
import { Client } from "undici";
import type { AddressKind } from "../core/address-kind.ts";
import type { Dialer } from "./dial.ts";
import { mayLead, type Sender } from "./network-policy.ts";

/** How connections are kept. */
export interface ConnectionOptions {
  readonly maxHeaderBytes: number;
  /** Milliseconds that an unused connection stays open, if the host does not say otherwise. */
  readonly keepAliveMs: number;
}

/** One connection of one origin, which connects when it is first used. */
export interface Connection {
  readonly client: Client;
  readonly origin: string;
  /** Exchanges that it has brought to their end. */
  served: number;
  /** Where the host lies; known once it is connected. */
  kind: AddressKind | undefined;
  /** Gives up connecting. */
  readonly abort: AbortController;
  /** SHA-256 of the server's certificate, lower-case hex; known once it stands, and only over TLS. */
  certificate?: string;
}

/** The connections of all origins. */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #dialer: Dialer;
  readonly #idle = new Map<string, Connection[]>();
  readonly #all = new Set<Connection>();
  readonly #onNew: (origin: string) => void;

  /** @param onNew - a connection is about to be added to those of this origin */
  constructor(options: ConnectionOptions, dialer: Dialer, onNew: (origin: string) => void) {
    this.#options = options;
    this.#dialer = dialer;
    this.#onNew = onNew;
  }

  /**
   * The connection that was used last and is free, or a new one.
   *
   * @param from - where the URL lies that a person gave, if this is where it led: see network-policy.ts
   */
  take(origin: string, from: Sender | undefined): Connection {
    const idle = this.#idle.get(origin) ?? [];
    // A kept one may lead where only a person may send somebody: then a new one is made, and refused.
    const at = idle.findLastIndex(({ kind }) => kind !== undefined && mayLead(from, kind));
    const [found] = at < 0 ? [] : idle.splice(at, 1);
    if (found) return found;
    this.#onNew(origin);
    return this.#make(origin, from);
  }

  /** Closes the unused connection of an origin that was used longest ago, if there is one. */
  dropIdle(origin: string): void {
    const [oldest] = this.#idle.get(origin) ?? [];
    if (oldest) this.#forget(oldest);
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
    for (const { abort } of this.#all) abort.abort();
    await Promise.all([...this.#all].map(({ client }) => client.destroy()));
  }

  #make(origin: string, from: Sender | undefined): Connection {
    const { maxHeaderBytes, keepAliveMs } = this.#options;
    const url = new URL(origin);
    const abort = new AbortController();
    const client = new Client(origin, {
      allowH2: false,
      connect: (_options, callback) => {
        this.#dialer.dial({ url, from, signal: abort.signal }).then(
          ({ socket, kind, certificate }) => {
            connection.kind = kind;
            if (certificate !== undefined) connection.certificate = certificate;
            callback(null, socket);
          },
          (error: Error) => callback(error, null),
        );
      },
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: 60_000,
      // Exchange watches the clock itself: by a monotonic one, and not while the sink holds the sender back.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const connection: Connection = { client, origin, served: 0, kind: undefined, abort };
    this.#all.add(connection);
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

  #drop(connection: Connection): void {
    const { client, abort } = connection;
    this.#all.delete(connection);
    abort.abort();
    // Not in this call: it is made inside of the client's own handlers. It fails only if it is destroyed already.
    queueMicrotask(() => client.destroy().catch(() => undefined));
  }
}
