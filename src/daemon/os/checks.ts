/** What of the machine and the process matters to a download: Node's version, open files, memory, and how fast it is. */
import { createHash, randomBytes } from "node:crypto";
import { open, readFile, rm } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { formatBytes, formatRate } from "../../shared/format.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Check, CheckOutcome } from "../core/ports/house.ts";
import type { MemoryProbe } from "./memory.ts";

/** The oldest Node that Snatch runs on, as in `engines` of package.json. */
const OLDEST_NODE = 24;
/** Open files that a busy daemon may need: connections, part files, the database, clients. */
const ENOUGH_FILES = 1024;
/** Bytes hashed and written for the profile. */
const PROFILE_BYTES = 32 * 1024 * 1024;

/** The checks of this room. */
export interface OsCheckOptions {
  readonly memory: MemoryProbe;
  /** In percent of the tightest limit, `memory_limit_percent`. */
  readonly memoryLimitPercent: () => number;
  /** The disk of this folder is measured. */
  readonly profileDir: () => string;
}

/** Node's version, open files, memory, and a short profile of disk, hash and cores. */
export function osChecks(options: OsCheckOptions): readonly Check[] {
  return [
    { id: "node_version", title: "Node.js", run: async () => checkNode(process.versions.node) },
    { id: "open_files", title: "Open files", run: async () => checkOpenFiles(await readLimits()) },
    { id: "memory", title: "Memory", run: async () => checkMemory(options) },
    { id: "profile", title: "Speed of this machine", run: (signal) => profile(options.profileDir(), signal) },
  ];
}

/** @param version - such as "24.21.0" */
export function checkNode(version: string): CheckOutcome {
  const details = { version };
  if (Number.parseInt(version, 10) >= OLDEST_NODE) return { status: "ok", message: `Node.js ${version}`, details };
  const message = `Node.js ${version} is too old: Snatch needs ${OLDEST_NODE} or newer`;
  return { status: "failed", message, fix: `Install Node.js ${OLDEST_NODE} or newer.`, details };
}

/** @param limits - the text of /proc/self/limits, if there is such a file */
export function checkOpenFiles(limits: string | undefined): CheckOutcome {
  const soft = /^Max open files\s+(\S+)/m.exec(limits ?? "")?.[1];
  if (soft === undefined) return { status: "skipped", message: "this system does not tell how many files may be open" };
  const details = { limit: soft };
  if (soft === "unlimited" || Number(soft) >= ENOUGH_FILES)
    return { status: "ok", message: `${soft} files may be open at once`, details };
  return {
    status: "warning",
    message: `only ${soft} files may be open at once; ${ENOUGH_FILES} are enough for many downloads`,
    fix: "Raise the limit: LimitNOFILE= in the unit, or ulimit -n.",
    details,
  };
}

function checkMemory({ memory, memoryLimitPercent }: OsCheckOptions): CheckOutcome {
  const { tightest, usedPercent, rss } = memory.read();
  const limit = memoryLimitPercent();
  const where = tightest.name === "machine" ? "this machine" : `the control group ${tightest.name}`;
  const message = `${usedPercent.toFixed(0)} % of ${formatBytes(tightest.limit)} of ${where} is in use`;
  const details = {
    limit_bytes: String(tightest.limit),
    used_bytes: String(tightest.used),
    rss_bytes: String(rss),
    headroom_bytes: String(memory.headroom(limit)),
  };
  if (usedPercent <= limit) return { status: "ok", message, details };
  return {
    status: "warning",
    message: `${message}, more than memory_limit_percent (${limit} %): downloads use small buffers`,
    fix: "Free memory, or raise memory_limit_percent.",
    details,
  };
}

async function readLimits(): Promise<string | undefined> {
  return readFile("/proc/self/limits", "utf8").catch(() => undefined);
}

/** Hashes and writes a little, so that a person sees what is to be expected of this machine. */
async function profile(directory: string, signal: AbortSignal): Promise<CheckOutcome> {
  const bytes = randomBytes(PROFILE_BYTES);
  const hashing = performance.now();
  createHash("sha256").update(bytes).digest();
  const hashRate = rate(hashing);
  try {
    const diskRate = await writeRate(directory, bytes, signal);
    const cores = availableParallelism();
    return {
      status: "ok",
      message: `disk ${formatRate(diskRate)}, SHA-256 ${formatRate(hashRate)} a core, ${cores} cores`,
      details: {
        disk_bytes_per_second: diskRate.toFixed(0),
        sha256_bytes_per_second: hashRate.toFixed(0),
        cores: String(cores),
        cpu: cpus()[0]?.model ?? "unknown",
      },
    };
  } catch (error) {
    const { code, message, entry } = asDownloadError(error);
    return { status: "failed", message: `${directory} could not be measured: ${code}: ${message}`, fix: entry.hint };
  }
}

/** Bytes a second that reach the disk of a folder. */
async function writeRate(directory: string, bytes: Uint8Array, signal: AbortSignal): Promise<number> {
  const path = join(directory, `.snatch-profile-${process.pid}-${randomBytes(4).toString("hex")}`);
  const file = await open(path, "wx", 0o600);
  try {
    const start = performance.now();
    for (let at = 0; at < bytes.length; at += bytes.length / 8) {
      signal.throwIfAborted();
      await file.write(bytes, at, bytes.length / 8);
    }
    await file.datasync();
    return rate(start);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

function rate(start: number): number {
  return PROFILE_BYTES / ((performance.now() - start) / 1000);
}
