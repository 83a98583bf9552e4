/**
 * The calls of one set of hooks. Each has a time limit and cannot throw. What hooks are only told of reaches them in order
 * for each URL and never more than they can keep up with. A point that fails again and again is left out for a while.
 */
import type { DownloadHooks, SessionHooks } from "../core/hooks.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";

/** Hooks under one name. */
export type Hooks = DownloadHooks & SessionHooks;

/** Failures in a row after which a point is left out, and for how many milliseconds. */
export const MOST_FAILURES = 5;
export const LEFT_OUT_MS = 5 * 60_000;

/** Calls that may wait for one set of hooks; beyond that chunks and updates are not told of. */
const MOST_WAITING = 1000;

/** How a call ended. */
export type Outcome<T> =
  | { readonly kind: "returned"; readonly value: T }
  | { readonly kind: "threw"; readonly error: unknown }
  | { readonly kind: "hung" }
  /** The point is not there, or left out for now. */
  | { readonly kind: "left out" };

interface Health {
  failures: number;
  /** By the monotonic clock. */
  offUntil: number;
}

/** What calls work with. */
export interface HookCallsInit {
  readonly name: string;
  readonly priority: number;
  readonly hooks: Hooks;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timeLimitMs: number;
}

/** One registered set of hooks. */
export class HookCalls {
  readonly name: string;
  readonly priority: number;
  readonly #init: HookCallsInit;
  readonly #health = new Map<keyof Hooks, Health>();
  readonly #chains = new Map<string, Promise<void>>();
  #waiting = 0;
  #overfull = false;

  constructor(init: HookCallsInit) {
    this.#init = init;
    this.name = init.name;
    this.priority = init.priority;
  }

  /** True if there is such a hook and it is not left out. */
  has(point: keyof Hooks): boolean {
    const { hooks, clock } = this.#init;
    try {
      if (typeof hooks[point] !== "function") return false;
    } catch {
      return false;
    }
    return (this.#health.get(point)?.offUntil ?? 0) <= clock.monotonic();
  }

  /** Calls a hook at once. The outcome is the caller's to judge: by {@link failed} or {@link worked}. Never rejects. */
  async ask<T>(point: keyof Hooks, call: (hooks: Hooks) => T | Promise<T>): Promise<Outcome<T>> {
    if (!this.has(point)) return { kind: "left out" };
    try {
      const value = call(this.#init.hooks);
      return isThenable(value) ? await this.#inTime(value) : { kind: "returned", value };
    } catch (error) {
      return { kind: "threw", error };
    }
  }

  /** Tells a hook of something, behind what it is still told of the same URL. Resolves when it was told; never rejects. */
  tell(url: string, point: keyof Hooks, call: (hooks: Hooks) => unknown): Promise<void> {
    if (!this.has(point) || this.#isTooMuch(point)) return Promise.resolve();
    this.#waiting++;
    const before = this.#chains.get(url);
    const called = before === undefined ? this.#tell(point, call) : before.then(() => this.#tell(point, call));
    const told = called.then(() => {
      this.#waiting--;
      if (this.#chains.get(url) === told) this.#chains.delete(url);
    });
    this.#chains.set(url, told);
    return told;
  }

  /** Resolves when everything that waits was told. */
  async settled(): Promise<void> {
    while (this.#chains.size > 0) await Promise.all(this.#chains.values());
  }

  /** Names a failure in the log. */
  failed(point: keyof Hooks, problem: string): void {
    const { name, logger, clock } = this.#init;
    const health = this.#health.get(point) ?? { failures: 0, offUntil: 0 };
    this.#health.set(point, health);
    health.failures++;
    logger.warn({ hook: name, point }, `hook "${name}", ${point}: ${problem}`);
    if (health.failures < MOST_FAILURES) return;
    health.offUntil = clock.monotonic() + LEFT_OUT_MS;
    logger.error(
      { hook: name, point },
      `hook "${name}", ${point}: failed ${health.failures} times in a row; left out for ${LEFT_OUT_MS / 60_000} minutes`,
    );
  }

  /** The point did what it should. */
  worked(point: keyof Hooks): void {
    this.#health.delete(point);
  }

  async #tell(point: keyof Hooks, call: (hooks: Hooks) => unknown): Promise<void> {
    const outcome = await this.ask(point, call);
    if (outcome.kind === "returned") this.worked(point);
    else if (outcome.kind !== "left out") this.failed(point, describe(outcome));
  }

  /** Chunks and updates come faster than a slow hook takes them: it hears of fewer, and memory stays as it is. */
  #isTooMuch(point: keyof Hooks): boolean {
    if (this.#waiting < MOST_WAITING) {
      this.#overfull = false;
      return false;
    }
    if (point !== "postChunk" && point !== "onUpdated" && point !== "onProgress") return false;
    if (!this.#overfull) {
      this.#overfull = true;
      this.#init.logger.warn(
        { hook: this.name, point },
        `hook "${this.name}" is too slow: ${this.#waiting} calls wait; it is not told of more chunks and updates until it catches up`,
      );
    }
    return true;
  }

  async #inTime<T>(call: PromiseLike<T>): Promise<Outcome<T>> {
    let cancel: (() => void) | undefined;
    const hung = new Promise<Outcome<T>>((resolve) => {
      cancel = this.#init.clock.timer(this.#init.timeLimitMs, () => resolve({ kind: "hung" }));
    });
    try {
      return await Promise.race([call.then((value): Outcome<T> => ({ kind: "returned", value })), hung]);
    } finally {
      cancel?.();
    }
  }
}

/** An outcome in words. */
export function describe(outcome: Outcome<unknown>): string {
  if (outcome.kind === "hung") return "took too long; going on without it";
  return outcome.kind === "threw" ? `threw: ${textOf(outcome.error)}` : outcome.kind;
}

/** What was thrown, in words; a plugin may throw things that cannot even be turned into text. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "something that has no text";
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
