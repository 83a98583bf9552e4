/**
 * Runs hooks: by priority, each with a time limit, each on its own. A hook that throws or hangs is named in the log and
 * harms nothing; only preDownload may say no.
 */

import type { DownloadError } from "../core/errors.ts";
import { failure } from "../core/errors.ts";
import type { NumberedEvent } from "../core/events.ts";
import type { DownloadHooks, HookMetadata, Recovery, SessionHooks } from "../core/hooks.ts";
import type { DownloadChunk } from "../core/manifest.ts";
import type { Clock, Logger } from "../core/ports.ts";

/** Hooks under one name. */
export type Hooks = DownloadHooks & SessionHooks;

/** Milliseconds that a hook may take. */
const TIME_LIMIT_MS = 10_000;

/** The longest wait that a hook may ask for, in seconds: thirty days. */
const LONGEST_WAIT_S = 30 * 86_400;

interface Registered {
  readonly name: string;
  readonly priority: number;
  readonly hooks: Hooks;
}

/** The registered hooks. */
export class HookRunner {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timeLimitMs: number;
  #hooks: readonly Registered[] = [];

  constructor(clock: Clock, logger: Logger, timeLimitMs = TIME_LIMIT_MS) {
    this.#clock = clock;
    this.#logger = logger;
    this.#timeLimitMs = timeLimitMs;
  }

  /** True if nobody listens: the engine then need not build what hooks would be given. */
  get idle(): boolean {
    return this.#hooks.length === 0;
  }

  /** Adds hooks; the same name again replaces the former. Lower priorities run first. @returns takes them out */
  register(name: string, hooks: Hooks, priority = 10): () => void {
    const entry = { name, priority, hooks };
    this.#hooks = [...this.#hooks.filter((other) => other.name !== name), entry].sort(
      (a, b) => a.priority - b.priority,
    );
    return () => {
      this.#hooks = this.#hooks.filter((other) => other !== entry);
    };
  }

  /** @throws DownloadError VETOED when a hook refuses */
  async preDownload(url: string, metadata: HookMetadata): Promise<void> {
    for (const { name, hooks } of this.#hooks) {
      if (!hooks.preDownload) continue;
      const outcome = await this.#guarded(() => hooks.preDownload?.(url, metadata));
      if (outcome.kind === "threw") {
        const reason = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
        throw failure("VETOED", `the hook "${name}" refused the download: ${reason}`, {
          cause: outcome.error,
          metadata: { hook: name },
        });
      }
      if (outcome.kind === "hung") this.#complain(name, "preDownload", "took too long; going on without it");
    }
  }

  postChunk(chunk: DownloadChunk, sha256: string): Promise<void> {
    return this.#each("postChunk", (hooks) => hooks.postChunk?.(chunk, sha256));
  }

  postDownload(url: string, filePath: string): Promise<void> {
    return this.#each("postDownload", (hooks) => hooks.postDownload?.(url, filePath));
  }

  /** The first decision that a hook makes about a failed attempt. */
  async onError(url: string, error: DownloadError, attempt: number): Promise<Recovery | undefined> {
    for (const { name, hooks } of this.#hooks) {
      if (!hooks.onError) continue;
      const outcome = await this.#guarded(() => hooks.onError?.(url, error, attempt));
      if (outcome.kind === "returned" && outcome.value) {
        if (isRecovery(outcome.value)) return outcome.value;
        this.#complain(name, "onError", "decided something that cannot be done; going on without it");
      }
      if (outcome.kind !== "returned") this.#complain(name, "onError", describe(outcome));
    }
    return undefined;
  }

  /** Tells the session hooks of an event. */
  async sessionEvent({ event }: NumberedEvent): Promise<void> {
    switch (event.type) {
      case "created":
        return this.#each("onCreated", (hooks) => hooks.onCreated?.(event.session));
      case "updated":
        return this.#each("onUpdated", (hooks) => hooks.onUpdated?.(event.session, event.previous));
      case "progress":
        return this.#each("onProgress", (hooks) => hooks.onProgress?.(event.session, event.milestone));
      case "error":
        return this.#each("onSessionError", (hooks) => hooks.onSessionError?.(event.session));
      case "cleaned":
        return this.#each("onCleaned", (hooks) => hooks.onCleaned?.(event.session));
    }
  }

  async #each(point: keyof Hooks, call: (hooks: Hooks) => unknown): Promise<void> {
    for (const { name, hooks } of this.#hooks) {
      if (!hooks[point]) continue;
      const outcome = await this.#guarded(() => call(hooks));
      if (outcome.kind !== "returned") this.#complain(name, point, describe(outcome));
    }
  }

  #complain(hook: string, point: string, problem: string): void {
    this.#logger.warn({ hook, point }, `hook "${hook}", ${point}: ${problem}`);
  }

  async #guarded<T>(call: () => T | Promise<T>): Promise<Outcome<T>> {
    let cancel: (() => void) | undefined;
    const hung = new Promise<Outcome<T>>((resolve) => {
      cancel = this.#clock.timer(this.#timeLimitMs, () => resolve({ kind: "hung" }));
    });
    try {
      const run = async (): Promise<Outcome<T>> => ({ kind: "returned", value: await call() });
      return await Promise.race([run(), hung]);
    } catch (error) {
      return { kind: "threw", error };
    } finally {
      cancel?.();
    }
  }
}

/** A plugin may be plain JavaScript: what it returns is looked at. */
function isRecovery(value: Recovery): boolean {
  switch (value.action) {
    case "fail":
      return true;
    case "wait":
      return Number.isFinite(value.seconds) && value.seconds >= 0 && value.seconds <= LONGEST_WAIT_S;
    case "retry":
      return (
        (value.url === undefined || URL.canParse(value.url)) &&
        (value.headers ?? []).every((field) => field.length === 2 && field.every((text) => typeof text === "string"))
      );
    default:
      return false;
  }
}

type Outcome<T> =
  | { readonly kind: "returned"; readonly value: T }
  | { readonly kind: "threw"; readonly error: unknown }
  | { readonly kind: "hung" };

function describe(outcome: Outcome<unknown>): string {
  if (outcome.kind === "hung") return "took too long; going on without it";
  return outcome.kind === "threw" ? `threw: ${String(outcome.error)}` : "returned";
}
