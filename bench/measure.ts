/** What a run of a program cost: time, processor time and memory, its own and those of the daemon that works for it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../test/support/run-program.ts";
import { requireTool } from "../test/support/tools.ts";

/** Seconds after which a program is ended. */
const PATIENCE_S = 1200;

/** One run. */
export interface Sample {
  /** Seconds from start to exit. */
  readonly wall: number;
  /** User and system seconds, of the daemon too. */
  readonly cpu: number;
  /** Largest resident size in bytes: that of the program and that of the daemon, added up. */
  readonly memory: number;
  /** The daemon's alone. */
  readonly daemonMemory?: number;
}

/** How a program is measured. */
export interface Measured {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A folder for notes. */
  readonly scratch: string;
  /** The daemon that does the work, if one does. */
  readonly daemon?: number;
}

/** Runs a command. @throws Error with its own words if it does not exit with 0 */
export async function measure(command: readonly string[], { env, scratch, daemon }: Measured): Promise<Sample> {
  const figures = join(scratch, "time.txt");
  const before = daemon === undefined ? 0 : await cpuSeconds(daemon);
  if (daemon !== undefined) await resetPeak(daemon);
  // GNU time, because the shell's own knows nothing of memory; it adds up what its children used.
  const limit = [requireTool("timeout"), "--foreground", "-k", "5", String(PATIENCE_S)];
  const result = await runProgram(requireTool("time"), ["-q", "-o", figures, "-f", "%U %S %M", ...limit, ...command], {
    env,
    timeoutMs: (PATIENCE_S + 30) * 1000,
  });
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(0, 300);
    throw new Error(`exited ${result.code ?? result.signal}: ${said}`);
  }
  const [user = 0, system = 0, kilobytes = 0] = (await readFile(figures, "utf8")).trim().split(" ").map(Number);
  const own = { wall: result.ms / 1000, cpu: user + system, memory: kilobytes * 1024 };
  if (daemon === undefined) return own;
  const daemonMemory = await peakBytes(daemon);
  return {
    wall: own.wall,
    cpu: own.cpu + (await cpuSeconds(daemon)) - before,
    memory: own.memory + daemonMemory,
    daemonMemory,
  };
}

/** Processor time of a running process so far, in seconds. @throws Error if it is gone */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may hold anything; utime and stime are fields 14 and 15 of proc_pid_stat(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks / 100;
}

/** Forgets the largest resident size so far (clear_refs, proc_pid_clear_refs(5)). */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** The largest resident size since {@link resetPeak}, in bytes. */
export function peakBytes(pid: number): Promise<number> {
  return memoryField(pid, "VmHWM");
}

/** The resident size now, in bytes. */
export function residentBytes(pid: number): Promise<number> {
  return memoryField(pid, "VmRSS");
}

async function memoryField(pid: number, name: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
}
