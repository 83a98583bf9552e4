/** Stage 4: is the whole what was asked for? Chunks are proved as they come; this is about the file. */
import { failure } from "../core/errors.ts";
import { digestOf } from "./digest.ts";
import type { PlannedFile } from "./plan.ts";
import type { Run } from "./run.ts";

/**
 * Cuts the part file to its size and compares the digest that was asked for.
 *
 * @throws DownloadError CHECKSUM_MISMATCH; the bytes stay beside the target, and the message says where
 */
export async function verify(run: Run, file: PlannedFile, size: number): Promise<void> {
  // What was made anew for one chunk is as long as that.
  if (file.recorded && (await file.part.size()) !== size) await file.part.truncate(size);
  const { checksum } = run.session.options;
  if (!checksum) return;
  const only = file.done.size === 1 ? file.done.get(0) : undefined;
  // A file of one chunk has been hashed already.
  const known = checksum.algorithm === "sha-256" ? only : undefined;
  if (known === undefined) await run.update({ stage: "verify" });
  const found = known ?? (await digestOf(run.engine.files.readStream(file.part.path), checksum.algorithm, run.signal));
  if (found === checksum.value) return;
  throw failure(
    "CHECKSUM_MISMATCH",
    `${checksum.algorithm} is ${found}, expected ${checksum.value}; the bytes are kept in ${file.part.path}`,
    { metadata: { algorithm: checksum.algorithm, expected: checksum.value, found, kept: file.part.path } },
  );
}
