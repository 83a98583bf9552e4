/**
 * Runs hooks: by priority, each with a time limit, each on its own. A hook that throws or hangs is named in the log and
 * harms nothing; only preDownload may say no. What hooks are given is their own: changing it changes nothing here.
 *
 * A hook runs in this thread: an endless loop in one cannot be stopped (docs/PLUGINS.md says so).
 */
import type { DownloadError } from "../core/errors.ts";
import { failure } from "../core/errors.ts";
import type { NumberedEvent, SessionEvent } from "../core/events.ts";
import type { HookMetadata, Recovery, SessionHooks } from "../core/hooks.ts";
import type { DownloadChunk } from "../core/manifest.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { describe, HookCalls, type Hooks, textOf } from "./hook-calls.ts";

/** Milliseconds that a hook may take. */
const TIME_LIMIT_MS = 10_000;

/** Milliseconds that hooks have at the end, for what they were not yet told. */
const LAST_WORDS_MS = 3000;

/** The longest wait that a hook may ask for, in seconds: thirty days. */
const LONGEST_WAIT_S = 30 * 86_400;

/** The registered hooks. */
export class HookRunner {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timeLimitMs: number;
  #hooks: readonly HookCalls[] = [];

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
    const entry = new HookCalls({
      name,
      priority,
      hooks,
      clock: this.#clock,
      logger: this.#logger,
      timeLimitMs: this.#timeLimitMs,
    });
    const others = this.#hooks.filter((other) => other.name !== name);
    this.#hooks = [...others, entry].sort((a, b) => a.priority - b.priority);
    return () => {
      this.#hooks = this.#hooks.filter((other) => other !== entry);
    };
  }

  /** @throws DownloadError VETOED when a hook refuses; the signal's reason */
  async preDownload(url: string, metadata: HookMetadata, signal?: AbortSignal): Promise<void> {
    for (const hook of this.#hooks) {
      const outcome = await unlessAborted(
        hook.ask("preDownload", (hooks) => hooks.preDownload?.(url, { ...metadata })),
        signal,
      );
      if (outcome.kind === "threw") {
        const reason = outcome.error instanceof Error ? outcome.error.message : textOf(outcome.error);
        throw failure("VETOED", `the hook "${hook.name}" refused the download: ${reason}`, {
          cause: outcome.error,
          metadata: { hook: hook.name },
        });
      }
      if (outcome.kind === "hung") hook.failed("preDownload", describe(outcome));
      else if (outcome.kind === "returned" && (outcome.value as unknown) === false)
        hook.failed("preDownload", "returned false, which says nothing: a hook refuses by throwing; going on");
      else if (outcome.kind === "returned") hook.worked("preDownload");
    }
  }

  postChunk(chunk: DownloadChunk, sha256: string): void {
    for (const hook of this.#hooks)
      void hook.tell(chunk.url, "postChunk", (hooks) => hooks.postChunk?.({ ...chunk }, sha256));
  }

  /** By priority, one after the other; resolves when all were told, or when the time for one is over. */
  async postDownload(url: string, filePath: string): Promise<void> {
    if (!this.#hooks.some((hook) => hook.has("postDownload"))) return;
    const all = async (): Promise<void> => {
      for (const hook of this.#hooks)
        await hook.tell(url, "postDownload", (hooks) => hooks.postDownload?.(url, filePath));
    };
    // The file is in place: nothing needs to be held up for longer.
    await this.#within(this.#timeLimitMs, all());
  }

  /** The first decision that a hook makes about a failed attempt. @throws the signal's reason */
  async onError(
    url: string,
    error: DownloadError,
    attempt: number,
    signal?: AbortSignal,
  ): Promise<Recovery | undefined> {
    for (const hook of this.#hooks) {
      const outcome = await unlessAborted(
        hook.ask("onError", (hooks) => hooks.onError?.(url, copyOf(error), attempt)),
        signal,
      );
      if (outcome.kind === "hung" || outcome.kind === "threw") hook.failed("onError", describe(outcome));
      if (outcome.kind !== "returned") continue;
      if (isNothing(outcome.value)) hook.worked("onError");
      else {
        const decision = recoveryOf(outcome.value);
        if (decision) {
          hook.worked("onError");
          return decision;
        }
        hook.failed("onError", "decided something that cannot be done; going on without it");
      }
    }
    return undefined;
  }

  /** Tells the session hooks of an event. */
  sessionEvent({ event }: NumberedEvent): void {
    const { point, call } = tellingOf(event);
    for (const hook of this.#hooks) if (hook.has(point)) void hook.tell(event.session.url, point, call);
  }

  /** Resolves when hooks were told all that happened, or when the time for that is over. */
  async settled(): Promise<void> {
    await this.#within(LAST_WORDS_MS, Promise.all(this.#hooks.map((hook) => hook.settled())));
  }

  async #within(ms: number, work: Promise<unknown>): Promise<void> {
    let cancel: (() => void) | undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.timer(ms, resolve);
    });
    await Promise.race([work, late]);
    cancel?.();
  }
}

/** Which hook hears of an event, and how: each gets copies of its own. */
function tellingOf(event: SessionEvent): { point: keyof SessionHooks; call: (hooks: Hooks) => unknown } {
  const copy = () => structuredClone(event.session);
  switch (event.type) {
    case "created":
      return { point: "onCreated", call: (hooks) => hooks.onCreated?.(copy()) };
    case "updated":
      return { point: "onUpdated", call: (hooks) => hooks.onUpdated?.(copy(), structuredClone(event.previous)) };
    case "progress":
      return { point: "onProgress", call: (hooks) => hooks.onProgress?.(copy(), event.milestone) };
    case "error":
      return { point: "onSessionError", call: (hooks) => hooks.onSessionError?.(copy()) };
    case "cleaned":
      return { point: "onCleaned", call: (hooks) => hooks.onCleaned?.(copy()) };
  }
}

/** A download that is stopped does not wait for a hook. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** An error of the same class, with the same words. */
function copyOf({ code, message, metadata, retryable, retryAfterMs, cause, stack }: DownloadError): DownloadError {
  const copy = failure(code, message, {
    cause,
    metadata: { ...metadata },
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
  if (stack !== undefined) copy.stack = stack;
  return copy;
}

const isNothing = (value: unknown): boolean => value === undefined || value === null;

/** The decision in a hook's answer. A plugin may be plain JavaScript: what it returns is looked at, and taken as a copy. */
function recoveryOf(value: unknown): Recovery | undefined {
  try {
    const { action, seconds, url, headers } = value as Record<string, unknown>;
    if (action === "fail") return { action };
    if (action === "wait")
      return typeof seconds === "number" && seconds >= 0 && seconds <= LONGEST_WAIT_S ? { action, seconds } : undefined;
    if (action !== "retry" || !isUrl(url)) return undefined;
    const fields = headers === undefined ? undefined : fieldsOf(headers);
    if (fields === null) return undefined;
    return { action, ...(url !== undefined && { url }), ...(fields && { headers: fields }) };
  } catch {
    return undefined;
  }
}

const isUrl = (value: unknown): value is string | undefined =>
  value === undefined || (typeof value === "string" && URL.canParse(value));

/** Fields that can be sent; null if they cannot. */
function fieldsOf(value: unknown): [string, string][] | null {
  if (!Array.isArray(value)) return null;
  const fields = value.map((field: unknown) => {
    const [name, text, more] = Array.isArray(field) ? (field as unknown[]) : [];
    const right = typeof name === "string" && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && more === undefined;
    return right && typeof text === "string" && !/[\0\r\n]/.test(text) ? ([name, text] as [string, string]) : undefined;
  });
  return fields.every((field) => field !== undefined) ? fields : null;
}
