/**
 * Who may come in, and how often. Everything that is kept is bounded: connections in all and of an address, those of them
 * that have proved nothing yet, and wrong proofs, after which an address meets silence for a minute, then two, then four …
 * One address can be a household, or all customers of a carrier: now and then one is let in all the same, and a right proof
 * forgives; this machine itself is never silenced. An IPv6 network of 64
 * bits counts as one address, since whoever has one has all of it.
 */
import { isIPv6 } from "node:net";
import type { Clock } from "../../core/ports/runtime.ts";
import { packAddress } from "../path/ice-signal.ts";

/** How many, at most. */
export interface AddressLimitOptions {
  /** Connections in all. Default 512. */
  readonly connections?: number;
  /** Of them, those that have not proved the code yet. Default 128. */
  readonly halfOpen?: number;
  /** Connections of one address. Default 64. */
  readonly connectionsEach?: number;
  /** Of them, those that have not proved the code yet. Default 16. */
  readonly halfOpenEach?: number;
  /** Wrong or missing proofs of one address in a minute. Default 10. */
  readonly failures?: number;
}

const DEFAULTS: Required<AddressLimitOptions> = {
  connections: 512,
  halfOpen: 128,
  connectionsEach: 64,
  halfOpenEach: 16,
  failures: 10,
};

const MINUTE_MS = 60_000;
/** Between two that are let in during a silence, in milliseconds. */
const PROBE_MS = 10_000;
const LONGEST_SILENCE_MS = 60 * MINUTE_MS;
/** Addresses that are remembered: the ones that were heard of longest ago are forgotten. */
const MOST_ADDRESSES = 4096;

interface Caller {
  connections: number;
  halfOpen: number;
  failures: number;
  /** When the failures began to be counted. */
  since: number;
  silences: number;
  silentUntil: number;
  /** When one was let in last, by the monotonic clock. */
  enteredAt: number;
}

/** A connection that was let in. Each method may be called again, or too late, without effect. */
export interface Ticket {
  /** It has proved the code. */
  proved(): void;
  /** Others judge it, and end it soon if it is nothing: neither forgives what was, nor counts. */
  passed(): void;
  /** It has not, or has proved a wrong one. */
  failed(): void;
  /** It is closed. */
  closed(): void;
}

/** See above. */
export class AddressLimits {
  readonly #limits: Required<AddressLimitOptions>;
  readonly #clock: Clock;
  readonly #callers = new Map<string, Caller>();
  #connections = 0;
  #halfOpen = 0;

  constructor(clock: Clock, options: AddressLimitOptions = {}) {
    this.#clock = clock;
    this.#limits = { ...DEFAULTS, ...options };
  }

  /** Connections, and those that have proved nothing yet. */
  get counts(): { readonly connections: number; readonly halfOpen: number; readonly addresses: number } {
    return { connections: this.#connections, halfOpen: this.#halfOpen, addresses: this.#callers.size };
  }

  /** Undefined: it is not let in. */
  enter(address: string): Ticket | undefined {
    const key = network(address);
    const caller = this.#callers.get(key) ?? this.#newCaller();
    const limits = this.#limits;
    if (this.#connections >= limits.connections || this.#halfOpen >= limits.halfOpen) return undefined;
    if (caller.connections >= limits.connectionsEach || caller.halfOpen >= limits.halfOpenEach) return undefined;
    const now = this.#clock.monotonic();
    const isProbe = caller.halfOpen === 0 && now - caller.enteredAt >= PROBE_MS;
    if (caller.silentUntil > now && !isProbe && !isOwn(key)) return undefined;
    caller.enteredAt = now;
    // Last in the map is who was heard of last.
    this.#callers.delete(key);
    this.#callers.set(key, caller);
    this.#forget();
    caller.connections += 1;
    caller.halfOpen += 1;
    this.#connections += 1;
    this.#halfOpen += 1;
    return this.#ticket(caller);
  }

  #newCaller(): Caller {
    const since = this.#clock.monotonic();
    return { connections: 0, halfOpen: 0, failures: 0, since, silences: 0, silentUntil: 0, enteredAt: since };
  }

  #ticket(caller: Caller): Ticket {
    let waits = true;
    let open = true;
    const settle = () => {
      if (!waits) return false;
      waits = false;
      caller.halfOpen -= 1;
      this.#halfOpen -= 1;
      return true;
    };
    return {
      proved: () => {
        if (!settle()) return;
        caller.failures = 0;
        caller.silences = 0;
        caller.silentUntil = 0;
      },
      passed: () => void settle(),
      failed: () => {
        if (settle()) this.#failed(caller);
      },
      closed: () => {
        settle();
        if (!open) return;
        open = false;
        caller.connections -= 1;
        this.#connections -= 1;
      },
    };
  }

  #failed(caller: Caller): void {
    const now = this.#clock.monotonic();
    // One that was let through: it has been silenced for what was before.
    if (caller.silentUntil > now) return;
    if (now - caller.since > MINUTE_MS) {
      caller.since = now;
      caller.failures = 0;
    }
    caller.failures += 1;
    if (caller.failures < this.#limits.failures) return;
    caller.failures = 0;
    caller.silentUntil = now + Math.min(LONGEST_SILENCE_MS, MINUTE_MS * 2 ** caller.silences);
    caller.silences += 1;
  }

  #forget(): void {
    for (const [key, { connections }] of this.#callers) {
      if (this.#callers.size <= MOST_ADDRESSES) return;
      if (connections === 0) this.#callers.delete(key);
    }
  }
}

/** What counts as one caller: an IPv4 address, however it is written, or 64 bits of IPv6. */
function network(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(address) && address !== "::1" ? packAddress(address).toString("hex", 0, 8) : address;
}

const isOwn = (key: string) => key === "::1" || key.startsWith("127.");
