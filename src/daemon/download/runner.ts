/** Runs single sessions: makes their run, and decides what becomes of one that did not reach its end. */
import { asDownloadError, type DownloadError } from "../core/errors.ts";
import type { Recovery } from "../core/hooks.ts";
import type { Candidate } from "../core/plan.ts";
import type { LiveProgress } from "../core/ports/downloads.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import { RateLimit } from "../core/rate-limit.ts";
import { type Session, sessionError } from "../core/session.ts";
import { Meter } from "./meter.ts";
import { pipeline } from "./pipeline.ts";
import { judge } from "./retry.ts";
import { type Engine, Run } from "./run.ts";
import type { DownloadSettings } from "./settings.ts";

/** Milliseconds before a state that could not be written is written again; doubled each time. */
const FIRST_RECORD_RETRY_MS = 1000;
const LONGEST_RECORD_RETRY_MS = 30_000;

/** Why a run is stopped from outside. */
export type StopReason = "paused" | "cancelled" | "removed" | "shutdown";

/** The reason of a run's signal. */
class Stop extends Error {
  readonly why: StopReason;

  constructor(why: StopReason) {
    super(`the download was stopped: ${why}`);
    this.why = why;
  }
}

/** Runs sessions, one call each. */
export class Runner {
  readonly #engine: Engine;
  readonly #settings: () => DownloadSettings;
  readonly #runs = new Map<string, { readonly run: Run; readonly abort: AbortController }>();
  readonly #stopping = new AbortController();

  constructor(engine: Engine, settings: () => DownloadSettings) {
    this.#engine = engine;
    this.#settings = settings;
  }

  /** Brings a session as far as it goes now. Never rejects. */
  async run(session: Session): Promise<void> {
    const engine = this.#engine;
    const abort = new AbortController();
    const run = new Run({
      engine,
      session,
      settings: this.#settings(),
      signal: abort.signal,
      limit: new RateLimit(engine.clock, session.options.limit ?? 0),
      meter: new Meter(engine.clock),
    });
    this.#runs.set(session.id, { run, abort });
    if (this.#stopping.signal.aborted) abort.abort(new Stop("shutdown"));
    try {
      // Died right after it, it is queued as it was.
      await run.update(
        { status: "active", stage: "resolve", attempt: session.attempt + 1, nextAttemptAt: undefined },
        { lazy: true },
      );
      await pipeline(run);
    } catch (error) {
      // Steered elsewhere in the moment in which it was to begin.
      if (run.session.status === "active" || !isSteered(error)) await this.#unfinished(run, error);
    } finally {
      this.#runs.delete(session.id);
    }
  }

  /** True if it runs, or is about to. */
  runs(id: string): boolean {
    return this.#runs.has(id);
  }

  /** How many only wait for a peer to come. */
  get seeking(): number {
    const { peers } = this.#engine;
    const runs = [...this.#runs.values()].map(({ run }) => run.session);
    return runs.filter(({ url, stage }) => (stage === "resolve" || stage === "fetch") && peers?.seeking?.(url)).length;
  }

  /** Stops a run, if there is one. @returns false if there is none */
  stop(id: string, why: StopReason): boolean {
    const found = this.#runs.get(id);
    found?.abort.abort(new Stop(why));
    return found !== undefined;
  }

  /** Stops every run, and every one that begins from now on. */
  stopAll(): void {
    this.#stopping.abort(new Stop("shutdown"));
    for (const id of this.#runs.keys()) this.stop(id, "shutdown");
  }

  setLimit(id: string, bytesPerSecond: number): void {
    this.#runs.get(id)?.run.limit.set(bytesPerSecond);
  }

  live(id: string): LiveProgress | undefined {
    const run = this.#runs.get(id)?.run;
    if (!run) return undefined;
    const via = run.via();
    return {
      bytesPerSecond: run.meter.rate(),
      connections: run.connections,
      pendingBytes: run.pending(),
      ...(via.length > 0 && { via }),
    };
  }

  async #unfinished(run: Run, thrown: unknown): Promise<void> {
    const reason: unknown = run.signal.reason;
    if (run.signal.aborted && reason instanceof Stop) {
      // At shutdown the session stays active: the next start finds it so, and queues it first.
      if (reason.why === "paused" || reason.why === "cancelled")
        await this.#record(run, { status: reason.why, stage: undefined, via: run.allVia });
      return;
    }
    const patch = await this.#judged(run, asDownloadError(thrown)).catch((error: unknown) => {
      // Stopped while a hook thought about it.
      if (!run.signal.aborted) throw error;
    });
    await (patch ? this.#record(run, patch) : this.#unfinished(run, thrown));
  }

  /**
   * Writes down what became of a run, however long that takes: a session that stayed active in the record would never be
   * run again. Given up at shutdown, because the next start finds it active and queues it.
   */
  async #record(run: Run, patch: SessionPatch): Promise<void> {
    for (let failures = 1; ; failures++) {
      try {
        await run.update(patch, { sync: patch.status !== "waiting" });
        return;
      } catch (error) {
        // Then it is not this run's to say any more.
        if (isSteered(error)) return;
        run.logger.error({ err: error, patch }, "what became of the download could not be recorded; trying again");
      }
      const wait = Math.min(FIRST_RECORD_RETRY_MS * 2 ** (failures - 1), LONGEST_RECORD_RETRY_MS);
      try {
        await this.#engine.clock.sleep(wait, this.#stopping.signal);
      } catch {
        return;
      }
    }
  }

  /** What a failed run leads to. */
  async #judged(run: Run, error: DownloadError): Promise<SessionPatch> {
    const { session, settings } = run;
    const { clock, hooks } = this.#engine;
    const recovery = hooks.idle ? undefined : await hooks.onError(session.url, error, session.attempt, run.signal);
    const verdict = judge({
      error,
      attempt: session.attempt,
      advanced: run.advanced,
      maxRetries: session.options.maxRetries ?? settings.maxRetries,
      retryDelay: session.options.retryDelay ?? settings.retryDelay,
      random: Math.random(),
      ...(recovery && { recovery }),
    });
    const now = clock.now();
    const patch: SessionPatch = {
      stage: undefined,
      via: run.allVia,
      error: sessionError(error, now),
      detour: recovery?.action === "retry" ? detourOf(session, recovery) : undefined,
      ...afterwards(error),
    };
    if (verdict.action === "fail") {
      run.logger.warn(
        { code: error.code, err: error.code === "INTERNAL" ? error : undefined },
        `failed: ${error.message}`,
      );
      return { ...patch, status: "failed" };
    }
    run.logger.info(
      { code: error.code, delayMs: Math.round(verdict.delayMs) },
      `waiting to try again: ${error.message}`,
    );
    return {
      ...patch,
      status: "waiting",
      nextAttemptAt: Math.ceil(now + verdict.delayMs),
      attempt: verdict.free ? Math.max(session.attempt - 1, 0) : session.attempt,
    };
  }
}

/** True if the session was forgotten, or is somewhere else by now. */
function isSteered(error: unknown): boolean {
  const { code } = asDownloadError(error);
  return code === "SESSION_NOT_FOUND" || code === "WRONG_STATUS";
}

/** Where a hook sends the next attempt. Fields that it names replace those that were asked for, for its URL only. */
function detourOf(session: Session, { url, headers = [] }: Extract<Recovery, { action: "retry" }>): Candidate {
  const replaced = new Set(headers.map(([name]) => name.toLowerCase()));
  // What was asked for is for its own origin: another URL gets only what the hook gives.
  const own = url === undefined ? (session.options.headers ?? []) : [];
  return {
    url: url === undefined ? session.url : new URL(url).href,
    headers: [...own.filter(([name]) => !replaced.has(name.toLowerCase())), ...headers],
  };
}

/** Bytes that were proved wrong are not gone on with: the next attempt begins anew. */
function afterwards(error: DownloadError): SessionPatch {
  return error.code === "CHECKSUM_MISMATCH" ? { resource: undefined } : {};
}
