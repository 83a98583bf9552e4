/** An FFmpeg runner for tests, media that FFmpeg makes, and programs that only pretend to be FFmpeg. */
import { execFileSync } from "node:child_process";
import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProgramFinder } from "../../src/daemon/ffmpeg/find.ts";
import { Runner } from "../../src/daemon/ffmpeg/run.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { waitFor } from "./wait.ts";

/** A runner with the system's FFmpeg, or another. */
export function testRunner(program = "", options: { processes?: number; timeoutMs?: number } = {}): Runner {
  const clock = new SystemClock();
  const finder = new ProgramFinder(program, clock);
  return new Runner({ processes: options.processes ?? 2, timeoutMs: options.timeoutMs ?? 60_000 }, { finder, clock });
}

/** Runs the system's FFmpeg to make test media. @returns the last argument, which is the file */
export function makeMedia(...args: readonly string[]): string {
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", ...args], { stdio: ["ignore", "ignore", "inherit"] });
  return args.at(-1) ?? "";
}

/** A shell script that passes for FFmpeg: it says its version when asked, and otherwise does as it is told. */
export async function fakeFfmpeg(folder: string, body: string, version = "7.1"): Promise<string> {
  const path = join(folder, "ffmpeg");
  const answer = `case "$*" in *-version*) echo "ffmpeg version ${version} Copyright (c)"; exit 0;; esac`;
  await writeFile(path, `#!/bin/sh\n${answer}\n${body}\n`);
  await chmod(path, 0o755);
  await copyFile(path, join(folder, "ffprobe"));
  return path;
}

/** Processes of the machine whose command line holds a text. */
export function processesWith(text: string): number[] {
  const rows = execFileSync("ps", ["-eo", "pid=,stat=,args=", "-ww"], { encoding: "utf8" }).split("\n");
  return rows.flatMap((row) => {
    const [, pid, state = "", args = ""] = /^\s*(\d+)\s+(\S+)\s+(.*)$/.exec(row) ?? [];
    return args.includes(text) && !state.startsWith("Z") ? [Number(pid)] : [];
  });
}

/** The process id that a fake wrote into a file. */
export async function pidIn(path: string): Promise<number> {
  const read = async (): Promise<string> => (await readFile(path, "utf8").catch(() => "")).trim();
  return Number(await waitFor(`a process id in ${path}`, read));
}

/** True while a process is there and not only waits to be collected. */
export async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text !== "" && !/^\d+ \(.*\) Z/.test(text);
}
