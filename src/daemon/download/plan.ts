/**
 * Stage 2: where does the file go, what of it is here, and what will the origin give? The probe is a ranged GET whose
 * bytes are used: the answer is handed on open.
 */
import { basename, dirname, join } from "node:path";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { Candidate, Plan } from "../core/plan.ts";
import type { ChunkSource, Claim, PartFile, RangeStream } from "../core/ports.ts";
import type { PartState, ResourceInfo } from "../core/session.ts";
import { sha256 } from "./digest.ts";
import type { Run } from "./run.ts";

/** What is known of a file before its bytes come. */
interface PlanInit {
  readonly source: ChunkSource;
  readonly resource: ResourceInfo;
  readonly part: PartFile;
  readonly chunkSize: number;
  readonly epoch: number;
  /** Chunks that are here and proved. */
  readonly done: Map<number, string>;
  /** True if the file must come in one stream from its first byte. */
  readonly whole: boolean;
  /** The probe's answer, still unread. Absent when an earlier run is gone on with. */
  readonly opening?: RangeStream;
}

/** Everything that the fetch needs. Owns the open part file and the claim on the target. */
export class PlannedFile implements PlanInit, AsyncDisposable {
  readonly source: ChunkSource;
  readonly resource: ResourceInfo;
  readonly part: PartFile;
  readonly chunkSize: number;
  readonly epoch: number;
  readonly done: Map<number, string>;
  readonly whole: boolean;
  readonly opening?: RangeStream;
  #claim: Claim;

  constructor(init: PlanInit, claim: Claim) {
    this.source = init.source;
    this.resource = init.resource;
    this.part = init.part;
    this.chunkSize = init.chunkSize;
    this.epoch = init.epoch;
    this.done = init.done;
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

  /** Takes another final path; the former is free again. */
  retarget(claim: Claim): void {
    this.#claim[Symbol.dispose]();
    this.#claim = claim;
  }

  async [Symbol.asyncDispose](): Promise<void> {
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

/** The smallest chunk, in bytes: below it the records would cost more than the bytes. */
const SMALLEST_CHUNK = 64 * 1024;

/** Plans a session's file. @throws DownloadError of any kind */
export async function plan(run: Run, { candidates }: Plan): Promise<PlannedFile> {
  const { session, engine } = run;
  if (!engine.hooks.idle) {
    await engine.hooks.preDownload(session.url, {
      sessionId: session.id,
      ...(session.batchId !== undefined && { batchId: session.batchId }),
      ...session.metadata,
      ...(session.resource?.size !== undefined && { size: session.resource.size }),
    });
  }
  return (await planResumed(run, candidates[0])) ?? (await planFresh(run, candidates));
}

/** True if ranges of this resource can be put together: the origin gives ranges, and can tell its versions apart. */
function canResume(resource: ResourceInfo): boolean {
  return resource.ranges && resource.size !== undefined && resource.strongValidator !== undefined;
}

async function planResumed(run: Run, candidate: Candidate): Promise<PlannedFile | undefined> {
  const { session, engine, settings } = run;
  const { resource, part: state, target } = session;
  if (!settings.enableResume || !resource || !state || !target || !canResume(resource)) return undefined;
  if (!(await engine.files.exists(state.path))) return undefined;
  const size = resource.size ?? 0;
  await using held = new AsyncDisposableStack();
  const claim = held.use(await claimTarget(run, resource));
  const part = await engine.files.openPart(state.path);
  held.defer(() => part.close());
  const done = new Map(await engine.store.chunks(session.id, state.epoch));
  if (settings.verifyChunks) await dropDamaged(run, part, state, size, done);
  await requireSpace(run, dirname(claim.path), size - doneBytes(done.keys(), size, state.chunkSize));
  if (claim.path !== target) await run.update({ target: claim.path });
  held.move();
  const source = sourceOf(run, candidate);
  const { chunkSize, epoch } = state;
  return new PlannedFile({ source, resource, part, chunkSize, epoch, done, whole: false }, claim);
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

async function planFresh(run: Run, candidates: Plan["candidates"]): Promise<PlannedFile> {
  const { engine, settings } = run;
  const chunkSize = chooseChunkSize(run);
  const { source, opening } = await probe(run, candidates, chunkSize);
  const { resource } = opening;
  await using held = new AsyncDisposableStack();
  held.defer(() => opening.cancel());
  const claim = held.use(await claimTarget(run, resource));
  const epoch = (run.session.part?.epoch ?? 0) + 1;
  const path = run.session.part?.path ?? partPath(claim.path, run.session.id);
  if (epoch > 1) await engine.store.dropChunks(run.session.id);
  await run.update({
    stage: "fetch",
    resource,
    target: claim.path,
    part: { path, chunkSize, epoch },
    manifestRoot: undefined,
    metadata: { title: basename(claim.path), ...run.session.metadata },
    progress: { downloadedBytes: 0, ...(resource.size !== undefined && { totalBytes: resource.size }) },
  });
  const part = await engine.files.openPart(path);
  held.defer(() => part.close());
  // First what is of no use any more goes, then the room for the new version is looked at.
  if (epoch > 1) await part.truncate(0);
  await requireSpace(run, dirname(path), resource.size ?? 0);
  if (resource.size !== undefined && resource.size > settings.chunkSize) await part.reserve(resource.size);
  const whole = run.rangesRefused || !canResume(resource);
  held.move();
  return new PlannedFile({ source, resource, part, chunkSize, epoch, done: new Map(), whole, opening }, claim);
}

/** The first candidate that answers. @throws DownloadError what the first one threw, if none does */
async function probe(
  run: Run,
  candidates: Plan["candidates"],
  chunkSize: number,
): Promise<{ source: ChunkSource; opening: RangeStream }> {
  const cached = await fromCache(run);
  if (cached) return { source: cached, opening: await cached.open({ start: 0, end: chunkSize, signal: run.signal }) };
  let failed: DownloadError | undefined;
  for (const candidate of candidates) {
    const source = sourceOf(run, candidate);
    try {
      if (run.rangesRefused) return { source, opening: await source.open({ start: 0, signal: run.signal }) };
      const opening = await source.open({ start: 0, end: chunkSize, signal: run.signal });
      if (canResume(opening.resource) || opening.end === opening.resource.size || !opening.resource.ranges)
        return { source, opening };
      // Ranges, but no way to tell versions apart: the whole in one answer, so that all bytes are of one version.
      opening.cancel();
      return { source, opening: await source.open({ start: 0, signal: run.signal }) };
    } catch (error) {
      run.signal.throwIfAborted();
      failed ??= asDownloadError(error);
      run.logger.info(
        { source: source.id, code: asDownloadError(error).code },
        "a source does not answer as it should",
      );
    }
  }
  throw failed ?? failure("INTERNAL", "a plan without candidates");
}

function fromCache(run: Run): Promise<ChunkSource | undefined> {
  const { checksum } = run.session.options;
  return run.engine.cache && checksum ? run.engine.cache.sourceFor(checksum) : Promise.resolve(undefined);
}

function sourceOf(run: Run, candidate: Candidate): ChunkSource {
  const timeout = run.session.options.timeout ?? run.settings.timeout;
  return run.engine.sources.http(candidate.url, { headers: candidate.headers, timeoutMs: timeout * 1000 });
}

/** The grid is fixed here for the session's life; when memory is short, with smaller chunks. */
function chooseChunkSize(run: Run): number {
  const connections = run.session.options.connections ?? run.settings.connections;
  let size = run.settings.chunkSize;
  // Each connection fills one slab while another is hashed and written.
  while (size > SMALLEST_CHUNK && size * connections * 2 > run.settings.memoryHeadroom()) size = Math.ceil(size / 2);
  return size;
}

async function claimTarget(run: Run, resource: ResourceInfo): Promise<Claim> {
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
  return engine.files.claim(directory, resource.filename ?? nameFromUrl(resource.finalUrl), policy);
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

/** Beside the target, so that the rename is one of the same file system; its own by the session's id. */
function partPath(target: string, id: string): string {
  const suffix = `.${id.slice(0, 8)}.part`;
  let name = basename(target);
  while (Buffer.byteLength(name) + suffix.length > 255) name = [...name].slice(0, -1).join("");
  return join(dirname(target), name + suffix);
}

/** @throws SystemResourceError DISK_FULL if less than `size` and what is to stay free is left */
export async function requireSpace(run: Run, directory: string, size: number): Promise<void> {
  const free = await run.engine.files.freeSpace(directory);
  if (free >= size + run.settings.minFreeSpace) return;
  throw failure(
    "DISK_FULL",
    `${directory} has ${free} bytes free; the file needs ${size} more, and ${run.settings.minFreeSpace} are to stay free`,
    { metadata: { directory, free: String(free), needed: String(size) } },
  );
}
