/**
 * Manners towards a host, over all downloads: a cap on the connections that are used at once, which is halved when the host
 * objects and grows again by one after a while of success (AIMD, as in RFC 5681); and Retry-After, which holds for the whole
 * host and not only for the request that was told so.
 */
import type { DownloadError } from "../core/errors.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { Holds } from "./holds.ts";

/** Milliseconds of success until one more connection is tried. */
const GROW_MS = 10_000;

/** The longest that it takes, for a host that objected to each try. */
const LONGEST_GROW_MS = 10 * 60_000;

/** Milliseconds in which a host notices that a connection was closed. */
const NOTICE_MS = 50;

/** Errors by which a host that serves others says that it does not want another connection. */
const OBJECTIONS: ReadonlySet<string> = new Set(["CONNECT_REFUSED", "CONNECTION_LOST"]);

/** A turn at a host: the right to use one connection. */
export interface Turn {
  /**
   * The host answered; called once.
   *
   * @param status - of HTTP; 429 and 503 are objections
   * @returns connections that it gets from now on, if it has just lost some
   */
  answered(status: number): number | undefined;
  /** There was no answer. It is an objection if others have one: else the host is simply not there. @returns the same */
  failed(error: DownloadError): number | undefined;
  /**
   * Gives the turn back; called again it does nothing.
   *
   * @param closed - the connection was closed: a host that bears few of them is given a moment to notice
   */
  end(closed?: boolean): void;
}

interface Host {
  active: number;
  /** Those of the active ones that were answered. */
  answered: number;
  readonly waiting: Set<() => void>;
  /** Connections that it seems to bear; at most the cap. */
  allowed: number;
  /** When `allowed` was changed, on the monotonic clock. */
  changedAt: number;
  /** Milliseconds of success until it grows. */
  growMs: number;
}

/** Gives out turns at hosts. A host is a name with its port, as in `URL.host`. */
export class Politeness {
  readonly #hosts = new Map<string, Host>();
  readonly #cap: number;
  readonly #clock: Clock;
  readonly #holds: Holds;

  /** @param connectionsPerHost - turns that are out at once, for one host */
  constructor(connectionsPerHost: number, clock: Clock, holds: Holds) {
    this.#cap = connectionsPerHost;
    this.#clock = clock;
    this.#holds = holds;
  }

  /**
   * Waits for a turn. First come, first served.
   *
   * @throws DownloadError what the host answered last, while its Retry-After runs: see Holds.check; the signal's reason
   */
  async turn(name: string, signal?: AbortSignal): Promise<Turn> {
    signal?.throwIfAborted();
    this.#holds.check(name);
    const host = this.#hosts.get(name) ?? this.#begin(name);
    if (host.active < host.allowed) host.active++;
    else await this.#wait(host, signal);
    const turn = this.#turn(name, host);
    try {
      this.#holds.check(name);
    } catch (error) {
      turn.end();
      throw error;
    }
    return turn;
  }

  /** Remembers that the host asked to be left alone: until then {@link turn} throws the same error. */
  hold(name: string, error: DownloadError): void {
    this.#holds.set(name, error);
  }

  /** Connections that the host is believed to bear. */
  allowed(name: string): number {
    return this.#hosts.get(name)?.allowed ?? this.#cap;
  }

  #begin(name: string): Host {
    const host: Host = {
      active: 0,
      answered: 0,
      waiting: new Set(),
      allowed: this.#cap,
      changedAt: this.#clock.monotonic(),
      growMs: GROW_MS,
    };
    this.#hosts.set(name, host);
    return host;
  }

  #turn(name: string, host: Host): Turn {
    const since = this.#clock.monotonic();
    let ended = false;
    let answered = false;
    // An answer may be complete, and the turn over, before anyone has looked at it.
    const object = () => this.#object(this.#hosts.get(name) ?? this.#begin(name), since, ended ? 1 : 0);
    return {
      answered: (status) => {
        if (status === 429 || status === 503) return object();
        if (ended) this.#succeeded(host);
        else {
          answered = true;
          host.answered++;
        }
        return undefined;
      },
      failed: ({ code }) => (!answered && host.answered > 0 && OBJECTIONS.has(code) ? object() : undefined),
      end: (closed = false) => {
        if (ended) return;
        ended = true;
        if (answered) {
          host.answered--;
          this.#succeeded(host);
        }
        if (closed && host.allowed < this.#cap) this.#clock.timer(NOTICE_MS, () => this.#handOn(name, host));
        else this.#handOn(name, host);
      },
    };
  }

  /**
   * @param since - when the turn began: what was under way when the host objected before belongs to that objection
   * @param more - turns that are over already and count still
   */
  #object(host: Host, since: number, more: number): number | undefined {
    const before = host.allowed;
    const again = before < this.#cap;
    if (again && since < host.changedAt) return undefined;
    // A try with one more that failed: the next one has time.
    host.growMs = again ? Math.min(host.growMs * 2, LONGEST_GROW_MS) : GROW_MS;
    host.allowed = Math.max(1, Math.floor(Math.min(host.allowed, host.active + more) / 2));
    host.changedAt = this.#clock.monotonic();
    return host.allowed < before ? host.allowed : undefined;
  }

  #succeeded(host: Host): void {
    const now = this.#clock.monotonic();
    if (host.allowed >= this.#cap || now - host.changedAt < host.growMs) return;
    // Whoever waits for it gets it with the turn that ends now.
    host.allowed++;
    host.changedAt = now;
  }

  #wait(host: Host, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const abort = () => {
        host.waiting.delete(turn);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      host.waiting.add(turn);
    });
  }

  /** One turn is free: as many as are allowed now go to the next in line. */
  #handOn(name: string, host: Host): void {
    host.active--;
    for (const next of host.waiting) {
      if (host.active >= host.allowed) break;
      host.waiting.delete(next);
      host.active++;
      next();
    }
    // What was learnt of the host stays for as long as it is of use.
    if (host.active === 0 && host.allowed >= this.#cap) this.#hosts.delete(name);
  }
}
