/**
 * Makes the catalogue of what is to be shared. Files whose chunks are known already are not read again: those of an earlier
 * share of the same files, and those that have a receipt.
 */
import { setImmediate as breathe } from "node:timers/promises";
import { failure } from "../../core/errors.ts";
import { type Manifest, makeManifest } from "../../core/manifest.ts";
import type { MadeShare, ShareProgress } from "../../core/peers.ts";
import type { ReceiptStore } from "../../core/ports/receipts.ts";
import type { ShareKind } from "../../core/session.ts";
import { type CatalogueEntry, CHUNK_SIZES, catalogueRoot, encodeCatalogue, readManifest } from "./catalogue.ts";
import { nameProblem } from "./catalogue-names.ts";
import { chunkSizeFor, type HashAnswer, hashFiles } from "./share-hash.ts";
import type { SharedFile } from "./share-store.ts";
import { type FileIdentity, type OwnPlaces, type WalkedFile, walk } from "./walk.ts";

/** Below this many bytes a file is read sooner than its receipt is found. */
const WORTH_A_LOOK = 1024 * 1024;

/** Files between two rests: other work goes on meanwhile. */
const LOT = 500;

/** A file whose chunks are known. */
export interface KnownFile extends FileIdentity {
  readonly manifest: () => Manifest;
}

/** What is to be shared. */
export interface PreparedShare {
  readonly kind: ShareKind;
  readonly name: string;
  readonly size: number;
  readonly files: ReadonlyMap<number, SharedFile>;
  readonly catalogue: Uint8Array;
  readonly root: string;
  readonly leftOut: MadeShare["leftOut"];
}

/** What it is prepared with. */
export interface Preparing {
  /** The name that a person gave. */
  readonly name: string | undefined;
  /** For several files that have no folder in common. */
  readonly fallbackName: string;
  /** By path. */
  readonly known: ReadonlyMap<string, KnownFile>;
  readonly receipts: Pick<ReceiptStore, "byPath" | "chunks">;
  readonly own: OwnPlaces;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: ShareProgress) => void;
}

/** Finds and hashes files. @throws DownloadError SHARE_INVALID, SHARE_CHANGED; the signal's reason */
export async function prepareShare(paths: readonly string[], preparing: Preparing): Promise<PreparedShare> {
  const { signal } = preparing;
  const walked = await walk(paths, preparing.own, signal);
  const progress = new Progress(walked.files, preparing.onProgress);
  const manifests = new Map<WalkedFile, Manifest>();
  const unknown: WalkedFile[] = [];
  for (const [index, file] of walked.files.entries()) {
    if (index % LOT === 0) await rest(signal);
    const manifest = await knownManifest(file, preparing);
    if (!manifest) unknown.push(file);
    else {
      manifests.set(file, manifest);
      progress.add(file.size, 1);
    }
  }
  const leftOut = [...walked.leftOut];
  const orders = unknown.map(({ path, size, mtimeMs, ino }) => ({
    path,
    size,
    mtimeMs,
    ino,
    chunkSize: chunkSizeFor(size),
  }));
  const answers = await hashFiles(orders, signal, (bytes, files) => progress.add(bytes, files));
  for (const [index, file] of unknown.entries()) {
    if (index % LOT === 0) await rest(signal);
    const manifest = manifestOf(file, answers[index], walked.kind);
    if (typeof manifest === "string") leftOut.push({ path: file.path, why: manifest });
    else manifests.set(file, manifest);
  }
  progress.done();
  const name = preparing.name ?? (walked.name || preparing.fallbackName);
  const problem = nameProblem(name);
  if (problem !== undefined)
    throw failure(
      "SHARE_INVALID",
      `${JSON.stringify(name)} cannot be the name of a share: ${problem}; give it another`,
    );
  return assemble(
    walked.kind,
    name,
    [...walked.files].filter((file) => manifests.has(file)),
    manifests,
    leftOut,
  );
}

function assemble(
  kind: ShareKind,
  name: string,
  files: readonly WalkedFile[],
  manifests: ReadonlyMap<WalkedFile, Manifest>,
  leftOut: MadeShare["leftOut"],
): PreparedShare {
  const entries = files.flatMap((file): CatalogueEntry[] => {
    const manifest = manifests.get(file);
    const { size, mode, mtimeMs } = file;
    return manifest ? [{ name: kind === "file" ? name : file.name, size, mode, mtimeMs, manifest }] : [];
  });
  if (entries.length === 0) {
    const [first] = leftOut;
    throw failure(
      "SHARE_INVALID",
      `there is no file to share${first ? `: ${first.path} was left out, ${first.why}` : ""}`,
    );
  }
  const catalogue = encodeCatalogue(entries);
  return {
    kind,
    name,
    size: entries.reduce((sum, { size }) => sum + size, 0),
    files: new Map(files.map(({ path, size, mtimeMs, ino }, index) => [index, { path, size, mtimeMs, ino }])),
    catalogue,
    root: catalogueRoot(catalogue),
    leftOut,
  };
}

/** @returns why the file is left out, in words, where it cannot be read */
function manifestOf(file: WalkedFile, answer: HashAnswer | undefined, kind: ShareKind): Manifest | string {
  if (answer && "digests" in answer) return readManifest(file.size, chunkSizeFor(file.size), answer.digests);
  const { path } = file;
  if (answer && "endless" in answer)
    return unshareable(file, kind, "it says that it is empty and is not, as files of the system do");
  if (!answer || "changed" in answer)
    throw failure("SHARE_CHANGED", `${path} was changed while it was read; share it when nothing writes to it`, {
      metadata: { path },
    });
  return unshareable(file, kind, `it cannot be read (${answer.errno})`);
}

/** @returns the reason, where there may be other files @throws DownloadError SHARE_INVALID */
function unshareable({ path }: WalkedFile, kind: ShareKind, why: string): string {
  if (kind === "file") throw failure("SHARE_INVALID", `${path} cannot be shared: ${why}`, { metadata: { path } });
  return why;
}

async function knownManifest(file: WalkedFile, { known, receipts }: Preparing): Promise<Manifest | undefined> {
  const before = known.get(file.path);
  if (before && isSame(before, file)) return before.manifest();
  if (file.size < WORTH_A_LOOK) return undefined;
  const receipt = await receipts.byPath(file.path);
  if (!receipt || !isSame(receipt.file, file)) return undefined;
  const { chunkSize, root, size } = receipt.manifests.file;
  if (!isShareable(chunkSize)) return undefined;
  try {
    const chunks: string[] = [];
    for await (const { sha256 } of receipts.chunks(receipt)) chunks.push(sha256);
    const manifest = makeManifest(size, chunkSize, chunks);
    return manifest.root === root ? manifest : undefined;
  } catch {
    // It was forgotten meanwhile, or is damaged: the file is here, and can be read.
    return undefined;
  }
}

async function rest(signal: AbortSignal): Promise<void> {
  await breathe();
  signal.throwIfAborted();
}

/** True if a grid of such chunks can be in a catalogue. */
function isShareable(chunkSize: number): boolean {
  return chunkSize >= CHUNK_SIZES.least && chunkSize <= CHUNK_SIZES.most;
}

/** True if it is the same file, unchanged. */
function isSame(before: FileIdentity, now: FileIdentity): boolean {
  return before.size === now.size && before.mtimeMs === now.mtimeMs && before.ino === now.ino;
}

/** Bytes are told as they are read; files as far as the bytes reach. */
class Progress {
  readonly #onProgress: ((progress: ShareProgress) => void) | undefined;
  readonly #totalFiles: number;
  readonly #totalBytes: number;
  #bytes = 0;
  #files = 0;

  constructor(files: readonly WalkedFile[], onProgress: ((progress: ShareProgress) => void) | undefined) {
    this.#onProgress = onProgress;
    this.#totalFiles = files.length;
    this.#totalBytes = files.reduce((sum, { size }) => sum + size, 0);
    this.#tell();
  }

  add(bytes: number, files: number): void {
    this.#bytes += bytes;
    this.#files += files;
    this.#tell();
  }

  done(): void {
    this.#bytes = this.#totalBytes;
    this.#files = this.#totalFiles;
    this.#tell();
  }

  #tell(): void {
    this.#onProgress?.({
      files: this.#files,
      bytes: this.#bytes,
      totalFiles: this.#totalFiles,
      totalBytes: this.#totalBytes,
    });
  }
}
