/**
 * A range of a file on its way, from one peer after the other: whoever stalls, refuses or dies is left, and another goes on
 * with the byte behind the last. What was sent by whom is remembered until the chunk is judged.
 */
import { copyInto } from "../../core/byte-target.ts";
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { PeerPath } from "../../core/peers.ts";
import type { ByteSink, ByteTarget } from "../../core/ports/http.ts";
import type { RangeStream } from "../../core/ports/sources.ts";
import type { ResourceInfo } from "../../core/session.ts";
import { Overtaken } from "./link-request.ts";
import type { PeerLink } from "./peer-link.ts";
import type { SentRanges } from "./sent-ranges.ts";
import type { Swarm, Wish } from "./swarm.ts";

/** Milliseconds for which a peer that refused is asked nothing. */
const REFUSED_MS = 5000;

/** Chunks that are looked for in a row with a peer that has only some. */
const LONGEST_LOOK = 4096;

/** What a transfer works with. */
export interface TransferParts {
  readonly swarm: Swarm;
  /** Place in the catalogue. */
  readonly file: number;
  readonly chunkSize: number;
  readonly sent: SentRanges;
  /** Bytes came by this way. */
  readonly onPath: (path: PeerPath) => void;
  readonly signal: AbortSignal;
}

/** An open range, see {@link RangeStream}. */
export class PeerTransfer implements RangeStream {
  readonly start: number;
  readonly end: number;
  readonly resource: ResourceInfo;
  readonly #parts: TransferParts;
  readonly #stop = new AbortController();
  #position: number;

  constructor(start: number, end: number, resource: ResourceInfo, parts: TransferParts) {
    this.start = start;
    this.end = end;
    this.resource = resource;
    this.#parts = parts;
    this.#position = start;
  }

  async pipe(sink: ByteSink): Promise<void> {
    const { swarm, signal: outer } = this.#parts;
    // AbortSignal.any would do, at ten times the price, for every small file.
    const stop = (): void => this.#stop.abort(outer.reason);
    outer.addEventListener("abort", stop, { once: true });
    if (outer.aborted) stop();
    using _streaming = swarm.streaming();
    try {
      await this.#pipe(sink, this.#stop.signal);
    } finally {
      outer.removeEventListener("abort", stop);
    }
  }

  async #pipe(sink: ByteSink, signal: AbortSignal): Promise<void> {
    const tried = new Set<PeerLink>();
    const slow = new Set<PeerLink>();
    let failed: DownloadError | undefined;
    while (this.#position < this.end) {
      const link = await this.#pick({ avoid: tried, slow, failed }, signal);
      const from = this.#position;
      try {
        await this.#from(link, sink, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SinkFailure) throw error.cause;
        if (error instanceof Overtaken) {
          slow.add(link);
          continue;
        }
        failed = asDownloadError(error);
        if (this.#position > from) tried.clear();
        this.#leave(link, failed);
        tried.add(link);
        continue;
      }
      tried.clear();
      failed = undefined;
    }
  }

  receive(target: ByteTarget): Promise<void> {
    return this.pipe(copyInto(target));
  }

  cancel(): void {
    this.#stop.abort(failure("CANCELLED", "the transfer from a peer was given up"));
  }

  #pick(whom: Pick<Wish, "avoid" | "slow" | "failed">, signal: AbortSignal): Promise<PeerLink> {
    const { swarm, file, chunkSize, sent } = this.#parts;
    const chunk = Math.floor(this.#position / chunkSize);
    const alone = sent.isAlone(chunk);
    const [sender] = alone ? sent.senders({ start: chunk * chunkSize, end: (chunk + 1) * chunkSize }) : [];
    return swarm.pick({ ...whom, file, chunk, only: sender?.peerId, trusted: alone }, signal);
  }

  async #from(link: PeerLink, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const { file, sent, onPath } = this.#parts;
    const from = this.#position;
    const length = this.#reach(link) - from;
    const range = sent.begin(from, link.channel);
    const request = link.request(file, from, length, (bytes) => {
      if (this.#position === from) onPath(link.channel.path);
      this.#position += bytes.length;
      // Before anybody can judge them.
      range.end = this.#position;
      try {
        return sink(bytes)?.catch(sinkFailed);
      } catch (error) {
        return sinkFailed(error);
      }
    });
    const abort = (): void => request.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await request.done;
    } catch (error) {
      if (error instanceof Overtaken || asDownloadError(error).code === "TIMED_OUT") range.left = true;
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** How far a peer has what comes next. */
  #reach(link: PeerLink): number {
    const { file, chunkSize, sent } = this.#parts;
    const bound = sent.bound(this.#position, this.end);
    if (link.complete) return bound;
    const first = Math.floor(this.#position / chunkSize);
    let chunk = first + 1;
    while (chunk * chunkSize < bound && chunk - first < LONGEST_LOOK && link.has(file, chunk)) chunk++;
    return Math.min(bound, chunk * chunkSize);
  }

  /** Nothing more comes of a request: what is to be thought of the peer. */
  #leave(link: PeerLink, { code }: DownloadError): void {
    if (link.closed) return;
    const { file, chunkSize } = this.#parts;
    if (code === "SHARE_CHANGED") link.lacks(file, "all");
    else if (!link.complete && code === "PEER_REFUSED") link.lacks(file, Math.floor(this.#position / chunkSize));
    else link.cool(REFUSED_MS);
  }
}

/** What went wrong at this end: no peer is to blame. */
class SinkFailure extends Error {}

function sinkFailed(error: unknown): never {
  throw new SinkFailure("the sink failed", { cause: error });
}
