/**
 * A client of TURN (RFC 8656) over TCP: an allocation, that is a UDP port at the server, through which datagrams go where no
 * UDP leaves this network, or nobody is to learn our address. It is kept until it is closed. Like UDP itself it loses what
 * cannot be sent at once: too much, too long, to too many.
 */
import type { DownloadError } from "../../core/errors.ts";
import { failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { StunAddress } from "./stun-wire.ts";
import { TurnConnection } from "./turn-connection.ts";
import { TURN, type TurnMessage, UDP } from "./turn-message.ts";
import { TurnPermissions } from "./turn-permissions.ts";
import type { TurnAccount, TurnPlace } from "./turn-url.ts";

/** Seconds that an allocation lasts if the server does not say (RFC 8656 §3.2), and the bounds of what it may say. */
const LIFETIME_S = 600;
const SHORTEST_S = 30;
const LONGEST_S = 3600;

/** An allocation is renewed so many milliseconds before its end, or when half of it is over. */
const BEFORE_END_MS = 60_000;

/** Datagrams a second that are sent. */
const MOST_PER_SECOND = 300;

/** Bytes of a datagram, so that its message is not longer than what is read. */
const LONGEST_DATAGRAM = 1400;

/** What a client is made of. */
export interface TurnClientInit {
  readonly place: TurnPlace;
  readonly account: TurnAccount;
  readonly clock: Clock;
  /** A datagram has come, in memory of its own. */
  readonly onDatagram: (bytes: Buffer, from: StunAddress) => void;
  /** The relay is gone, and why; called at most once, and not after disposal. */
  readonly onEnd: (error: DownloadError) => void;
}

/** An allocation. */
export class TurnClient implements Disposable {
  readonly #connection: TurnConnection;
  readonly #permissions: TurnPermissions;
  readonly #init: TurnClientInit;
  /** Where datagrams that it sends come from. */
  readonly relayed: StunAddress;
  #cancelRefresh: () => void = () => undefined;
  #sent = { second: 0, count: 0 };
  #ended = false;

  private constructor(init: TurnClientInit, connection: TurnConnection, relayed: StunAddress) {
    const { clock } = init;
    this.#init = init;
    this.#connection = connection;
    this.relayed = relayed;
    this.#permissions = new TurnPermissions({
      clock,
      ask: async (addresses) => {
        const peers = addresses.map((address) => ({ address, port: 0 }));
        await connection.request(TURN.createPermission, { peers });
      },
    });
  }

  /** @throws NetworkError CONNECT_FAILED, TIMED_OUT, PROTOCOL_ERROR that says what the server said; the signal's reason */
  static async open(init: TurnClientInit, signal: AbortSignal): Promise<TurnClient> {
    const { place, account, clock } = init;
    let client: TurnClient | undefined;
    const connection = await TurnConnection.open(
      {
        ...{ place, account, clock },
        onIndication: (message) => {
          if (client) client.#take(message);
        },
        onEnd: (error) => {
          if (client) client.#end(error);
        },
      },
      signal,
    );
    const onAbort = () => connection[Symbol.dispose]();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const { relayed, lifetime } = await connection.request(TURN.allocate, { transport: UDP, lifetime: LIFETIME_S });
      if (relayed === undefined) throw failure("PROTOCOL_ERROR", `${account.url} does not say where it relays`);
      client = new TurnClient(init, connection, relayed);
      client.#renewIn(lifetime);
      return client;
    } catch (error) {
      connection[Symbol.dispose]();
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Sends a datagram, or not. @param bytes - copied before they leave, if they have to wait */
  send(bytes: Uint8Array, to: StunAddress): void {
    if (this.#ended || bytes.length > LONGEST_DATAGRAM || this.#isTooMuch()) return;
    const data = Uint8Array.from(bytes);
    this.#permissions.whenAllowed(to.address, () => this.#connection.indicate(TURN.send, { peers: [to], data }));
  }

  /** Gives the allocation back. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelRefresh();
    this.#connection.close(TURN.refresh, { lifetime: 0 });
  }

  #take({ method, peers, data }: TurnMessage): void {
    const [from] = peers ?? [];
    if (method !== TURN.data || from === undefined || data === undefined || this.#ended) return;
    // A copy: whoever keeps a part of it must not keep all that came with it.
    this.#init.onDatagram(Buffer.from(data), from);
  }

  #renewIn(lifetime = LIFETIME_S): void {
    const ms = Math.min(Math.max(lifetime, SHORTEST_S), LONGEST_S) * 1000;
    this.#cancelRefresh = this.#init.clock.timer(Math.max(ms / 2, ms - BEFORE_END_MS), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    try {
      const { lifetime } = await this.#connection.request(TURN.refresh, { lifetime: LIFETIME_S });
      if (!this.#ended) this.#renewIn(lifetime);
    } catch (error) {
      this.#connection[Symbol.dispose]();
      this.#end(error as DownloadError);
    }
  }

  #end(error: DownloadError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelRefresh();
    this.#init.onEnd(error);
  }

  #isTooMuch(): boolean {
    const second = Math.floor(this.#init.clock.monotonic() / 1000);
    if (second !== this.#sent.second) this.#sent = { second, count: 0 };
    return ++this.#sent.count > MOST_PER_SECOND;
  }
}
