/** A short profile of the machine: how fast the disk takes bytes, how fast they are hashed, and how many cores there are. */
import { randomBytes, subtle } from "node:crypto";
import { open, rm, stat, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { formatBytes, formatRate } from "../../shared/format.ts";
import type { Check } from "../core/ports.ts";

const MIB = 1024 * 1024;
const BLOCK = 4 * MIB;
/** The disk is written this much, and each measurement takes this long, at most. */
const WRITE_BYTES = 64 * MIB;
const BUDGET_MS = 400;
/** Below this the check leaves the disk alone. */
const NEEDED_ROOM = 4 * WRITE_BYTES;

/** @param folder - where files go */
export function profileCheck(folder: string): Check {
  return {
    id: "profile",
    title: "Speed of this machine",
    async run(signal) {
      const block = randomBytes(BLOCK);
      const disk = await diskRate(folder, block, signal);
      const hash = await hashRate(block, signal);
      const cores = availableParallelism();
      const details = {
        cores: String(cores),
        sha256_bytes_per_second: String(Math.round(hash)),
        ...(typeof disk === "number" && { disk_bytes_per_second: String(Math.round(disk)) }),
      };
      const written = typeof disk === "number" ? `disk ${formatRate(disk)}` : `disk not measured: ${disk}`;
      return { status: "ok", message: `${written}, SHA-256 ${formatRate(hash)} a core, cores ${cores}`, details };
    },
  };
}

/** Bytes a second, synced at the end; or why it was not measured. */
async function diskRate(folder: string, block: Uint8Array, signal: AbortSignal): Promise<number | string> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return `${folder} is not there yet`;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < NEEDED_ROOM) return `less than ${formatBytes(NEEDED_ROOM)} free`;
  const file = join(folder, `.snatch-profile-${randomBytes(6).toString("hex")}`);
  const handle = await open(file, "wx", 0o600);
  try {
    const start = performance.now();
    let written = 0;
    while (written < WRITE_BYTES && performance.now() - start < BUDGET_MS && !signal.aborted) {
      await handle.write(block);
      await handle.datasync();
      written += block.length;
    }
    return (written * 1000) / (performance.now() - start);
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
}

/** Bytes a second that one thread of the pool hashes. */
async function hashRate(block: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<number> {
  const start = performance.now();
  let hashed = 0;
  while (performance.now() - start < BUDGET_MS && !signal.aborted) {
    await subtle.digest("SHA-256", block);
    hashed += block.length;
  }
  return (hashed * 1000) / (performance.now() - start);
}
