/** Runs snatchctl from its sources, as a person or a script would. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** What a run left behind. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run that goes on; disposal ends it. */
export interface Running extends Disposable {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly finished: Promise<Finished>;
  /** Resolves with all of stderr when it holds the text. */
  said(text: string): Promise<string>;
  /** The same for stdout. */
  printed(text: string): Promise<string>;
}

/** Options of a run. */
export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Buffer;
  readonly cwd?: string;
  /** Keep stdin open. */
  readonly open?: boolean;
}

const MAIN = resolve("src/client/main.ts");

/** Starts snatchctl; nothing of the surroundings' Snatch settings reaches it. */
export function startSnatchctl(args: readonly string[], options: RunOptions = {}): Running {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SNATCH")));
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...inherited, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  // It may have ended before it has read everything.
  child.stdin.on("error", () => {});
  if (!options.open) child.stdin.end(options.input);
  const heard = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      heard[name] += piece;
    });
  const finished = once(child, "close").then(([code, signal]) => ({ code, signal, ...heard }) as Finished);
  const waitFor = async (name: "stdout" | "stderr", wanted: string): Promise<string> => {
    while (!heard[name].includes(wanted)) {
      const more = once(child[name], "data").then(() => true);
      const goesOn = await Promise.race([more, finished.then(() => false), sleep(10_000, false, { ref: false })]);
      if (!goesOn && !heard[name].includes(wanted))
        throw new Error(`waiting for "${wanted}", snatchctl said: ${JSON.stringify(heard)}`);
    }
    return heard[name];
  };
  const said = (wanted: string) => waitFor("stderr", wanted);
  const printed = (wanted: string) => waitFor("stdout", wanted);
  return { child, finished, said, printed, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** Runs snatchctl to its end. */
export function snatchctl(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return startSnatchctl(args, options).finished;
}

/** A folder that is removed again. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "snatchctl-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The lines of an output that is one JSON object a line. */
export function jsonLines(output: string): Array<Record<string, unknown>> {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
