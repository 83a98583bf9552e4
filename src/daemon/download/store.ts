/**
 * Stage 6: the file gets its name. The order is the promise: datasync the part → record → rename → sync the folder. Killed
 * between any two, the next run finds out from the record how far it came.
 */
import { basename, dirname } from "node:path";
import { asDownloadError } from "../core/errors.ts";
import { chunkRange, makeManifest } from "../core/manifest.ts";
import type { Claim, PartFile, PlacedFile } from "../core/ports/files.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import type { IfExists, ResourceInfo } from "../core/session.ts";
import { sha256 } from "./digest.ts";
import { type Beside, placeBeside } from "./media/beside.ts";
import type { Run } from "./run.ts";
import { asidePath } from "./target.ts";

/** A file whose bytes are all here and proved. */
export interface Storable {
  readonly part: PartFile;
  /** The final path. */
  readonly target: string;
  readonly chunkSize: number;
  readonly epoch: number;
  /** SHA-256 of every chunk, by index. */
  readonly done: ReadonlyMap<number, string>;
  readonly origins: ReadonlyMap<number, readonly number[]>;
  /** Its chunks are recorded already. */
  readonly recorded: boolean;
  /** An older part file that goes when this one is in place. */
  readonly former?: string;
  readonly resource: ResourceInfo;
  /** What is to be recorded with its manifest. */
  readonly patch?: SessionPatch;
  /** What is put beside it. */
  readonly besides?: readonly Beside[];
  retarget(claim: Claim): void;
  /** Gives the claim on the target away. */
  handOver(): Claim;
}

/** Puts a verified file in place. @throws DownloadError TARGET_EXISTS, FileSystemError, SystemResourceError */
export async function store(run: Run, file: Storable, size: number): Promise<PlacedFile> {
  const { engine, session } = run;
  run.signal.throwIfAborted();
  const count = Math.ceil(size / file.chunkSize);
  const chunks = Array.from({ length: count }, (_, index) => file.done.get(index) ?? "");
  const { root } = makeManifest(size, file.chunkSize, chunks);
  const { segments } = session.progress;
  const patch: SessionPatch = {
    stage: "store",
    manifestRoot: root,
    via: run.allVia,
    digests: run.digests.length > 0 ? run.digests : undefined,
    progress: { downloadedBytes: size, totalBytes: size, ...(segments && { segments }) },
    ...(file.former !== undefined && !file.patch && replaced(run, file)),
    ...file.patch,
  };
  await file.part.sync();
  await file.part.close();
  const mtimeMs = Date.parse(file.resource.lastModified ?? "");
  for (;;) {
    const { target } = file;
    await Promise.all([
      // Asked for together, both are one write to the disk.
      !file.recorded &&
        engine.store.recordChunks(
          session.id,
          file.epoch,
          chunks.map((sha256, index) => [index, sha256, file.origins.get(index) ?? []]),
        ),
      run.update({ ...patch, target }, { sync: true }),
    ]);
    // Before the file: once that is in place, nothing is asked again.
    if (file.besides) await placeBeside(run, target, file.besides);
    try {
      const placed = await engine.files.place(file.part.path, target, {
        ...(!Number.isNaN(mtimeMs) && { mtimeMs }),
        ...(file.resource.mode !== undefined && { mode: file.resource.mode }),
        replace: policyOf(run) === "overwrite",
      });
      if (file.former !== undefined) await engine.files.remove(file.former);
      // What was compared with them is what was fetched, and not what steps made of it.
      const digests = patch.sourceManifest === undefined ? run.digests : [];
      return { file: { path: target, ...placed }, chunkSize: file.chunkSize, chunks, digests };
    } catch (error) {
      // Someone has put a file there since the name was claimed; with another name nothing is lost.
      if (asDownloadError(error).code !== "TARGET_EXISTS" || policyOf(run) !== "rename") throw error;
      file.retarget(await engine.files.claim(dirname(target), basename(target), "rename"));
    }
  }
}

/**
 * A run that died between the rename and its record left a file in place and no part file. It is the session's own only
 * if every chunk is what was recorded.
 */
export async function alreadyPlaced(run: Run): Promise<PlacedFile | undefined> {
  const { session, engine } = run;
  const { target, part, manifestRoot, progress } = session;
  if (manifestRoot === undefined || target === undefined || !part || (await engine.files.exists(part.path)))
    return undefined;
  const found = await engine.files.stat(target);
  if (!found || found.size !== progress.totalBytes) return undefined;
  const recorded = await engine.store.chunks(session.id, part.epoch);
  const file = await engine.files.openRead(target);
  try {
    const chunks: string[] = [];
    for (let index = 0; index * part.chunkSize < found.size; index++) {
      run.signal.throwIfAborted();
      const { start, end } = chunkRange(index, found.size, part.chunkSize);
      const digest = await sha256(Buffer.from(await file.read(start, end - start)));
      if (digest !== recorded.get(index)) return undefined;
      chunks.push(digest);
    }
    if (makeManifest(found.size, part.chunkSize, chunks).root !== manifestRoot) return undefined;
    await engine.files.remove(asidePath(part.path));
    const digests = session.sourceManifest === undefined ? (session.digests ?? []) : [];
    return { file: { path: target, ...found }, chunkSize: part.chunkSize, chunks, digests };
  } finally {
    await file.close();
  }
}

/** From here on the stream's part file is the session's: the older one is of no use any more. */
function replaced({ session }: Run, { part, chunkSize, epoch, resource }: Storable): SessionPatch {
  const sources = session.part?.sources;
  return { resource, part: { path: part.path, chunkSize, epoch, ...(sources && { sources }) } };
}

function policyOf(run: Run): IfExists {
  return run.session.options.ifExists ?? run.settings.ifExists;
}
