/**
 * Permissions of an allocation (RFC 8656 §9): a server passes datagrams on only to and from addresses that the client has
 * named. They are asked for when something is to be sent, many in one request, and renewed as long as something is; there
 * are never more than so many.
 */
import { asDownloadError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";

/** Addresses at once. */
const MOST_ADDRESSES = 256;

/** Addresses in one request. */
const MOST_AT_ONCE = 16;

/** Milliseconds that a permission is used for (it lasts 300 s), and after which it is renewed if something is sent. */
const LASTS_MS = 285_000;
const RENEW_MS = 200_000;

/** Milliseconds until an address that was refused is asked for again. */
const REFUSED_MS = 5 * 60_000;

/** The same after a request that was not answered. */
const FAILED_MS = 5000;

/** Packets that wait for one permission. */
const MOST_PACKETS = 4;

/** By the monotonic clock. */
interface Times {
  until: number;
  renewAt: number;
  refusedUntil: number;
}

interface Permission extends Times {
  /** Asked for, or about to be. */
  pending: boolean;
  readonly packets: (() => void)[];
}

/** What they need. */
export interface PermissionsInit {
  /** Asks the server for all of them. @throws NetworkError; `metadata.turn` is the server's code, if it refused */
  readonly ask: (addresses: readonly string[]) => Promise<void>;
  readonly clock: Clock;
}

/** See above. */
export class TurnPermissions {
  readonly #init: PermissionsInit;
  readonly #permissions = new Map<string, Permission>();
  readonly #queue: string[] = [];
  #asking = false;

  constructor(init: PermissionsInit) {
    this.#init = init;
  }

  /** Sends as soon as it is permitted; perhaps never. */
  whenAllowed(address: string, send: () => void): void {
    const permission = this.#of(address);
    if (permission === undefined) return;
    const now = this.#init.clock.monotonic();
    if (now < permission.refusedUntil) return;
    if (now < permission.until) send();
    else if (permission.packets.length < MOST_PACKETS) permission.packets.push(send);
    if (permission.pending || now < permission.renewAt) return;
    permission.pending = true;
    this.#queue.push(address);
    if (!this.#asking) void this.#askAll();
  }

  /** The address's permission, or room for one; undefined: there are too many. */
  #of(address: string): Permission | undefined {
    const known = this.#permissions.get(address);
    if (known !== undefined) return known;
    if (this.#permissions.size >= MOST_ADDRESSES) this.#forgetOld();
    if (this.#permissions.size >= MOST_ADDRESSES) return undefined;
    const permission: Permission = { until: 0, renewAt: 0, refusedUntil: 0, pending: false, packets: [] };
    this.#permissions.set(address, permission);
    return permission;
  }

  #forgetOld(): void {
    const now = this.#init.clock.monotonic();
    for (const [address, { until, refusedUntil, pending }] of this.#permissions)
      if (!pending && until <= now && refusedUntil <= now) this.#permissions.delete(address);
  }

  /** One request at a time: what is asked for meanwhile goes into the next. Never rejects. */
  async #askAll(): Promise<void> {
    this.#asking = true;
    // What is sent in this turn goes into one request.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#ask(this.#queue.splice(0, MOST_AT_ONCE));
    this.#asking = false;
  }

  async #ask(addresses: readonly string[]): Promise<void> {
    try {
      await this.#init.ask(addresses);
      this.#settle(addresses, { until: LASTS_MS, renewAt: RENEW_MS });
    } catch (error) {
      const isRefused = asDownloadError(error).metadata["turn"] !== undefined;
      // One that the server does not relay to spoils the request for all (RFC 8656 §9.2).
      if (isRefused && addresses.length > 1) for (const address of addresses) await this.#ask([address]);
      else this.#settle(addresses, { refusedUntil: isRefused ? REFUSED_MS : FAILED_MS });
    }
  }

  /** @param lasts - in milliseconds from now */
  #settle(addresses: readonly string[], lasts: Partial<Times>): void {
    const now = this.#init.clock.monotonic();
    for (const address of addresses) {
      const permission = this.#permissions.get(address);
      if (permission === undefined) continue;
      permission.pending = false;
      for (const [time, ms] of Object.entries(lasts)) permission[time as keyof Times] = now + ms;
      for (const send of permission.packets.splice(0)) if (lasts.until !== undefined) send();
    }
  }
}
