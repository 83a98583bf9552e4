/** Files to serve, and digests of what arrived. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is gone when its time is over. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "snatch-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Writes a file of random bytes, in which no two places are alike. @returns its SHA-256 */
export async function makeFile(path: string, size: number): Promise<string> {
  const hash = createHash("sha256");
  await using file = await open(path, "w");
  for (let at = 0; at < size; ) {
    const bytes = randomBytes(Math.min(4 * 1024 * 1024, size - at));
    hash.update(bytes);
    await file.writeFile(bytes);
    at += bytes.length;
  }
  return hash.digest("hex");
}

/** SHA-256 of a file, hex; of any size. @throws Error of the system if it cannot be read */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(bytes as Buffer);
  return hash.digest("hex");
}
