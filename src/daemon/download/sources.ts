/**
 * The places that a file's bytes come from. The first is the one whose version is fetched. Another joins in only if what comes
 * of it can be told right from wrong: a digest of the whole is going to be compared, or both name the version by the same
 * strong validator. Before that a piece that is here already is compared with what it has. One that fails, is slow beside the
 * others or has other bytes is dropped.
 */
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { PeerPath } from "../core/peers.ts";
import type { PartFile } from "../core/ports/files.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { ByteRange, ChunkSource, HeldPart } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";
import type { Choose } from "./spans.ts";

/** Bytes that are compared before a mirror joins in. */
const OVERLAP = 64 * 1024;

/** Milliseconds for a comparison. */
const LONGEST_PROOF_MS = 60_000;

/** A mirror whose connections bring less than this share of the best one's is dropped. */
const TOO_SLOW = 0.2;

/** True if ranges of this resource can be put together: the origin gives ranges, and can tell its versions apart. */
export function canResume(resource: ResourceInfo): boolean {
  return resource.ranges && resource.size !== undefined && resource.strongValidator !== undefined;
}

/** One place. */
export interface Place {
  /** Its number, in the order of the plan. */
  readonly number: number;
  readonly source: ChunkSource;
  /** What it has, once that is known to be the file. */
  expected?: ResourceInfo;
  /** Connections that use it. */
  connections: number;
  /** Bytes a second of one connection, as last seen. */
  rate?: number;
  dropped?: DownloadError;
}

/** What sources work with. */
export interface SourcesInit {
  /** By number, the first being the one whose version is fetched; undefined for one that is not to be asked any more. */
  readonly sources: readonly (ChunkSource | undefined)[];
  readonly resource: ResourceInfo;
  readonly part: PartFile;
  readonly chunkSize: number;
  /** Chunks that are here; grows meanwhile. */
  readonly done: ReadonlyMap<number, string>;
  readonly logger: Logger;
  /** A digest of the whole is going to be compared. */
  readonly digest: boolean;
}

/** Gives connections a place to ask. Disposal ends a comparison that is under way. */
export class Sources implements Disposable {
  /** Made for the first comparison: most files need none. */
  #ended: AbortController | undefined;
  readonly #init: SourcesInit;
  readonly #places: readonly Place[];
  #proving: Promise<void> | undefined;

  constructor(init: SourcesInit) {
    this.#init = init;
    this.#places = init.sources.flatMap((source, number) => (source ? [{ number, source, connections: 0 }] : []));
    const [first] = this.#places;
    if (first) first.expected = init.resource;
  }

  /** The place whose version is fetched. */
  get first(): Place {
    const [first] = this.#places;
    if (!first) throw failure("INTERNAL", "a file without a source");
    return first;
  }

  /** By which ways bytes come from peers, and came. */
  get via(): readonly PeerPath[] {
    return [...new Set(this.#places.flatMap(({ source }) => source.via ?? []))];
  }

  /** What had better be fetched first, where the only source minds. */
  get choose(): Choose | undefined {
    const { source } = this.first;
    return this.#places.length === 1 && source.choose ? (gaps) => source.choose?.(gaps) : undefined;
  }

  /** What is here may be given to others by the sources that do so, until the answer is disposed of. */
  attach(held: HeldPart): Disposable {
    const attached = new DisposableStack();
    for (const { source } of this.#places) attached.use(source.attach?.(held));
    return attached;
  }

  /** A chunk is wrong. The one place that gave it is asked no more, unless it sees to it by itself. */
  reject(chunk: ByteRange, numbers: readonly number[], error: DownloadError): void {
    for (const place of this.#places.filter(({ number }) => numbers.includes(number))) {
      if (place.source.reject) place.source.reject(chunk);
      else if (numbers.length === 1) this.drop(place, error);
    }
  }

  /** The first place, for a connection that is open already. */
  takeFirst(): Place {
    this.first.connections++;
    return this.first;
  }

  /** The place that a new connection asks. @throws DownloadError why the last one was dropped */
  async take(signal: AbortSignal): Promise<Place> {
    for (;;) {
      const usable = this.#places.filter((place) => place.expected && !place.dropped);
      const untried = this.#places.find((place) => !place.expected && !place.dropped);
      const idle = usable.every((place) => place.connections > 0);
      if (untried && idle && this.#init.done.size > 0) {
        this.#proving ??= this.#prove(untried, signal).finally(() => {
          this.#proving = undefined;
        });
        // Nobody waits for a mirror who has something to do; its proof ends with the download.
        if (usable.length > 0) this.#proving.catch(() => undefined);
        else {
          await this.#proving;
          continue;
        }
      }
      // The one with the fewest connections for what one of them brings.
      const usual = Math.max(1, ...usable.map(({ rate = 1 }) => rate));
      const load = (place: Place): number => (place.connections + 1) / (place.rate ?? usual);
      const place = usable.toSorted((a, b) => load(a) - load(b))[0];
      if (!place) throw this.#places.findLast(({ dropped }) => dropped)?.dropped ?? this.#nobody();
      place.connections++;
      return place;
    }
  }

  /** A connection does not use its place any more. @param rate - what it brought, in bytes a second, if that is known */
  give(place: Place, rate: number | undefined): void {
    place.connections--;
    if (rate === undefined) return;
    place.rate = rate;
    const best = Math.max(...this.#places.map((other) => (other.dropped ? 0 : (other.rate ?? 0))));
    if (rate < best * TOO_SLOW)
      this.drop(place, failure("TIMED_OUT", `${place.source.id} is much slower than another source`));
  }

  /** Asks a place no more. @returns false if no other is left that holds the file, or may turn out to */
  drop(place: Place, error: DownloadError): boolean {
    if (!this.#places.some((other) => other !== place && !other.dropped)) return false;
    place.dropped ??= error;
    this.#init.logger.info({ source: place.source.id, code: error.code }, `a source is left alone: ${error.message}`);
    return true;
  }

  /** Compares a piece that is here with what the place has. Drops it if they differ. */
  async #prove(place: Place, outer: AbortSignal): Promise<void> {
    const { resource, chunkSize, done, part, digest } = this.#init;
    this.#ended ??= new AbortController();
    const ended = this.#ended.signal;
    const signal = AbortSignal.any([outer, ended, AbortSignal.timeout(LONGEST_PROOF_MS)]);
    const { source } = place;
    const chunks = [...done.keys()];
    const chunk = chunks[Math.floor(Math.random() * chunks.length)] ?? 0;
    const range = chunkRange(chunk, resource.size ?? 0, chunkSize);
    const start = Math.max(range.start, range.end - OVERLAP);
    try {
      const stream = await source.open({ start, end: range.end, signal });
      const other = stream.resource;
      if (!canResume(other) || other.size !== resource.size || stream.start !== start) {
        stream.cancel();
        throw failure(
          "RESOURCE_CHANGED",
          `${source.id} has ${other.size ?? "an unknown number of"} bytes, or no ranges`,
        );
      }
      if (!digest && other.strongValidator !== resource.strongValidator) {
        stream.cancel();
        throw failure(
          "RESOURCE_CHANGED",
          `${source.id} names its version differently, and without a digest nobody could tell whether it is the same`,
        );
      }
      const theirs = Buffer.alloc(range.end - start);
      let length = 0;
      await stream.pipe((bytes) => {
        theirs.set(bytes, length);
        length += bytes.length;
      });
      const ours = await part.read(start, range.end - start);
      if (length !== ours.length || !theirs.equals(ours))
        throw failure("RESOURCE_CHANGED", `${source.id} has other bytes than ${this.first.source.id}`);
      place.expected = other;
    } catch (error) {
      outer.throwIfAborted();
      if (ended.aborted) return;
      place.dropped = asDownloadError(error);
      this.#init.logger.warn({ source: source.id }, `a mirror is not used: ${place.dropped.message}`);
    }
  }

  [Symbol.dispose](): void {
    this.#ended?.abort(new Error("the file needs no more sources"));
  }

  #nobody(): DownloadError {
    return failure("INTERNAL", "no source is left, and none has failed");
  }
}
