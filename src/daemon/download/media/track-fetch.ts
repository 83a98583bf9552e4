/**
 * Fetches a track: its segments, several at once, one behind the other into one file. Where a segment begins is known only
 * when all before it are here, so that a later one waits in memory, within bounds; the first missing one is written as it
 * comes. A segment is recorded when it is on disk and synced, with its length: after a death only the rest is fetched.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { redactUrl } from "../../../shared/redact.ts";
import { asDownloadError, type DownloadError, failure, NetworkError } from "../../core/errors.ts";
import type { PartFile } from "../../core/ports/files.ts";
import type { Segment, Track } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";
import { Recorder } from "../recorder.ts";
import type { Run } from "../run.ts";
import { canResume } from "../sources.ts";
import { requireSpace } from "../target.ts";
import { segmentName } from "./names.ts";
import type { Prefix } from "./prefix.ts";
import { SegmentTransfer } from "./segment.ts";
import type { SegmentKeys } from "./segment-keys.ts";
import { wayTo } from "./way.ts";

/** What a signature that has run out is answered with. */
const EXPIRED = new Set(["HTTP_UNAUTHORIZED", "HTTP_FORBIDDEN", "HTTP_GONE"]);

/** Bytes of later segments that wait in memory, all together. */
const LOOK_AHEAD = 32 * 1024 * 1024;

/**
 * Milliseconds for which a segment that has no room keeps its connection while the first missing one has none. The host may
 * bear no more connections than those that wait: then they would wait for each other for ever.
 */
const KEEP_MS = 1000;

/** Bytes of the first missing segment that are written at once. */
const WRITE = 1024 * 1024;

/** A segment may fail this often in a row without bringing a byte. */
const FRUITLESS = 4;

/** So often it may begin again from its first byte. */
const RESTARTS = 3;

/** Milliseconds before it is asked for again; multiplied by the number of failures in a row. */
const RETRY_MS = 250;

/** Bytes after which the room on the disk is looked at again: nobody says beforehand how many there will be. */
const LOOK_AT_ROOM = 64 * 1024 * 1024;

/** More segments than that nobody makes. */
const MOST_SEGMENTS = 1_000_000;

/** What a track is fetched with. */
export interface TrackFetchInit {
  readonly run: Run;
  readonly track: Track;
  readonly part: PartFile;
  readonly epoch: number;
  /** What of it is here, and what is known of the rest. */
  readonly prefix: Prefix;
  /** By URL, the versions of files whose ranges the segments are, as far as they are known. */
  readonly versions?: ReadonlyMap<string, ResourceInfo>;
  readonly keys: SegmentKeys;
  /** Segments at once. */
  readonly atOnce: number;
  /** Of a live stream: milliseconds of media after which the recording ends. */
  readonly recordMs?: number;
  /** Calls for a look at how far all tracks have come. */
  readonly onProgress: () => void;
  /** A connection was opened or closed. */
  readonly onConnections: () => void;
  /** Another track has failed: this one ends too. */
  readonly failed: AbortController;
}

/** Fetches one track. */
export class TrackFetch {
  readonly #init: TrackFetchInit;
  readonly #segments: Segment[] = [];
  /** Milliseconds of the segments that are known. */
  #knownMs = 0;
  /** By URL, what its ranges belong to. */
  readonly #versions: Map<string, ResourceInfo>;
  readonly #sourceHash = createHash("sha256").update("snatch-segments-1\n");
  #roomLeft = 0;
  #lengthUnverified = false;
  readonly #under = new Map<number, SegmentTransfer>();
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #recorder: Recorder;
  /** Lengths of the segments that are on disk, in their order. */
  readonly #lengths: number[] = [];
  /** Where the first missing segment begins. */
  #position = 0;
  /** Bytes of it that are written. */
  #written = 0;
  #writtenVersion = 0;
  #next = 0;
  #recordedBytes = 0;
  #recordedCount = 0;
  #ended: boolean;
  #writing: Promise<void> | undefined;
  #records: Promise<void>[] = [];
  /** Those that wait for room. */
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  /** Those whose answer has begun and not ended. */
  readonly #open = new Set<number>();
  /** Those that gave their connection up. */
  readonly #yielded = new Set<number>();
  #stopKeeping: (() => void) | undefined;
  /** The first missing segment has had no connection for so long that nobody without room keeps one. */
  #starved = false;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(init: TrackFetchInit) {
    this.#init = init;
    this.#ended = init.track.more === undefined;
    this.#signal = AbortSignal.any([init.run.signal, init.failed.signal, this.#failed.signal]);
    const { recorded, segments } = init.prefix;
    for (const known of recorded) {
      this.#lengths.push(known.length);
      this.#position += known.length;
      this.#sourceHash.update(known.sha256, "hex");
    }
    this.#learn(segments);
    this.#versions = new Map(init.versions);
    this.#recordedBytes = this.#position;
    this.#recordedCount = this.#lengths.length;
    this.#next = this.#lengths.length;
    const { run, part, epoch } = init;
    this.#recorder = new Recorder({
      part,
      store: run.engine.store,
      sessionId: run.session.id,
      epoch,
      onRecorded: ({ length }) => {
        this.#recordedBytes += length;
        this.#recordedCount++;
        init.onProgress();
      },
    });
  }

  /** Bytes that are recorded. */
  get bytes(): number {
    return this.#recordedBytes;
  }

  /** Received, not yet recorded. */
  get pending(): number {
    let waiting = this.#position + this.#written - this.#recordedBytes;
    for (const segment of this.#under.values()) waiting += segment.untaken;
    return waiting;
  }

  /** Segments that are recorded, and all of them, once that is known. */
  get count(): { readonly done: number; readonly total?: number } {
    return { done: this.#recordedCount, ...(this.#ended && { total: this.#segments.length }) };
  }

  /** SHA-256 over the digests of its segments, hex; once only, when all are here. */
  digest(): string {
    return this.#sourceHash.digest("hex");
  }

  /** Nobody vouches for the length of one of the segments that came now. */
  get lengthUnverified(): boolean {
    return this.#lengthUnverified;
  }

  /** Connections in use. */
  get connections(): number {
    let open = 0;
    for (const { whole } of this.#under.values()) if (!whole) open++;
    return open;
  }

  /** Fetches what is missing. @returns lengths of the segments in their order. @throws DownloadError; what was recorded stays */
  async all(stopAt?: AbortSignal): Promise<readonly number[]> {
    // Whoever waits for news, or for room, is not to wait for ever.
    const release = (): void => this.#release();
    this.#signal.addEventListener("abort", release, { once: true });
    const live = this.#ended ? undefined : this.#follow(stopAt);
    live?.catch(() => undefined);
    try {
      await Promise.all(Array.from({ length: this.#init.atOnce }, () => this.#work()));
      await live;
      await this.#writing;
      this.#signal.throwIfAborted();
      await Promise.all(this.#records);
    } catch (error) {
      this.#failed.abort(error);
      await Promise.allSettled([live, this.#writing, ...this.#records]);
      this.#init.run.signal.throwIfAborted();
      throw this.#signal.reason;
    } finally {
      this.#signal.removeEventListener("abort", release);
      this.#stopKeeping?.();
    }
    const { part } = this.#init;
    if ((await part.size()) !== this.#position) await part.truncate(this.#position);
    return this.#lengths;
  }

  /** Takes segments into the list, up to the end of the recording. */
  #learn(segments: readonly Segment[]): void {
    const { recordMs = Number.POSITIVE_INFINITY } = this.#init;
    for (const segment of segments) {
      if (this.#knownMs >= recordMs) break;
      if (this.#segments.length === MOST_SEGMENTS) throw tooMany();
      this.#segments.push(segment);
      this.#knownMs += (segment.durationSeconds ?? 0) * 1000;
    }
    if (this.#knownMs >= recordMs) this.#ended = true;
  }

  #release(): void {
    for (const { resolve } of this.#waiting.values()) resolve();
    this.#waiting.clear();
    this.#rouse();
  }

  /** Learns of new segments while a live stream goes on. */
  async #follow(stopAt: AbortSignal | undefined): Promise<void> {
    const { track } = this.#init;
    const signal = stopAt ? AbortSignal.any([this.#signal, stopAt]) : this.#signal;
    try {
      while (!this.#ended) {
        const more = await track.more?.(signal);
        if (!more) break;
        this.#learn(more);
        this.#rouse();
      }
    } catch (error) {
      // The time that was asked for is over: what was announced by now is the recording.
      if (!stopAt?.aborted || this.#signal.aborted) {
        this.#failed.abort(error);
        throw error;
      }
    } finally {
      this.#ended = true;
      this.#rouse();
    }
  }

  #rouse(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async #work(): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      const index = this.#next;
      if (index < this.#segments.length) {
        this.#next++;
        await this.#fetch(index);
      } else if (this.#ended) return;
      else await this.#wake.promise;
    }
  }

  /** One segment, asked for again where that may help. */
  async #fetch(index: number): Promise<void> {
    const { run, keys } = this.#init;
    const described = this.#segments[index];
    if (!described) throw failure("INTERNAL", "a segment that is not there");
    let fruitless = 0;
    let restarts = 0;
    let most = 0;
    for (;;) {
      let transfer = this.#under.get(index);
      try {
        if (!transfer) {
          const key = described.key && (await keys.get(described.key.url, this.#signal));
          transfer = this.#transfer(index, described, key);
          this.#under.set(index, transfer);
          this.#init.onConnections();
        }
        await transfer.receive(this.#signal).finally(() => this.#open.delete(index));
        break;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (this.#yielded.delete(index)) {
          run.logger.info({ segment: index }, "no room for a segment; its connection is left to the first missing one");
          await this.#room(index);
          continue;
        }
        const failed = asDownloadError(error);
        const received = transfer?.received ?? 0;
        fruitless = received > most ? 1 : fruitless + 1;
        most = Math.max(most, received);
        // Another version of this one segment: from its first byte on it may still be had. Of a range of a file not.
        const anew = failed.code === "RESOURCE_CHANGED" && !described.range;
        if (received > 0 && (anew || !transfer?.resumable)) restarts++;
        if (anew) transfer?.restart();
        const passing = failed instanceof NetworkError || failed.code === "HTTP_SERVER_ERROR";
        const again = anew || (passing && failed.retryable && failed.retryAfterMs === undefined);
        if (!again || fruitless >= FRUITLESS || restarts > RESTARTS) throw this.#named(failed, index);
        run.logger.info({ code: failed.code, segment: index }, "a segment did not come whole; asking for it again");
        await run.engine.clock.sleep(RETRY_MS * fruitless, this.#signal);
      }
    }
    await this.#advance();
  }

  #transfer(index: number, described: Segment, key: Buffer | undefined): SegmentTransfer {
    const { run, track } = this.#init;
    const version = described.range && this.#versions.get(described.url);
    return new SegmentTransfer({
      described,
      source: run.engine.sources.http(described.url, wayTo(run, described.url, track)),
      ...(version && { version }),
      ...(key && { key }),
      slabs: run.engine.slabs,
      onAnswer: (resource) => {
        if (described.range) this.#mustBeOneVersion(described.url, resource);
        this.#open.add(index);
        if (index === this.#lengths.length) this.#starved = false;
      },
      onBytes: (count) => this.#count(count),
      onReady: () => this.#ready(index),
    });
  }

  /** All ranges of a file are of one version. @throws ResourceError RESOURCE_CHANGED */
  #mustBeOneVersion(url: string, resource: ResourceInfo): void {
    const known = this.#versions.get(url);
    const { etag, lastModified } = resource;
    if (known && etag !== known.strongValidator && lastModified !== known.strongValidator)
      throw failure(
        "RESOURCE_CHANGED",
        `${redactUrl(url)} is version ${etag ?? lastModified ?? "(not named)"}; its other ranges are of ${known.strongValidator}`,
      );
    if (!known && canResume(resource)) this.#versions.set(url, resource);
  }

  #count(bytes: number): Promise<void> | undefined {
    const { run } = this.#init;
    run.received += bytes;
    run.meter.add(bytes);
    run.engine.meter.add(bytes);
    const own = run.limit.pass(bytes, run.signal);
    const all = run.engine.limit.pass(bytes, run.signal);
    return own && all ? Promise.all([own, all]).then(() => undefined) : (own ?? all);
  }

  /** Some of a segment is here. The first missing one is written now and then; the others wait when memory is full. */
  #ready(index: number): Promise<void> | undefined {
    const { run } = this.#init;
    const head = this.#lengths.length;
    if (index === head) return (this.#under.get(index)?.buffered ?? 0) >= WRITE ? this.#advance() : undefined;
    if (!this.#full(head)) return undefined;
    const room = this.#wait(index);
    if (this.#starved) this.#yield();
    else this.#stopKeeping ??= run.engine.clock.timer(KEEP_MS, () => this.#yield());
    return room;
  }

  /** True if no more can wait in memory. @param head - the first missing segment, which does not wait */
  #full(head: number): boolean {
    let held = 0;
    for (const [at, { buffered }] of this.#under) if (at !== head) held += buffered;
    return held >= LOOK_AHEAD;
  }

  /** Until there is room. Bytes that come in two blocks ask twice: both wait for the same. */
  #wait(index: number): Promise<void> {
    const room = this.#waiting.get(index) ?? Promise.withResolvers<void>();
    this.#waiting.set(index, room);
    return room.promise;
  }

  /** Waits for room, or for the turn of this segment, without a connection. */
  async #room(index: number): Promise<void> {
    while (index !== this.#lengths.length && this.#full(this.#lengths.length)) {
      await this.#wait(index);
      this.#signal.throwIfAborted();
    }
  }

  /** Those that are held back give their connections up if the first missing segment has none. */
  #yield(): void {
    this.#stopKeeping?.();
    this.#stopKeeping = undefined;
    const held = [...this.#waiting].filter(([index]) => this.#open.has(index));
    if (held.length === 0) return;
    const head = this.#lengths.length;
    this.#starved = !(this.#open.has(head) || this.#under.get(head)?.whole);
    if (!this.#starved) {
      this.#stopKeeping = this.#init.run.engine.clock.timer(KEEP_MS, () => this.#yield());
      return;
    }
    for (const [index, { reject }] of held) {
      this.#waiting.delete(index);
      this.#yielded.add(index);
      reject(new Error("the connection is left to another segment"));
    }
  }

  /** Writes what can be written, one at a time. */
  async #advance(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #write(): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      const index = this.#lengths.length;
      const segment = this.#under.get(index);
      // It goes on where it is: nobody holds it back any more.
      this.#waiting.get(index)?.resolve();
      this.#waiting.delete(index);
      if (!segment) return;
      if (segment.version !== this.#writtenVersion) {
        this.#written = 0;
        this.#writtenVersion = segment.version;
      }
      const { whole } = segment;
      for (const { bytes, block } of segment.take()) {
        await this.#makeSureOfRoom(bytes.length);
        await this.#init.part.write(bytes, this.#position + this.#written);
        this.#written += bytes.length;
        this.#init.run.engine.slabs.give(block);
      }
      if (!whole) return;
      this.#finish(index, segment);
    }
  }

  /** @throws SystemResourceError DISK_FULL */
  async #makeSureOfRoom(bytes: number): Promise<void> {
    if (this.#roomLeft < bytes) {
      await requireSpace(this.#init.run, dirname(this.#init.part.path), Math.max(bytes, LOOK_AT_ROOM));
      this.#roomLeft = LOOK_AT_ROOM;
    }
    this.#roomLeft -= bytes;
  }

  #finish(index: number, segment: SegmentTransfer): void {
    const { run } = this.#init;
    const sha256 = segment.digest();
    this.#lengthUnverified ||= segment.resource?.lengthUnverified === true;
    this.#sourceHash.update(sha256, "hex");
    this.#under.delete(index);
    this.#init.onConnections();
    const { length } = segment;
    this.#lengths.push(length);
    const start = this.#position;
    this.#position += length;
    this.#written = 0;
    this.#writtenVersion = 0;
    const described = this.#segments[index];
    const name = described ? segmentName(described) : "";
    const durationMs = Math.round((described?.durationSeconds ?? 0) * 1000);
    const record = this.#recorder.add({ index, sha256, length, sources: [], segment: { length, name, durationMs } });
    // A failure ends the track at once, whoever waits for it.
    record.catch((error: unknown) => this.#failed.abort(error));
    this.#records.push(record);
    const url = described?.url ?? run.session.url;
    if (!run.engine.hooks.idle)
      void record
        .then(() => run.engine.hooks.postChunk({ start, end: start + length, url, retries: 0 }, sha256))
        .catch(() => {});
    if (this.#lengths.length % 64 === 0) this.#records = this.#records.slice(-64);
    for (const { resolve } of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }

  #named(failed: DownloadError, index: number): DownloadError {
    const of = this.#ended ? ` of ${this.#segments.length}` : "";
    // Signatures in URLs last for a while: the playlist is asked for new ones, and what is here stays.
    const expired = EXPIRED.has(failed.code) && this.#lengths.length > this.#init.prefix.recorded.length;
    const url = redactUrl(this.#segments[index]?.url ?? "");
    return failure(failed.code, `segment ${index + 1}${of} (${url}): ${failed.message}`, {
      cause: failed,
      retryable: failed.retryable || expired,
      metadata: { ...failed.metadata, segment: String(index + 1), url },
    });
  }
}

const tooMany = () => failure("MEDIA_INVALID", `the track has more than ${MOST_SEGMENTS} segments`);
