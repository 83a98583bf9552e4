/**
 * Stage 2: where does the file go, what of it is here, and what will the origin give? The probe is a ranged GET whose
 * bytes are used: the answer is handed on open.
 */
import { basename, dirname } from "node:path";
import { failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { Candidate, Plan } from "../core/plan.ts";
import type { PartFile } from "../core/ports/files.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { PartState, ResourceInfo } from "../core/session.ts";
import { withDescription } from "./describe.ts";
import { sha256 } from "./digest.ts";
import { basePath, removeRemains } from "./media/remains.ts";
import { doneBytes, PlannedFile } from "./planned-file.ts";
import { askedOf, probe, sourceOf } from "./probe.ts";
import type { Run } from "./run.ts";
import { canResume, Sources } from "./sources.ts";
import { asidePath, claimTarget, nameFromUrl, partPath, requireSpace } from "./target.ts";
import { expectedDigests } from "./verify.ts";

/** Attempts in vain after which a place is left for another, with what it gave. */
const FAITHFUL = 2;

/** Bytes that come in one piece with the answer's head: nothing to share out, nothing to go on with. */
export const TINY = 64 * 1024;

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
  // What steps made of it lies there, with chunks of its own: they say nothing about what the origin has.
  if (session.sourceManifest !== undefined) return undefined;
  const { manifest } = source;
  // Another grid, or another file.
  if (manifest && (state.chunkSize !== manifest.chunkSize || resource.size !== manifest.size)) return undefined;
  const candidates = [...source.candidates, ...namedMirrors(resource, source)];
  // The version is that of one origin: without it nobody could say whether it is still the same.
  const urls = mergeUrls(state.sources, candidates);
  const ordered = urls.map((url) => candidates.find((candidate) => candidate.url === url));
  if (!ordered[0] || !(await engine.files.exists(state.path))) return undefined;
  const size = resource.size ?? 0;
  await using held = new AsyncDisposableStack();
  const claim = held.use(await claimTarget(run, resource, source));
  // What one place began another cannot go on with, unless a digest proves it in the end: when it has failed again and again,
  // the others are asked for all of it.
  const given = session.attempt > FAITHFUL && candidates.length > 1;
  if (given && !hasDigest(run, source, resource)) return undefined;
  const part = await engine.files.openPart(state.path);
  held.defer(() => part.close());
  const done = new Map(await engine.store.chunks(session.id, state.epoch));
  if (settings.verifyChunks) await dropDamaged(run, part, state, size, done);
  // What was proved once was not by this manifest: nothing of it is mixed with what is.
  if (manifest && [...done].some(([index, digest]) => manifest.chunks[index] !== digest)) return undefined;
  // With nothing in hand any place may be the first.
  if (done.size === 0 && source.candidates.length > 1) return undefined;
  await askHooks(run, resource, source);
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
    digest: hasDigest(run, source, resource),
  });
  const recorded = size > chunkSize;
  return new PlannedFile(
    {
      sources,
      candidates: ordered,
      resource,
      part,
      chunkSize,
      epoch,
      done,
      recorded,
      whole: false,
      ...(manifest && { manifest }),
    },
    claim,
  );
}

/** Where media was expected: a login page is not to lie there under its name. @throws ResourceError MEDIA_INVALID */
function refusePage(id: string, { contentType = "" }: ResourceInfo): void {
  if (/^(text\/html|application\/xhtml\+xml)\s*(;|$)/i.test(contentType))
    throw failure("MEDIA_INVALID", `${id} is a page (${contentType}), not media`);
}

/** True if the whole is going to be compared with a digest. */
function hasDigest({ session }: Run, { digests }: Plan, resource: ResourceInfo): boolean {
  return expectedDigests(session.options, digests, resource.digests).length > 0;
}

/** Mirrors that the origin itself names. They get nothing that was given for another place. */
function namedMirrors({ mirrors = [], finalUrl }: ResourceInfo, { candidates, alone }: Plan): readonly Candidate[] {
  const known = new Set(candidates.map(({ url }) => url));
  return alone ? [] : mirrors.filter((url) => !known.has(url)).map((url) => ({ url, headers: [], namedBy: finalUrl }));
}

/** Asks the hooks whether the file may come, once it is known what it is. @throws DownloadError VETOED */
export async function askHooks(run: Run, resource: ResourceInfo, plan: Plan): Promise<void> {
  const { session, engine } = run;
  if (engine.hooks.idle) return;
  const { size, contentType, finalUrl } = resource;
  const filename = plan.filename ?? resource.filename ?? nameFromUrl(finalUrl);
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
  const { manifest } = asked;
  const chunkSize = manifest?.chunkSize ?? chooseChunkSize(run);
  const { source, opening, others } = await probe(run, asked, chunkSize);
  await using held = new AsyncDisposableStack();
  held.defer(() => opening.cancel());
  const claims = (each: Resolver): boolean | undefined => each.claimsAnswer?.(session, opening.resource);
  const claimant = asked.final ? undefined : engine.resolvers.find(claims);
  if (claimant) return claimant;
  if (asked.noPage) refusePage(source.source.id, opening.resource);
  const described = await withDescription(run, opening, asked);
  const resource = manifest ? { ...described, size: manifest.size } : described;
  await askHooks(run, resource, asked);
  const claim = held.use(await claimTarget(run, resource, asked));
  const whole = run.rangesRefused || !canResume(resource);
  const single = resource.size !== undefined && resource.size <= chunkSize;
  const epoch = (session.part?.epoch ?? 0) + 1;
  // A stream cannot be gone on with: what an earlier attempt won stays until the stream has come to its end.
  const made = session.sourceManifest !== undefined;
  const won = run.rangesRefused && !made ? (await engine.store.get(session.id))?.progress : undefined;
  const former = won && won.downloadedBytes > 0 ? session.part?.path : undefined;
  const own = session.part ? basePath(session.part.path, session.id) : partPath(claim.path, session.id);
  const path = former ? asidePath(former) : made ? own : (session.part?.path ?? own);
  const all = [source, ...others, ...namedMirrors(resource, asked).map((mirror) => askedOf(run, mirror))];
  const urls = all.map(({ candidate }) => candidate.url);
  if (former === undefined) {
    // Before the part file is emptied: after a power cut no record of older chunks may stand for what is in it then.
    const sync = epoch > 1;
    // What comes in one piece is there before it could be gone on with.
    const lazy = !sync && resource.size !== undefined && resource.size <= Math.min(TINY, chunkSize);
    if (epoch > 1) {
      await engine.store.dropChunks(session.id);
      // Of an earlier attempt that was killed, or gave up, between the two.
      await engine.files.remove(asidePath(path));
    }
    // Of an attempt that died over putting in place what steps had made.
    if (made) await removeRemains(engine.files, session);
    await run.update(
      {
        stage: "fetch",
        resource,
        target: claim.path,
        part: { path, chunkSize, epoch, sources: urls },
        manifestRoot: undefined,
        sourceManifest: undefined,
        via: undefined,
        metadata: { title: basename(claim.path), ...session.metadata },
        progress: { downloadedBytes: 0, ...(resource.size !== undefined && { totalBytes: resource.size }) },
      },
      { sync, lazy },
    );
  } else await run.update({ stage: "fetch", target: claim.path, progress: won });
  // First what is of no use any more goes, also what nobody knows of, then the room for the new version is looked at.
  const part = await engine.files.openPart(path, { empty: true });
  held.defer(() => part.close());
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
    digest: hasDigest(run, asked, resource),
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
      ...(manifest && { manifest }),
    },
    claim,
  );
}

/** The grid is fixed here for the session's life; when memory is short, with smaller chunks. */
function chooseChunkSize(run: Run): number {
  const connections = run.session.options.connections ?? run.settings.connections;
  let size = run.settings.chunkSize;
  // Each connection fills one slab while another is hashed and written.
  while (size > SMALLEST_CHUNK && size * connections * 2 > run.settings.memoryHeadroom()) size = Math.ceil(size / 2);
  return size;
}
