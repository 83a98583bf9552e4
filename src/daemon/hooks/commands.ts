/**
 * `on_complete` and `on_error`: programs of the user's that are run when a download has ended. A few at a time, in the order
 * of the ends; at most once each, and none is waited for by a download.
 */
import { basename } from "node:path";
import type { Environment } from "../../shared/paths.ts";
import { splitWords } from "../../shared/words.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import type { Session } from "../core/session.ts";
import { commandEnvironment } from "./command-environment.ts";
import { endOf } from "./endings.ts";
import { runCommand } from "./run-command.ts";

/** Ends that may wait for their command; beyond that a command is not run. */
const MOST_WAITING = 10_000;

/** What is set; looked at for each end. */
export interface CommandSettings {
  /** Command lines; empty: none. */
  readonly onComplete: string;
  readonly onError: string;
  /** Give them to a shell. */
  readonly shell: boolean;
  readonly timeoutMs: number;
  readonly atOnce: number;
}

/** What commands work with. */
export interface CommandsInit {
  readonly sessions: Pick<SessionStore, "subscribe">;
  readonly settings: () => CommandSettings;
  /** Handed on to the commands. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Job {
  readonly event: "complete" | "error";
  readonly line: string;
  readonly session: Session;
}

/** Runs the commands. Disposal ends those that run, and what they started. */
export class Commands implements Startable {
  readonly #init: CommandsInit;
  readonly #waiting: Job[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #leftOut = 0;

  constructor(init: CommandsInit) {
    this.#init = init;
  }

  start(): Promise<void> {
    this.#unsubscribe = this.#init.sessions.subscribe(({ event }) => {
      const end = endOf(event);
      if (end !== "completed" && end !== "failed") return;
      const { onComplete, onError } = this.#init.settings();
      const line = end === "completed" ? onComplete : onError;
      if (line === "") return;
      this.#add({ event: end === "completed" ? "complete" : "error", line, session: event.session });
    });
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe?.();
    if (this.#waiting.length > 0)
      this.#init.logger.warn({ commands: this.#waiting.length }, "commands were not run any more: the daemon ends");
    this.#waiting.length = 0;
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  #add(job: Job): void {
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(job);
    else if (this.#leftOut++ === 0)
      this.#init.logger.error(
        { session: job.session.id },
        `${MOST_WAITING} commands wait already: more are left out until there are fewer`,
      );
    this.#next();
  }

  #next(): void {
    while (this.#running.size < this.#init.settings().atOnce && !this.#stop.signal.aborted) {
      const job = this.#waiting.shift();
      if (!job) break;
      if (this.#waiting.length < MOST_WAITING / 2 && this.#leftOut > 0) {
        this.#init.logger.warn({ commands: this.#leftOut }, "commands were left out; now they are run again");
        this.#leftOut = 0;
      }
      const run = this.#run(job).finally(() => {
        this.#running.delete(run);
        this.#next();
      });
      this.#running.add(run);
    }
  }

  async #run({ event, line, session }: Job): Promise<void> {
    const { env, clock } = this.#init;
    const { shell, timeoutMs } = this.#init.settings();
    const logger = this.#init.logger.child({ session: session.id, command: `on_${event}` });
    const [program = "", ...args] = shell ? ["/bin/sh", "-c", line] : splitWords(line);
    const started = clock.monotonic();
    const problem = await runCommand({
      program,
      args,
      env: commandEnvironment(env, event, session),
      timeoutMs,
      clock,
      signal: this.#stop.signal,
      onLine: (text) => logger.info({}, text),
    }).catch((error: unknown) => `failed: ${String(error)}`);
    const ms = Math.round(clock.monotonic() - started);
    const name = basename(shell ? "sh" : program);
    if (problem === undefined) logger.debug({ ms }, `on_${event}: ${name} has ended`);
    else logger.warn({ ms }, `on_${event}: ${name} ${problem}`);
  }
}
