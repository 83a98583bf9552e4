/**
 * One process of FFmpeg's: started in a group of its own, fed and drained by streams, ended by SIGTERM and then by
 * SIGKILL. It does not outlive this process: where setpriv(1) is there the kernel kills it with us, even after kill -9.
 *
 * fluent-ffmpeg is not given this part: a spawn that fails at once (too many open files, arguments too long) throws there
 * out of a callback where nobody can catch it, it knows no process groups, and it ends FFmpeg without a second blow.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Clock } from "../core/ports/runtime.ts";

/** Milliseconds from the request to end to the signal that nothing can refuse. */
const GRACE_MS = 2000;
/** Milliseconds that output may come after the process has ended: something that it left behind may hold the pipe. */
const LAST_OUTPUT_MS = 1000;

/** Groups that run; ended with this process. */
const running = new Set<number>();

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What to start. */
export interface ProcessInit {
  readonly program: string;
  readonly args: readonly string[];
  readonly clock: Clock;
  /** stdin is connected. */
  readonly feeds: boolean;
  /** Descriptor 3 is connected. */
  readonly progress: boolean;
}

/** A running process. */
export interface RunningProcess {
  readonly pid: number;
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly progress: Readable | null;
  /** Resolves when it has ended and its output is read. */
  readonly ended: Promise<Ending>;
  /** SIGTERM to it and all that it started, SIGKILL after a grace. */
  stop(): void;
}

/** Starts a process. @throws the system's error if it cannot be started */
export async function start(init: ProcessInit): Promise<RunningProcess> {
  const [program, ...args] = [...deathSignal(), init.program, ...init.args] as [string, ...string[]];
  const child = spawn(program, args, {
    cwd: "/",
    env: environment(),
    detached: true,
    windowsHide: true,
    stdio: [init.feeds ? "pipe" : "ignore", "pipe", "pipe", init.progress ? "pipe" : "ignore"],
  });
  const gone = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  gone.catch(() => undefined);
  await once(child, "spawn");
  const { pid, stdout, stderr } = child as ChildProcess & { pid: number; stdout: Readable; stderr: Readable };
  enlist(pid);
  // What FFmpeg no longer reads is not our fault: its exit code says what happened.
  child.stdin?.on("error", () => undefined);
  let stopKill: (() => void) | undefined;
  const stopped = Promise.withResolvers<void>();
  const ended = async (): Promise<Ending> => {
    const closed = once(child, "close");
    closed.catch(() => undefined);
    try {
      const [code, signal] = await gone;
      // Nothing that it started outlives it.
      signalGroup(pid, "SIGKILL");
      // Who takes the output may take his time; only of a process that was ended nothing more is wanted.
      const waits = new AbortController();
      const enough = stopped.promise.then(() => init.clock.sleep(LAST_OUTPUT_MS, waits.signal)).catch(() => undefined);
      await Promise.race([closed, enough]);
      waits.abort();
      return { code, signal };
    } finally {
      stopKill?.();
      running.delete(pid);
      for (const stream of child.stdio) stream?.destroy();
    }
  };
  return {
    pid,
    stdin: child.stdin,
    stdout,
    stderr,
    progress: (child.stdio[3] as Readable | null | undefined) ?? null,
    ended: ended(),
    stop() {
      if (stopKill !== undefined || !running.has(pid)) return;
      stopped.resolve();
      signalGroup(pid, "SIGTERM");
      // A process that is stopped (SIGSTOP) takes no SIGTERM until it goes on.
      signalGroup(pid, "SIGCONT");
      stopKill = init.clock.timer(GRACE_MS, () => signalGroup(pid, "SIGKILL"));
    },
  };
}

function enlist(pid: number): void {
  if (running.size === 0) {
    process.off("exit", endAll);
    process.on("exit", endAll);
  }
  running.add(pid);
}

function endAll(): void {
  for (const pid of running) signalGroup(pid, "SIGKILL");
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}

/** Only what FFmpeg and its libraries need: FFREPORT would make it write files, and secrets are nobody's business. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(PATH|HOME|TMPDIR|TMP|TEMP|SystemRoot|LD_LIBRARY_PATH|DYLD_\w+|FONTCONFIG_\w+|XDG_\w+|OMP_NUM_THREADS)$/.test(
      name,
    ),
  );
  return { ...Object.fromEntries(kept), LC_ALL: "C", AV_LOG_FORCE_NOCOLOR: "1" };
}

let prefix: readonly string[] | undefined;

/** What goes in front of a command so that the kernel kills it when this process dies (PR_SET_PDEATHSIG). */
function deathSignal(): readonly string[] {
  prefix ??= process.platform === "linux" && onPath("setpriv") ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];
  return prefix;
}

function onPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
