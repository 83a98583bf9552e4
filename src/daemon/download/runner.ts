/** Runs single sessions: makes their run, and decides what becomes of one that did not reach its end. */
import { asDownloadError, type DownloadError } from "../core/errors.ts";
import type { LiveProgress, SessionPatch } from "../core/ports.ts";
import { type Session, sessionError } from "../core/session.ts";
import { Meter } from "./meter.ts";
import { pipeline } from "./pipeline.ts";
import { RateLimit } from "./rate-limit.ts";
import { judge } from "./retry.ts";
import { type Engine, Run } from "./run.ts";
import type { DownloadSettings } from "./settings.ts";

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
  #stopping = false;

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
    if (this.#stopping) abort.abort(new Stop("shutdown"));
    try {
      await run.update({ status: "active", stage: "resolve", attempt: session.attempt + 1, nextAttemptAt: undefined });
      await pipeline(run);
    } catch (error) {
      await this.#unfinished(run, error).catch((worse: unknown) =>
        run.logger.error({ err: worse, first: error }, "what became of the download could not be recorded"),
      );
    } finally {
      this.#runs.delete(session.id);
    }
  }

  /** Stops a run, if there is one. @returns false if there is none */
  stop(id: string, why: StopReason): boolean {
    const found = this.#runs.get(id);
    found?.abort.abort(new Stop(why));
    return found !== undefined;
  }

  /** Stops every run, and every one that begins from now on. */
  stopAll(): void {
    this.#stopping = true;
    for (const id of this.#runs.keys()) this.stop(id, "shutdown");
  }

  setLimit(id: string, bytesPerSecond: number): void {
    this.#runs.get(id)?.run.limit.set(bytesPerSecond);
  }

  live(id: string): LiveProgress | undefined {
    const run = this.#runs.get(id)?.run;
    return run && { bytesPerSecond: run.meter.rate(), connections: run.connections, pendingBytes: run.pendingBytes };
  }

  async #unfinished(run: Run, thrown: unknown): Promise<void> {
    const reason: unknown = run.signal.reason;
    if (run.signal.aborted && reason instanceof Stop) {
      // At shutdown the session stays active: the next start finds it so, and queues it first.
      if (reason.why === "paused" || reason.why === "cancelled")
        await run.update({ status: reason.why, stage: undefined }, { sync: true });
      return;
    }
    await this.#failed(run, asDownloadError(thrown));
  }

  async #failed(run: Run, error: DownloadError): Promise<void> {
    const { session, settings } = run;
    const { clock, hooks } = this.#engine;
    const recovery = hooks.idle ? undefined : await hooks.onError(session.url, error, session.attempt);
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
    const patch: SessionPatch = { stage: undefined, error: sessionError(error, now), ...afterwards(error) };
    if (verdict.action === "fail") {
      run.logger.warn(
        { code: error.code, err: error.code === "INTERNAL" ? error : undefined },
        `failed: ${error.message}`,
      );
      await run.update({ ...patch, status: "failed" }, { sync: true });
      return;
    }
    run.logger.info(
      { code: error.code, delayMs: Math.round(verdict.delayMs) },
      `waiting to try again: ${error.message}`,
    );
    await run.update({
      ...patch,
      status: "waiting",
      nextAttemptAt: Math.ceil(now + verdict.delayMs),
      attempt: verdict.free ? session.attempt - 1 : session.attempt,
    });
  }
}

/** Bytes that were proved wrong are not gone on with: the next attempt begins anew. */
function afterwards(error: DownloadError): SessionPatch {
  return error.code === "CHECKSUM_MISMATCH" ? { resource: undefined } : {};
}
