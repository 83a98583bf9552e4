/**
 * The wire's connections, kept while they are of use, and which origins they are of use for: one whose answers are not plain
 * is left to undici for a while.
 */
import type { Clock } from "../core/ports/runtime.ts";
import type { Dialer } from "./dial.ts";
import { mayLead, type Sender } from "./network-policy.ts";
import { WireConnection } from "./wire-connection.ts";

/** Milliseconds that an origin is left to undici after an answer that was not plain. */
const ODD_MS = 60_000;

/** Origins that are remembered so. */
const MOST_ODD = 1000;

/** Milliseconds between two looks at unused connections. */
const LOOK_MS = 500;

/** What the pool needs. */
export interface WiresInit {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly maxHeaderBytes: number;
  /** Milliseconds that an unused connection stays open at most, if the host does not say otherwise. */
  readonly keepAliveMs: number;
  /** A connection is about to be added to those of this origin. */
  readonly onNew: (origin: string) => void;
}

interface Idle {
  readonly connection: WireConnection;
  readonly until: number;
}

/** The wire's connections to all origins. */
export class Wires {
  readonly #init: WiresInit;
  readonly #all = new Set<WireConnection>();
  readonly #idle = new Map<string, Idle[]>();
  readonly #odd = new Map<string, number>();
  #looking: (() => void) | undefined;

  constructor(init: WiresInit) {
    this.#init = init;
  }

  /** False while an origin is left to undici. */
  suits(origin: string): boolean {
    const until = this.#odd.get(origin);
    if (until === undefined) return true;
    if (until > this.#init.clock.monotonic()) return false;
    this.#odd.delete(origin);
    return true;
  }

  /** The connection that was used last and is free, or a new one. @param from - see Destination.from */
  take(url: URL, from: Sender | undefined): WireConnection {
    const idle = this.#idle.get(url.origin);
    const at = idle?.findLastIndex(({ connection: { kind } }) => kind !== undefined && mayLead(from, kind)) ?? -1;
    const [found] = at < 0 ? [] : (idle?.splice(at, 1) ?? []);
    if (found) return found.connection;
    const { dialer, maxHeaderBytes, onNew } = this.#init;
    onNew(url.origin);
    const connection = new WireConnection({
      url,
      from,
      dialer,
      maxHeaderBytes,
      onOdd: () => this.#isOdd(url.origin),
      onClosed: this.#forget,
    });
    this.#all.add(connection);
    return connection;
  }

  /** @param clean - the exchange came to its end */
  giveBack(connection: WireConnection, clean: boolean): void {
    const { clock, keepAliveMs } = this.#init;
    const keepMs = connection.keepMs ?? keepAliveMs;
    if (!clean || keepMs === 0) {
      connection.close();
      return;
    }
    const idle = { connection, until: clock.monotonic() + keepMs };
    const others = this.#idle.get(connection.origin);
    if (others) others.push(idle);
    else this.#idle.set(connection.origin, [idle]);
    this.#looking ??= clock.timer(LOOK_MS, this.#look);
  }

  /** Closes the unused connection of an origin that was used longest ago, if there is one. */
  dropIdle(origin: string): void {
    this.#idle.get(origin)?.[0]?.connection.close();
  }

  /** Closes all of them. */
  destroy(): void {
    this.#looking?.();
    for (const connection of this.#all) connection.abandon();
  }

  readonly #look = (): void => {
    const { clock } = this.#init;
    const now = clock.monotonic();
    for (const idle of [...this.#idle.values()].flat()) if (idle.until <= now) idle.connection.close();
    this.#looking = this.#idle.size > 0 ? clock.timer(LOOK_MS, this.#look) : undefined;
  };

  readonly #forget = (connection: WireConnection): void => {
    this.#all.delete(connection);
    const idle = this.#idle.get(connection.origin);
    const at = idle?.findIndex((other) => other.connection === connection) ?? -1;
    if (at >= 0) idle?.splice(at, 1);
    if (idle?.length === 0) this.#idle.delete(connection.origin);
  };

  #isOdd(origin: string): void {
    this.#odd.delete(origin);
    this.#odd.set(origin, this.#init.clock.monotonic() + ODD_MS);
    const [oldest] = this.#odd.keys();
    if (this.#odd.size > MOST_ODD && oldest !== undefined) this.#odd.delete(oldest);
  }
}
