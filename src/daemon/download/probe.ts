/** The first question to a place: a ranged GET whose bytes are used. */
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { Candidate, Plan } from "../core/plan.ts";
import type { ChunkSource, RangeStream } from "../core/ports.ts";
import type { Run } from "./run.ts";
import { canResume } from "./sources.ts";

/** A candidate with its source. */
export interface Asked {
  readonly candidate: Candidate;
  readonly source: ChunkSource;
}

/** The candidate with its source. */
export function askedOf(run: Run, candidate: Candidate): Asked {
  return { candidate, source: sourceOf(run, candidate) };
}

/**
 * The first candidate that answers, with its answer, and those that may join in later.
 *
 * @throws DownloadError if none does: why the first one that may answer another time does not, else why the first does not
 */
export async function probe(
  run: Run,
  { candidates, size }: Plan,
  chunkSize: number,
): Promise<{ source: Asked; opening: RangeStream; others: readonly Asked[] }> {
  const wanted = size ?? run.session.options.size;
  const asked = candidates.map((candidate) => askedOf(run, candidate));
  const cached = await fromCache(run);
  if (cached) {
    const opening = await cached.open({ start: 0, end: chunkSize, signal: run.signal });
    return { source: { candidate: candidates[0], source: cached }, opening, others: [] };
  }
  const failures: DownloadError[] = [];
  for (const source of asked) {
    try {
      const opening = await openFirst(run, source.source, chunkSize);
      refuseOtherSize(opening, wanted, source.source.id);
      return { source, opening, others: asked.filter((other) => other !== source) };
    } catch (error) {
      run.signal.throwIfAborted();
      const failed = asDownloadError(error);
      failures.push(failed);
      run.logger.info({ source: source.source.id, code: failed.code }, "a source does not answer as it should");
    }
  }
  throw failures.find(({ retryable }) => retryable) ?? failures[0] ?? failure("INTERNAL", "a plan without candidates");
}

/** @throws ResourceError SIZE_MISMATCH */
function refuseOtherSize(opening: RangeStream, wanted: number | undefined, id: string): void {
  const { size } = opening.resource;
  if (wanted === undefined || size === undefined || size === wanted) return;
  opening.cancel();
  throw failure("SIZE_MISMATCH", `${id} has ${size} bytes, expected ${wanted}`, {
    metadata: { expected: String(wanted), found: String(size) },
  });
}

async function openFirst(run: Run, source: ChunkSource, chunkSize: number): Promise<RangeStream> {
  const { signal } = run;
  if (run.rangesRefused) return source.open({ start: 0, signal });
  const opening = await source.open({ start: 0, end: chunkSize, signal });
  if (canResume(opening.resource) || opening.end === opening.resource.size || !opening.resource.ranges) return opening;
  // Ranges, but no way to tell versions apart: the whole in one answer, so that all bytes are of one version.
  opening.cancel();
  return source.open({ start: 0, signal });
}

function fromCache(run: Run): Promise<ChunkSource | undefined> {
  const { checksum } = run.session.options;
  return run.engine.cache && checksum ? run.engine.cache.sourceFor(checksum) : Promise.resolve(undefined);
}

/** Makes the source of a candidate. */
export function sourceOf(run: Run, { url, headers, namedBy }: Candidate): ChunkSource {
  const { timeout = run.settings.timeout, remote } = run.session.options;
  const way = { ...(namedBy !== undefined && { namedBy }), ...(remote && { remote }) };
  return run.engine.sources.http(url, { headers, timeoutMs: timeout * 1000, ...way });
}
