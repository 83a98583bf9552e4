/**
 * Talks to the service manager as sd_notify(3) describes, by the `systemd-notify` tool, since Node has no Unix datagram
 * sockets. The unit needs `NotifyAccess=all`: the message comes from a child process. Outside systemd every call does
 * nothing. A message that cannot be sent is logged and otherwise ignored: it must not end a download.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Clock, Logger } from "../core/ports/runtime.ts";

const run = promisify(execFile);

/** Longest wait for the tool, in milliseconds; it waits itself until the manager has read the message. */
const TOOL_TIMEOUT_MS = 10_000;

/** What the notifier works with. */
export interface SdNotifyOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The process that systemd watches. */
  readonly pid?: number;
}

/** The daemon's voice towards systemd. */
export class SdNotify implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #pid: number;
  /** Messages go out one after the other, so that none overtakes an earlier one. */
  #queue: Promise<void> = Promise.resolve();
  #status: string | undefined;
  #cancelWatchdog: (() => void) | undefined;
  #stopping = false;

  constructor(options: SdNotifyOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#env = options.env ?? process.env;
    this.#pid = options.pid ?? process.pid;
  }

  /** True if a service manager listens. */
  get active(): boolean {
    return Boolean(this.#env["NOTIFY_SOCKET"]);
  }

  /** Start-up, or a reload, is complete. */
  ready(status: string): Promise<void> {
    this.#status = status;
    return this.#send("READY=1", `STATUS=${oneLine(status)}`, `MAINPID=${this.#pid}`);
  }

  /** What `systemctl status` shows. The same words are not sent twice. */
  async status(status: string): Promise<void> {
    if (status === this.#status) return;
    this.#status = status;
    await this.#send(`STATUS=${oneLine(status)}`);
  }

  /** The configuration is being read again; end it with {@link SdNotify.ready}. */
  reloading(): Promise<void> {
    return this.#send("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** The end has begun; the watchdog is fed no more. */
  stopping(): Promise<void> {
    this.#cancelWatchdog?.();
    if (this.#stopping) return this.#queue;
    this.#stopping = true;
    return this.#send("STOPPING=1");
  }

  /**
   * Feeds the watchdog at half of its time, as sd_watchdog_enabled(3) advises, but only after `healthy` has answered true
   * within a quarter of it: a daemon that does not answer itself is to be restarted.
   *
   * @param healthy - asks the daemon as a client would
   * @returns milliseconds between two feedings; undefined if no watchdog is set for this process
   */
  startWatchdog(healthy: () => Promise<boolean>): number | undefined {
    const time = Number(this.#env["WATCHDOG_USEC"]) / 1000;
    const forPid = this.#env["WATCHDOG_PID"];
    if (!this.active || !(time > 0) || (forPid && Number(forPid) !== this.#pid)) return undefined;
    const beat = () => {
      this.#cancelWatchdog = this.#clock.timer(time / 2, beat);
      void this.#feed(healthy, time / 4);
    };
    this.#cancelWatchdog = this.#clock.timer(time / 2, beat);
    return time / 2;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopping();
  }

  async #feed(healthy: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    let cancel = () => {};
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#clock.timer(timeoutMs, () => resolve(false));
    });
    const answer = await Promise.race([healthy().catch(() => false), late]);
    cancel();
    if (this.#stopping) return;
    if (answer) await this.#send("WATCHDOG=1");
    else this.#logger.error({ room: "os", timeoutMs }, "the daemon does not answer itself; the watchdog is not fed");
  }

  #send(...assignments: string[]): Promise<void> {
    if (!this.active) return Promise.resolve();
    this.#queue = this.#queue.then(async () => {
      try {
        await run("systemd-notify", assignments, { env: this.#env, timeout: TOOL_TIMEOUT_MS });
      } catch (error) {
        this.#logger.warn({ room: "os", err: error, assignments }, "systemd was not notified");
      }
    });
    return this.#queue;
  }
}

/** A line feed would end the assignment and begin another. */
function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
