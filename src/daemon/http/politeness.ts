/**
 * Manners towards a host, over all downloads: a cap on the connections that are used at once, and Retry-After, which holds
 * for the whole host and not only for the request that was told so.
 */
import { type DownloadError, failure } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";

interface Host {
  active: number;
  readonly waiting: Set<() => void>;
  hold?: { readonly until: number; readonly error: DownloadError };
}

/** Gives out turns at hosts. A host is a name with its port, as in `URL.host`. */
export class Politeness {
  readonly #hosts = new Map<string, Host>();
  readonly #connectionsPerHost: number;
  readonly #clock: Clock;

  /** @param connectionsPerHost - turns that are out at once, for one host */
  constructor(connectionsPerHost: number, clock: Clock) {
    this.#connectionsPerHost = connectionsPerHost;
    this.#clock = clock;
  }

  /**
   * Waits for a turn. First come, first served.
   *
   * @returns gives the turn back; called again it does nothing
   * @throws DownloadError what the host answered last, while its Retry-After runs: with `held: "true"` in its metadata,
   *   since the host was not asked again, and nobody's attempt is used up; the signal's reason
   */
  async turn(name: string, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    this.#checkHold(name);
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { active: 0, waiting: new Set() };
      this.#hosts.set(name, host);
    }
    if (host.active < this.#connectionsPerHost) host.active++;
    else await this.#wait(host, signal);
    const given = host;
    let back = false;
    const giveBack = () => {
      if (back) return;
      back = true;
      this.#handOn(name, given);
    };
    try {
      this.#checkHold(name);
    } catch (error) {
      giveBack();
      throw error;
    }
    return giveBack;
  }

  /** Remembers that the host asked to be left alone: until then {@link turn} throws the same error. */
  hold(name: string, error: DownloadError): void {
    if (error.retryAfterMs === undefined || error.retryAfterMs <= 0) return;
    const until = this.#clock.monotonic() + error.retryAfterMs;
    const host = this.#hosts.get(name) ?? { active: 0, waiting: new Set() };
    if (host.hold === undefined || host.hold.until < until) host.hold = { until, error };
    this.#hosts.set(name, host);
  }

  #checkHold(name: string): void {
    const host = this.#hosts.get(name);
    if (host?.hold === undefined) return;
    const left = host.hold.until - this.#clock.monotonic();
    // A timer may fire a millisecond early: whoever waited for it has waited.
    if (left > 1) {
      const { code, message, metadata } = host.hold.error;
      throw failure(code, message, { metadata: { ...metadata, held: "true" }, retryAfterMs: left, retryable: true });
    }
    delete host.hold;
    this.#forgetIfIdle(name, host);
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

  /** The next in line takes the turn over as it is; the count does not change. */
  #handOn(name: string, host: Host): void {
    const [next] = host.waiting;
    if (next) {
      host.waiting.delete(next);
      next();
      return;
    }
    host.active--;
    this.#forgetIfIdle(name, host);
  }

  #forgetIfIdle(name: string, host: Host): void {
    if (host.active === 0 && host.hold === undefined) this.#hosts.delete(name);
  }
}
