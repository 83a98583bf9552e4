/**
 * Runs one command in a process group of its own: with a time limit, its output line by line, and an end that takes
 * everything with it that the command started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Clock } from "../core/ports/runtime.ts";
import { passLinesOn } from "./output-lines.ts";

/** Milliseconds from the request to end to the command that nothing can refuse. */
const GRACE_MS = 2000;

/** Milliseconds that output may come after the command has ended: something that it left behind may hold the pipe. */
const LAST_OUTPUT_MS = 200;

/** What to run, and how. */
export interface CommandInit {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Ends the command. */
  readonly signal: AbortSignal;
  /** Called with each line of output. */
  readonly onLine: (line: string) => void;
}

/** Runs a command to its end. @returns what went wrong, if anything did */
export async function runCommand(init: CommandInit): Promise<string | undefined> {
  const { clock, signal, timeoutMs } = init;
  if (signal.aborted) return "was not started: the daemon ends";
  let child: ChildProcess;
  try {
    child = spawn(init.program, init.args, {
      cwd: "/",
      env: init.env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    await once(child, "spawn");
  } catch (error) {
    return `could not be started: ${(error as Error).message}`;
  }
  const { pid } = child;
  const ended = once(child, "exit") as Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  const output = passLinesOn([child.stdout, child.stderr], init.onLine);
  let why: string | undefined;
  let stopKill = (): void => undefined;
  const stop = (reason: string): void => {
    if (why !== undefined) return;
    why = reason;
    killGroup(pid, "SIGTERM");
    stopKill = clock.timer(GRACE_MS, () => killGroup(pid, "SIGKILL"));
  };
  const onAbort = (): void => stop("was ended: the daemon ends");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const stopLimit = clock.timer(timeoutMs, () => stop(`took longer than ${timeoutMs / 1000} s and was ended`));
  try {
    const [code, killedBy] = await ended;
    // Whatever it started and left behind does not outlive it, if it had to be ended.
    if (why !== undefined) killGroup(pid, "SIGKILL");
    await Promise.race([output.done, clock.sleep(LAST_OUTPUT_MS)]);
    if (why !== undefined) return why;
    if (killedBy !== null) return `was ended by ${killedBy}`;
    return code === 0 ? undefined : `exited with ${code}`;
  } finally {
    stopLimit();
    stopKill();
    signal.removeEventListener("abort", onAbort);
    output.close();
  }
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}
