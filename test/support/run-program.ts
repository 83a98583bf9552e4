/** Runs a program to its end and keeps what it said. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** A program that has ended. */
export interface Finished {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds from start to exit. */
  readonly ms: number;
  /** Each line of the standard output as JSON. @throws Error that shows the output */
  json(): Record<string, unknown>[];
}

/** How a program is run. */
export interface RunOptions {
  /** Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** What it reads; default: nothing. */
  readonly input?: string | Uint8Array;
  /** It is killed after so many milliseconds; default five minutes. */
  readonly timeoutMs?: number;
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

/** Starts a program. */
export function startProgram(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const started = performance.now();
  const child = spawn(command, args, {
    ...(options.env !== undefined && { env: options.env }),
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    stdio: ["pipe", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 300_000,
    killSignal: "SIGKILL",
  });
  // It may end without having read what it was given.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  let ms = 0;
  child.once("exit", () => {
    ms = performance.now() - started;
  });
  const finished = once(child, "close").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout: stdout(),
    stderr: stderr(),
    ms,
    json: () => parseLines(stdout(), stderr()),
  }));
  return { child, finished };
}

/** Runs a program to its end. @throws Error if it cannot be started */
export function runProgram(command: string, args: readonly string[], options?: RunOptions): Promise<Finished> {
  return startProgram(command, args, options).finished;
}

/** Gathers a stream's text. */
export function collect(stream: Readable): () => string {
  const pieces: Buffer[] = [];
  stream.on("data", (bytes: Buffer) => void pieces.push(bytes));
  return () => Buffer.concat(pieces).toString("utf8");
}

function parseLines(stdout: string, stderr: string): Record<string, unknown>[] {
  try {
    const lines = stdout.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  } catch (cause) {
    throw new Error(`this is no JSON:\n${stdout}\nstandard error:\n${stderr}`, { cause });
  }
}
