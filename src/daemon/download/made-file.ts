/** A file that a step made, described like one that was fetched: on the session's grid, in an epoch of its own. */
import { createHash } from "node:crypto";
import { chunkCount, chunkRange, type Manifest, makeManifest } from "../core/manifest.ts";
import type { Claim, PartFile } from "../core/ports/files.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import type { ResourceInfo } from "../core/session.ts";
import type { Beside } from "./media/beside.ts";
import type { Run } from "./run.ts";
import type { Storable } from "./store.ts";

/** Bytes that are read at once: little, so that others have their turn in between. */
const READ = 1024 * 1024;

/** What is made into a file that can be put in place. */
export interface MadeFileInit {
  readonly path: string;
  readonly claim: Claim;
  readonly epoch: number;
  readonly resource: ResourceInfo;
  /** Recorded with the file's manifest. */
  readonly patch: SessionPatch;
  /** What is put beside it. */
  readonly besides?: readonly Beside[];
  /** What it was made of, if that goes when it is in place. */
  readonly former?: string;
}

/** Owns the open file and the claim on the target. */
export class MadeFile implements Storable, AsyncDisposable {
  readonly part: PartFile;
  readonly size: number;
  readonly chunkSize: number;
  readonly epoch: number;
  readonly done: ReadonlyMap<number, string>;
  readonly origins: ReadonlyMap<number, readonly number[]> = new Map();
  readonly recorded = false;
  readonly resource: ResourceInfo;
  readonly patch: SessionPatch;
  readonly besides: readonly Beside[];
  readonly former?: string;
  #claim: Claim;

  private constructor(
    init: MadeFileInit,
    part: PartFile,
    grid: Pick<Manifest, "size" | "chunkSize">,
    chunks: readonly string[],
  ) {
    this.part = part;
    this.size = grid.size;
    this.chunkSize = grid.chunkSize;
    this.epoch = init.epoch;
    this.done = new Map(chunks.entries());
    this.resource = init.resource;
    this.patch = init.patch;
    this.besides = init.besides ?? [];
    if (init.former !== undefined) this.former = init.former;
    this.#claim = init.claim;
  }

  /** Reads the file and hashes its chunks. */
  static async of(run: Run, init: MadeFileInit): Promise<MadeFile> {
    const part = await run.engine.files.openPart(init.path);
    try {
      const { size, chunkSize, chunks } = await manifestOf(run, part);
      return new MadeFile(init, part, { size, chunkSize }, chunks);
    } catch (error) {
      await part.close();
      throw error;
    }
  }

  get target(): string {
    return this.#claim.path;
  }

  retarget(claim: Claim): void {
    this.#claim[Symbol.dispose]();
    this.#claim = claim;
  }

  handOver(): Claim {
    const claim = this.#claim;
    this.#claim = { path: claim.path, [Symbol.dispose]: () => undefined };
    return claim;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#claim[Symbol.dispose]();
    await this.part.close();
  }
}

/** The manifest of a file that is here, on the configured grid. */
async function manifestOf(run: Run, part: PartFile): Promise<Manifest> {
  const { chunkSize } = run.settings;
  const size = await part.size();
  const chunks: string[] = [];
  for (let index = 0; index < chunkCount(size, chunkSize); index++) {
    run.signal.throwIfAborted();
    const { start, end } = chunkRange(index, size, chunkSize);
    const hash = createHash("sha256");
    for (let at = start; at < end; at += READ) hash.update(await part.read(at, Math.min(READ, end - at)));
    chunks.push(hash.digest("hex"));
  }
  return makeManifest(size, chunkSize, chunks);
}
