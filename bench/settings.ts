/**
 * Sizes of the bench, from the environment for a quick look: BENCH_LARGE_MIB (2048), BENCH_LIMITED_MIB (256),
 * BENCH_SMALL_COUNT (2000), BENCH_TINY_COUNT (100000), BENCH_QUEUED_COUNT (1000000), BENCH_CACHE_ENTRIES (100000),
 * BENCH_MEDIA_SEGMENTS (1000), * BENCH_LIST_RUNS (15), BENCH_RESTARTS (5), BENCH_IDLE_S (60), BENCH_QUIET_S (15: until a daemon is at rest), BENCH_ROUNDS
 * (5), BENCH_BUDGET_S (720: no new round of a contest is begun that would end later) and BENCH_PLACES (disk,tmpfs). Where
 * things go: BENCH_DISK (a folder on a disk, if the one for temporary files is not on one) and BENCH_RESULTS (bench/results).
 */
import { join } from "node:path";
import { env } from "node:process";

const MIB = 1024 * 1024;

/** What the full bench measures with. */
const FULL = {
  LARGE_MIB: 2048,
  LIMITED_MIB: 256,
  SMALL_COUNT: 2000,
  TINY_COUNT: 100_000,
  QUEUED_COUNT: 1_000_000,
  CACHE_ENTRIES: 100_000,
  MEDIA_SEGMENTS: 1000,
  LIST_RUNS: 15,
  RESTARTS: 5,
  IDLE_S: 60,
  QUIET_S: 15,
  ROUNDS: 5,
  BUDGET_S: 720,
} as const;

function value(name: keyof typeof FULL): number {
  const text = env[`BENCH_${name}`];
  const given = text === undefined ? FULL[name] : Number(text);
  if (!(given > 0)) throw new RangeError(`BENCH_${name}: "${text}" is not a number above 0`);
  return given;
}

/** Sizes in bytes, times in seconds. */
export const settings = {
  largeBytes: value("LARGE_MIB") * MIB,
  limitedBytes: value("LIMITED_MIB") * MIB,
  smallCount: value("SMALL_COUNT"),
  smallBytes: 20 * 1024,
  tinyCount: value("TINY_COUNT"),
  tinyBytes: 1024,
  queuedCount: value("QUEUED_COUNT"),
  cacheEntries: value("CACHE_ENTRIES"),
  mediaSegments: value("MEDIA_SEGMENTS"),
  listRuns: value("LIST_RUNS"),
  restarts: value("RESTARTS"),
  idleSeconds: value("IDLE_S"),
  quietSeconds: value("QUIET_S"),
  rounds: value("ROUNDS"),
  budgetSeconds: value("BUDGET_S"),
  places: (env["BENCH_PLACES"] ?? "disk,tmpfs").split(","),
  disk: env["BENCH_DISK"],
  results: env["BENCH_RESULTS"] ?? join(import.meta.dirname, "results"),
} as const;

/** Variables that make this run another one than the full bench: "BENCH_ROUNDS=1". */
export const deviations: readonly string[] = [...Object.keys(FULL), "PLACES"]
  .filter((name) => env[`BENCH_${name}`] !== undefined)
  .map((name) => `BENCH_${name}=${env[`BENCH_${name}`]}`);
