/**
 * Stage 4: is the whole what it has to be? Chunks are proved as they come; this is about the file. What was asked for and
 * what a description of the file says is compared in any case; what the origin says, where it is stronger than that.
 */
import { failure } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { Digest, DigestAlgorithm, DownloadOptions } from "../core/session.ts";
import { fileDigests, THREAD_BYTES } from "./digest.ts";
import { FileDigest } from "./file-digest.ts";
import type { PlannedFile } from "./planned-file.ts";
import { quarantine } from "./quarantine.ts";
import type { Run } from "./run.ts";

/** The weakest first. */
const STRENGTH: readonly DigestAlgorithm[] = ["crc32c", "md5", "sha-1", "sha-256", "sha-512"];

/**
 * Cuts the part file to its size and compares size and digests.
 *
 * @throws DownloadError CHECKSUM_MISMATCH, ResourceError SIZE_MISMATCH; the bytes are in quarantine, and the message says where
 */
export async function verify(run: Run, file: PlannedFile, size: number, source: Plan): Promise<void> {
  // What was made anew for one chunk is as long as that.
  if (file.recorded && (await file.part.size()) !== size) await file.part.truncate(size);
  const { options } = run.session;
  const wanted = source.manifest?.size ?? source.size ?? options.size;
  if (wanted !== undefined && wanted !== size) throw await wrongSize(run, file, wanted, size);
  const expected = expectedDigests(options, source.digests, file.resource.digests);
  if (expected.length === 0) return;
  const found = await digestsOf(run, file, size, new Set(expected.map(({ algorithm }) => algorithm)));
  const wrong = expected.find(({ algorithm, value }) => found.get(algorithm) !== value);
  if (wrong) throw await wrongDigest(run, file, wrong, found.get(wrong.algorithm) ?? "");
  run.digests = expected;
}

/** What has to be compared. Exported for its test. */
export function expectedDigests(
  { checksum }: Pick<DownloadOptions, "checksum">,
  described: readonly Digest[] = [],
  sent: readonly Digest[] = [],
): readonly Digest[] {
  const required = [...(checksum ? [{ ...checksum, from: "the request" }] : []), ...described];
  const strength = ({ algorithm }: Digest): number => STRENGTH.indexOf(algorithm);
  const strongest = Math.max(-1, ...required.map(strength));
  const [best] = sent.toSorted((a, b) => strength(b) - strength(a));
  return best && strength(best) > strongest ? [...required, best] : required;
}

/** Makes the digests of a large file while it comes, where there will be something to compare. */
export function beginDigest(run: Run, file: PlannedFile, source: Plan): void {
  const { size = Number.POSITIVE_INFINITY, digests } = file.resource;
  const expected = expectedDigests(run.session.options, source.digests, digests);
  if (expected.length === 0 || size < THREAD_BYTES) return;
  file.digest = new FileDigest(file.part.path, [...new Set(expected.map(({ algorithm }) => algorithm))]);
}

async function digestsOf(
  run: Run,
  { done, part, digest }: PlannedFile,
  size: number,
  algorithms: ReadonlySet<DigestAlgorithm>,
): Promise<ReadonlyMap<DigestAlgorithm, string>> {
  // A file of one chunk has been hashed already.
  const only = done.size === 1 ? done.get(0) : undefined;
  if (only !== undefined && algorithms.size === 1 && algorithms.has("sha-256")) return new Map([["sha-256", only]]);
  await run.update({ stage: "verify" });
  if (digest?.running) return digest.finish(size, run.signal);
  const { files } = run.engine;
  return fileDigests({ path: part.path, size, algorithms: [...algorithms], files, signal: run.signal });
}

async function wrongDigest(
  run: Run,
  file: PlannedFile,
  { algorithm, value, from }: Digest,
  found: string,
): Promise<Error> {
  const kept = await quarantine(run, file);
  const host = whoSent(file);
  return failure(
    "CHECKSUM_MISMATCH",
    `${algorithm} is ${found}, expected ${value} (from ${from}); what ${host} sent is kept in ${kept}`,
    { metadata: { host, algorithm, expected: value, found, from, kept } },
  );
}

/** The host, or what stands for it: peers have none. */
function whoSent({ resource, sources }: PlannedFile): string {
  return new URL(resource.finalUrl).host || sources.first.source.id;
}

async function wrongSize(run: Run, file: PlannedFile, wanted: number, size: number): Promise<Error> {
  const kept = await quarantine(run, file);
  const host = whoSent(file);
  return failure("SIZE_MISMATCH", `${host} sent ${size} bytes, expected ${wanted}; they are kept in ${kept}`, {
    metadata: { host, expected: String(wanted), found: String(size), kept },
  });
}
