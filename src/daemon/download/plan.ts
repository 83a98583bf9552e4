/**
 * Stage 2: where does the file go, what of it is here, and what will the origin give? The probe is a ranged GET whose
 * bytes are used: the answer is handed on open.
 */
import { basename, dirname, join } from "node:path";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { Candidate, Plan } from "../core/plan.ts";
import type { ChunkSource, Claim, PartFile, RangeStream, Resolver } from "../core/ports.ts";
import type { PartState, ResourceInfo } from "../core/session.ts";
import { withDescription } from "./describe.ts";
import { sha256 } from "./digest.ts";
import type { Run } from "./run.ts";
import { canResume, Sources } from "./sources.ts";

/** What is known of a file before its bytes come. */
interface PlanInit {
  readonly sources: Sources;
  /** By their numbers; undefined for one that is not to be asked any more. */
  readonly candidates: readonly (Candidate | undefined)[];
  readonly resource: ResourceInfo;
  readonly part: PartFile;
  readonly chunkSize: number;
  readonly epoch: number;
  /** Chunks that are here and proved. */
  readonly done: Map<number, string>;
  /** True if the chunks are recorded as they come; otherwise all at the end. */
  readonly recorded: boolean;
  /** An older part file that is kept until this one is whole. */
  readonly former?: string;
  /** True if the file must come in one stream from its first byte. */
  readonly whole: boolean;
  /** The probe's answer, still unread. Absent when an earlier run is gone on with. */
  readonly opening?: RangeStream;
}

/** Everything that the fetch needs. Owns the open part file and the claim on the target. */
export class PlannedFile implements PlanInit, AsyncDisposable {
  readonly sources: Sources;
  readonly candidates: readonly (Candidate | undefined)[];
  readonly resource: ResourceInfo;
  readonly part: PartFile;
  readonly chunkSize: number;
  readonly epoch: number;
  readonly done: Map<number, string>;
  readonly recorded: boolean;
  readonly former?: string;
  readonly whole: boolean;
  readonly opening?: RangeStream;
  /** Where the chunks of this run came from. */
  readonly origins = new Map<number, readonly number[]>();
  #claim: Claim;

  constructor(init: PlanInit, claim: Claim) {
    this.sources = init.sources;
    this.candidates = init.candidates;
    this.resource = init.resource;
    this.part = init.part;
    this.chunkSize = init.chunkSize;
    this.epoch = init.epoch;
    this.done = init.done;
    this.recorded = init.recorded;
    if (init.former !== undefined) this.former = init.former;
    this.whole = init.whole;
    if (init.opening) this.opening = init.opening;
    this.#claim = claim;
  }

  /** The final path. */
  get target(): string {
    return this.#claim.path;
  }

  /** Bytes that are here and proved. */
  get doneBytes(): number {
    return doneBytes(this.done.keys(), this.resource.size ?? Number.POSITIVE_INFINITY, this.chunkSize);
  }

  /** If the bytes are wrong, the places that could do better alone: all but the one that gave every byte. */
  get suspects(): readonly Candidate[] {
    const places = this.candidates.flatMap((candidate, number) => (candidate ? [{ candidate, number }] : []));
    if (places.length < 2) return [];
    const gave = this.whole ? new Set([0]) : new Set([...this.origins.values()].flat());
    // What an earlier run fetched may be from anywhere.
    const known = this.whole || this.origins.size === this.done.size;
    return places.flatMap(({ candidate, number }) => (known && gave.size === 1 && gave.has(number) ? [] : [candidate]));
  }

  /** Takes another final path; the former is free again. */
  retarget(claim: Claim): void {
    this.#claim[Symbol.dispose]();
    this.#claim = claim;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sources[Symbol.dispose]();
    this.#claim[Symbol.dispose]();
    await this.part.close();
  }
}

function doneBytes(chunks: Iterable<number>, size: number, chunkSize: number): number {
  let bytes = 0;
  for (const index of chunks) {
    const { start, end } = chunkRange(index, size, chunkSize);
    bytes += end - start;
  }
  return bytes;
}

/** Bytes below which a file's need for room is looked at by an answer that may be so many milliseconds old. */
const SMALL_FILE = 1024 * 1024;
const SPACE_AGE_MS = 100;

/** The smallest chunk, in bytes: below it the records would cost more than the bytes. */
const SMALLEST_CHUNK = 64 * 1024;

/**
 * Plans a session's file.
 *
 * @returns the plan, or the resolver of what answered: it was no file
 * @throws DownloadError of any kind
 */
export async function plan(run: Run, source: Plan): Promise<PlannedFile | Resolver> {
  return (await planResumed(run, source)) ?? (await planFresh(run, source));
}

async function planResumed(run: Run, source: Plan): Promise<PlannedFile | undefined> {
  const { session, engine, settings } = run;
  const { resource, part: state, target } = session;
  if (run.rangesRefused || !settings.enableResume || !resource || !state || !target || !canResume(resource))
    return undefined;
  const candidates = [...source.candidates, ...namedMirrors(resource, source)];
  // The version is that of one origin: without it nobody could say whether it is still the same.
  const urls = mergeUrls(state.sources, candidates);
  const ordered = urls.map((url) => candidates.find((candidate) => candidate.url === url));
  if (!ordered[0] || !(await engine.files.exists(state.path))) return undefined;
  const size = resource.size ?? 0;
  await using held = new AsyncDisposableStack();
  const claim = held.use(await claimTarget(run, resource, source));
  const part = await engine.files.openPart(state.path);
  held.defer(() => part.close());
  const done = new Map(await engine.store.chunks(session.id, state.epoch));
  if (settings.verifyChunks) await dropDamaged(run, part, state, size, done);
  // With nothing in hand any place may be the first.
  if (done.size === 0 && source.candidates.length > 1) return undefined;
  await askHooks(run, resource);
  await requireSpace(run, dirname(claim.path), size - doneBytes(done.keys(), size, state.chunkSize));
  await engine.files.remove(asidePath(state.path));
  if (claim.path !== target || urls.length !== state.sources?.length)
    await run.update({ target: claim.path, part: { ...state, sources: urls } });
  held.move();
  const { chunkSize, epoch } = state;
  const sources = new Sources({
    sources: ordered.map((candidate) => candidate && sourceOf(run, candidate)),
    resource,
    part,
    chunkSize,
    done,
    logger: run.logger,
  });
  const recorded = size > chunkSize;
  return new PlannedFile(
    { sources, candidates: ordered, resource, part, chunkSize, epoch, done, recorded, whole: false },
    claim,
  );
}

/** Mirrors that the origin itself names. They get nothing that was given for another place. */
function namedMirrors({ mirrors = [], finalUrl }: ResourceInfo, { candidates, alone }: Plan): readonly Candidate[] {
  const known = new Set(candidates.map(({ url }) => url));
  return alone ? [] : mirrors.filter((url) => !known.has(url)).map((url) => ({ url, headers: [], namedBy: finalUrl }));
}

/** Asks the hooks whether the file may come, once it is known what it is. @throws DownloadError VETOED */
async function askHooks(run: Run, resource: ResourceInfo): Promise<void> {
  const { session, engine } = run;
  if (engine.hooks.idle) return;
  const { size, contentType, finalUrl, filename = nameFromUrl(finalUrl) } = resource;
  const { batchId } = session;
  const { format, quality } = session.metadata;
  const metadata = {
    sessionId: session.id,
    filename,
    finalUrl,
    ...(batchId !== undefined && { batchId }),
    ...(format !== undefined && { format }),
    ...(quality !== undefined && { quality }),
    ...(size !== undefined && { size }),
    ...(contentType !== undefined && { contentType }),
  };
  await engine.hooks.preDownload(session.url, metadata, run.signal);
}

/** The URLs that were asked before, in their order, and behind them those that are new: a chunk's record names a place in it. */
function mergeUrls(former: readonly string[] = [], candidates: readonly Candidate[]): string[] {
  return [...new Set([...former, ...candidates.map(({ url }) => url)])];
}

/** Reads the recorded chunks back; one that is not what was recorded is fetched again. */
async function dropDamaged(
  run: Run,
  part: PartFile,
  state: PartState,
  size: number,
  done: Map<number, string>,
): Promise<void> {
  for (const [index, expected] of done) {
    run.signal.throwIfAborted();
    const { start, end } = chunkRange(index, size, state.chunkSize);
    const bytes = Buffer.from(await part.read(start, end - start));
    if (bytes.length === end - start && (await sha256(bytes)) === expected) continue;
    run.logger.warn({ chunk: index, start, end }, "a chunk on disk is not what was recorded; it is fetched again");
    done.delete(index);
  }
}

async function planFresh(run: Run, asked: Plan): Promise<PlannedFile | Resolver> {
  const { engine, settings, session } = run;
  const chunkSize = chooseChunkSize(run);
  const { source, opening, others } = await probe(run, asked, chunkSize);
  await using held = new AsyncDisposableStack();
  held.defer(() => opening.cancel());
  const claims = (each: Resolver): boolean | undefined => each.claimsAnswer?.(session, opening.resource);
  const claimant = asked.final ? undefined : engine.resolvers.find(claims);
  if (claimant) return claimant;
  const resource = await withDescription(run, opening, asked);
  await askHooks(run, resource);
  const claim = held.use(await claimTarget(run, resource, asked));
  const whole = run.rangesRefused || !canResume(resource);
  const single = resource.size !== undefined && resource.size <= chunkSize;
  const epoch = (session.part?.epoch ?? 0) + 1;
  // A stream cannot be gone on with: what an earlier attempt won stays until the stream has come to its end.
  const former = run.rangesRefused && session.progress.downloadedBytes > 0 ? session.part?.path : undefined;
  const path = former ? asidePath(former) : (session.part?.path ?? partPath(claim.path, session.id));
  const all = [source, ...others, ...namedMirrors(resource, asked).map((mirror) => askedOf(run, mirror))];
  const urls = all.map(({ candidate }) => candidate.url);
  if (former === undefined) {
    if (epoch > 1) await engine.store.dropChunks(session.id);
    await run.update({
      stage: "fetch",
      resource,
      target: claim.path,
      part: { path, chunkSize, epoch, sources: urls },
      manifestRoot: undefined,
      metadata: { title: basename(claim.path), ...session.metadata },
      progress: { downloadedBytes: 0, ...(resource.size !== undefined && { totalBytes: resource.size }) },
    });
  } else await run.update({ stage: "fetch", target: claim.path });
  const part = await engine.files.openPart(path);
  held.defer(() => part.close());
  // First what is of no use any more goes, then the room for the new version is looked at.
  if (epoch > 1) await part.truncate(0);
  await requireSpace(run, dirname(path), resource.size ?? 0);
  if (resource.size !== undefined && resource.size > settings.chunkSize) await part.reserve(resource.size);
  held.move();
  const done = new Map<number, string>();
  const sources = new Sources({
    sources: all.map((each) => each.source),
    resource,
    part,
    chunkSize,
    done,
    logger: run.logger,
  });
  const candidates = all.map(({ candidate }) => candidate);
  const recorded = !whole && !single;
  return new PlannedFile(
    {
      sources,
      candidates,
      resource,
      part,
      chunkSize,
      epoch,
      done,
      recorded,
      whole,
      opening,
      ...(former && { former }),
    },
    claim,
  );
}

/** A candidate with its source. */
interface Asked {
  readonly candidate: Candidate;
  readonly source: ChunkSource;
}

function askedOf(run: Run, candidate: Candidate): Asked {
  return { candidate, source: sourceOf(run, candidate) };
}

/**
 * The first candidate that answers, with its answer, and those that may join in later.
 *
 * @throws DownloadError if none does: why the first one that may answer another time does not, else why the first does not
 */
async function probe(
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

function sourceOf(run: Run, { url, headers, namedBy }: Candidate): ChunkSource {
  const timeout = run.session.options.timeout ?? run.settings.timeout;
  const options = { headers, timeoutMs: timeout * 1000, ...(namedBy !== undefined && { namedBy }) };
  return run.engine.sources.http(url, options);
}

/** The grid is fixed here for the session's life; when memory is short, with smaller chunks. */
function chooseChunkSize(run: Run): number {
  const connections = run.session.options.connections ?? run.settings.connections;
  let size = run.settings.chunkSize;
  // Each connection fills one slab while another is hashed and written.
  while (size > SMALLEST_CHUNK && size * connections * 2 > run.settings.memoryHeadroom()) size = Math.ceil(size / 2);
  return size;
}

async function claimTarget(run: Run, resource: ResourceInfo, { filename }: Plan): Promise<Claim> {
  const { session, engine, settings } = run;
  const policy = session.options.ifExists ?? settings.ifExists;
  // Planned by an earlier attempt: the name stays, unless it has become another's since.
  const former = session.target === undefined ? undefined : await engine.files.reclaim(session.target, policy);
  if (former) return former;
  if (session.options.output !== undefined) {
    await engine.files.ensureDirectory(dirname(session.options.output));
    return engine.files.claimPath(session.options.output, policy);
  }
  const directory = session.options.directory ?? settings.downloadDir;
  await engine.files.ensureDirectory(directory);
  return engine.files.claim(directory, filename ?? resource.filename ?? nameFromUrl(resource.finalUrl), policy);
}

/** The last segment of the path, decoded; the store makes it safe. */
function nameFromUrl(url: string): string {
  const segment = new URL(url).pathname.split("/").findLast((part) => part !== "") ?? "";
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Where a stream goes while an older part file is kept. */
export function asidePath(part: string): string {
  return part.replace(/\.part$/, ".whole.part");
}

/** Beside the target, so that the rename is one of the same file system; its own by the session's id. */
function partPath(target: string, id: string): string {
  const suffix = `.${id.slice(0, 8)}.part`;
  let name = basename(target);
  // With room for what asidePath puts in.
  while (Buffer.byteLength(name) + suffix.length + 6 > 255) name = [...name].slice(0, -1).join("");
  return join(dirname(target), name + suffix);
}

/** @throws SystemResourceError DISK_FULL if less than `size` and what is to stay free is left */
export async function requireSpace(run: Run, directory: string, size: number): Promise<void> {
  // Many small files need not ask each; what is large or of unknown length does.
  const small = size > 0 && size < SMALL_FILE;
  const free = await run.engine.files.freeSpace(directory, small ? SPACE_AGE_MS : 0);
  if (free >= size + run.settings.minFreeSpace) return;
  throw failure(
    "DISK_FULL",
    `${directory} has ${free} bytes free; the file needs ${size} more, and ${run.settings.minFreeSpace} are to stay free`,
    { metadata: { directory, free: String(free), needed: String(size) } },
  );
}
