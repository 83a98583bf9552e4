/** Of the TURN servers that are configured, the first that can be used by a stream: it relays datagrams. */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { StunAddress } from "./stun-wire.ts";
import { TurnClient } from "./turn-client.ts";
import { readTurnUrl, type TurnAccount, type TurnPlace } from "./turn-url.ts";

/** Servers that are tried at most. */
const MOST_SERVERS = 4;

/** What becomes of a relay. */
export interface RelayEvents {
  /** A datagram has come, in memory of its own. */
  readonly onDatagram: (bytes: Buffer, from: StunAddress) => void;
  /** It is gone, and why; called at most once. */
  readonly onEnd: (error: DownloadError) => void;
}

/** A relay of datagrams. Disposal gives it back. */
export interface Relay extends Disposable {
  /** For people: the server's URL. */
  readonly name: string;
  send(bytes: Uint8Array, to: StunAddress): void;
}

/** Makes relays. Idle until it is asked to. */
export class TurnRelays {
  readonly #servers: readonly { readonly place: TurnPlace; readonly account: TurnAccount; readonly name: string }[];
  readonly #clock: Clock;

  constructor(accounts: readonly TurnAccount[], clock: Clock) {
    const servers = accounts.flatMap((account) => {
      const place = readTurnUrl(account.url);
      return place ? [{ place, account, name: account.url.replace(/\?.*$/, "") }] : [];
    });
    // The same server may be there once for UDP and once for TCP.
    const isFirst = ({ place }: (typeof servers)[number], index: number) =>
      servers.findIndex((other) => isSame(other.place, place)) === index;
    this.#servers = servers.filter(isFirst).slice(0, MOST_SERVERS);
    this.#clock = clock;
  }

  /** None can be used by a stream. */
  get isEmpty(): boolean {
    return this.#servers.length === 0;
  }

  /** @throws NetworkError that says what became of each; the signal's reason */
  async open(events: RelayEvents, signal: AbortSignal): Promise<Relay> {
    const problems: string[] = [];
    for (const { place, account, name } of this.#servers) {
      try {
        const client = await TurnClient.open({ place, account, clock: this.#clock, ...events }, signal);
        return { name, send: (bytes, to) => client.send(bytes, to), [Symbol.dispose]: () => client[Symbol.dispose]() };
      } catch (error) {
        signal.throwIfAborted();
        problems.push(asDownloadError(error).message);
      }
    }
    throw failure("CONNECT_FAILED", problems.join("; ") || "no TURN server can be asked over TCP (p2p.turn)");
  }
}

function isSame(a: TurnPlace, b: TurnPlace): boolean {
  return a.host === b.host && a.port === b.port && a.tls === b.tls;
}
