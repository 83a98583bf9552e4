/** What the plan stage hands on: everything that the fetch needs, and what it has to let go of afterwards. */
import { chunkRange, type Manifest } from "../core/manifest.ts";
import type { Candidate } from "../core/plan.ts";
import type { Claim, PartFile } from "../core/ports/files.ts";
import type { RangeStream } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";
import type { FileDigest } from "./file-digest.ts";
import type { Sources } from "./sources.ts";

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
  /** What every chunk must be. */
  readonly manifest?: Manifest;
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
  readonly manifest?: Manifest;
  /** Digests that are made while the file comes; set before the fetch begins, if it is worth it. */
  digest?: FileDigest;
  /** What is here may be given to others meanwhile. */
  attached?: Disposable;
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
    if (init.manifest) this.manifest = init.manifest;
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

  handOver(): Claim {
    const claim = this.#claim;
    this.#claim = { path: claim.path, [Symbol.dispose]: () => undefined };
    return claim;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.attached?.[Symbol.dispose]();
    this.sources[Symbol.dispose]();
    this.#claim[Symbol.dispose]();
    await this.digest?.[Symbol.asyncDispose]();
    await this.part.close();
  }
}

/** Bytes of these chunks. */
export function doneBytes(chunks: Iterable<number>, size: number, chunkSize: number): number {
  let bytes = 0;
  for (const index of chunks) {
    const { start, end } = chunkRange(index, size, chunkSize);
    bytes += end - start;
  }
  return bytes;
}
