/**
 * Real recordings, out of Debian packages that are fetched and unpacked, not installed. RECORDINGS names a folder to keep them
 * in; without it they go with the test.
 */
import { execFileSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Signal } from "./signals.ts";

/** Fetches packages. @returns the folder that they are unpacked in. @throws Error if apt-get or dpkg cannot do it */
export async function unpackPackages(names: readonly string[], temporary: string): Promise<string> {
  const folder = process.env["RECORDINGS"] ?? join(temporary, "recordings");
  for (const name of names) {
    const target = join(folder, name);
    if (existsSync(target)) continue;
    const work = `${target}.part`;
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { recursive: true });
    execFileSync("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], { cwd: work, stdio: "pipe" });
    const [archive = ""] = globSync("*.deb", { cwd: work });
    execFileSync("dpkg", ["-x", archive, "files"], { cwd: work, stdio: "pipe" });
    await rm(join(work, archive));
    await rename(work, target);
  }
  return folder;
}

/** Files of a package, by name. @param pattern - a glob below the package's root */
export function filesOf(folder: string, name: string, pattern: string): string[] {
  const root = join(folder, name, "files");
  return globSync(pattern, { cwd: root })
    .sort()
    .map((path) => join(root, path));
}

/** A part of a recording as one channel; the beginning of it if it is not so long. */
export function partOf(path: string, start: number, seconds: number, rate = 32_000): Signal {
  const whole = read(path, start, seconds, rate);
  return whole.length >= seconds * rate * 0.9 ? one(whole, rate) : one(read(path, 0, seconds, rate), rate);
}

function read(path: string, start: number, seconds: number, rate: number): Float64Array {
  const args = ["-nostdin", "-v", "error", "-ss", String(start), "-t", String(seconds), "-i", path, "-map", "0:a:0"];
  const raw = execFileSync("ffmpeg", [...args, "-ac", "1", "-ar", String(rate), "-f", "f64le", "pipe:1"], {
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return new Float64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
}

function one(samples: Float64Array, rate: number): Signal {
  return { rate, channels: [samples] };
}
