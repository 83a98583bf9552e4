/** The first question to a place: a ranged GET whose bytes are used. */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import type { Candidate, Plan } from "../core/plan.ts";
import type { ChunkSource, RangeStream } from "../core/ports/sources.ts";
import type { Run } from "./run.ts";
import { canResume } from "./sources.ts";

/** Milliseconds between two looks whether something else can be had than what is waited for. */
const LOOK_MS = 50;

const ELSEWHERE = new Error("other bytes can be had sooner");

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
  plan: Plan,
  chunkSize: number,
): Promise<{ source: Asked; opening: RangeStream; others: readonly Asked[] }> {
  const wanted = plan.manifest?.size ?? plan.size ?? run.session.options.size;
  const asked = plan.candidates.map((candidate) => askedOf(run, candidate));
  const cached = await fromCache(run, plan, wanted);
  if (cached) return { ...cached, others: asked };
  const failures: DownloadError[] = [];
  for (const source of asked) {
    try {
      const opening = await openFirst(run, source.source, chunkSize, plan.manifest);
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

async function openFirst(
  run: Run,
  source: ChunkSource,
  chunkSize: number,
  manifest: Manifest | undefined,
): Promise<RangeStream> {
  const { signal } = run;
  if (run.rangesRefused) return source.open({ start: 0, signal });
  if (manifest && source.choose) return openChosen(run, source, manifest);
  const opening = await source.open({ start: 0, end: chunkSize, signal });
  if (canResume(opening.resource) || opening.end === opening.resource.size || !opening.resource.ranges) return opening;
  // Ranges, but no way to tell versions apart: the whole in one answer, so that all bytes are of one version.
  opening.cancel();
  return source.open({ start: 0, signal });
}

/** Whatever can be had first: for what nobody has yet one might wait for long. */
async function openChosen(run: Run, source: ChunkSource, { size, chunkSize, root }: Manifest): Promise<RangeStream> {
  const { clock } = run.engine;
  const whole = { start: 0, end: size };
  for (;;) {
    const chosen = source.choose?.([whole])?.start ?? 0;
    const start = Math.floor(Math.max(0, Math.min(chosen, size - 1)) / chunkSize) * chunkSize;
    const asked = { start, end: Math.min(start + chunkSize, size) };
    const abort = new AbortController();
    const look = (): void => {
      if (!source.choose?.([asked]) && source.choose?.([whole])) abort.abort(ELSEWHERE);
      else cancel = clock.timer(LOOK_MS, look);
    };
    let cancel = clock.timer(LOOK_MS, look);
    // For as long as the stream is read; AbortSignal.any would do, at ten times the price, for every small file.
    const stop = (): void => abort.abort(run.signal.reason);
    run.signal.addEventListener("abort", stop, { once: true });
    if (run.signal.aborted) stop();
    try {
      const stream = await source.open({ ...asked, signal: abort.signal });
      if (abort.signal.reason === ELSEWHERE) stream.cancel();
      else if (stream.resource.strongValidator === `"${root}"`) return stream;
      else {
        stream.cancel();
        // By the manifest of another version every chunk would be wrong, and nobody's fault.
        throw failure("RESOURCE_CHANGED", `${source.id} is not what it was a moment ago`);
      }
    } catch (error) {
      // Whatever the source makes of it.
      if (abort.signal.reason !== ELSEWHERE) throw error;
    } finally {
      cancel();
      if (abort.signal.reason === ELSEWHERE) run.signal.removeEventListener("abort", stop);
    }
  }
}

/**
 * What is stored here already with a digest that the file must have, in one stream. Its bytes are compared like any others.
 *
 * Not for a caller over TCP: whether anybody is asked for a file would tell what is on this machine. Not by force, which is
 * to fetch, and not where one place alone is to be asked.
 */
async function fromCache(
  run: Run,
  { digests = [], alone, candidates }: Plan,
  wanted: number | undefined,
): Promise<{ source: Asked; opening: RangeStream } | undefined> {
  const { cache } = run.engine;
  const { checksum, remote, force } = run.session.options;
  if (!cache || remote || force || alone) return undefined;
  for (const digest of [...(checksum ? [checksum] : []), ...digests]) {
    const source = await cache.sourceFor(digest);
    if (!source) continue;
    try {
      const opening = await source.open({ start: 0, signal: run.signal });
      refuseOtherSize(opening, wanted, source.id);
      // Nothing is known of the URL itself, but for its name.
      const known = { ...opening.resource, finalUrl: candidates[0].url, ranges: false };
      run.logger.info({ source: source.id }, "the file is here already, under another name");
      return { source: { candidate: { url: source.id, headers: [] }, source }, opening: withResource(opening, known) };
    } catch (error) {
      run.signal.throwIfAborted();
      run.logger.info({ source: source.id, code: asDownloadError(error).code }, "the cache cannot give it after all");
    }
  }
  return undefined;
}

function withResource(stream: RangeStream, resource: RangeStream["resource"]): RangeStream {
  const { start, end } = stream;
  return {
    start,
    ...(end !== undefined && { end }),
    resource,
    pipe: (sink) => stream.pipe(sink),
    cancel: () => stream.cancel(),
  };
}

/** Makes the source of a candidate. @throws DownloadError UNSUPPORTED_SCHEME */
export function sourceOf(run: Run, { url, headers, namedBy }: Candidate): ChunkSource {
  if (/^snatch:/i.test(url)) {
    if (run.engine.peers) return run.engine.peers.peer(url);
    throw failure("UNSUPPORTED_SCHEME", `nothing here can fetch from peers: ${redactUrl(url)}`);
  }
  const { timeout = run.settings.timeout, remote, namedBy: asked } = run.session.options;
  const named = namedBy ?? asked;
  const way = { ...(named !== undefined && { namedBy: named }), ...(remote && { remote }) };
  return run.engine.sources.http(url, { headers, timeoutMs: timeout * 1000, ...way });
}
