/**
 * Stage 3: the bytes come in. A resource whose ranges can be put together is fetched over as many connections as help, each
 * with a span of it; any other in one stream from its first byte.
 */
import { dirname } from "node:path";
import { asDownloadError, type DownloadError, failure, NetworkError, ResourceError } from "../core/errors.ts";
import { chunkCount } from "../core/manifest.ts";
import type { ChunkSource, RangeRequest, RangeStream } from "../core/ports/sources.ts";
import { Assembly, type WrittenChunk } from "./assembly.ts";
import { ChunkProof } from "./chunk-proof.ts";
import { ConnectionCount } from "./connection-count.ts";
import { HeldFile } from "./held-file.ts";
import { Lane } from "./lane.ts";
import { TINY } from "./plan.ts";
import type { PlannedFile } from "./planned-file.ts";
import { Recorder } from "./recorder.ts";
import type { Run } from "./run.ts";
import type { Place } from "./sources.ts";
import { type Choose, type Span, Spans } from "./spans.ts";
import { requireSpace } from "./target.ts";

/** A connection may break this often in a row without bringing a byte. */
const FRUITLESS = 3;

/** Milliseconds before a broken connection is made anew; multiplied by the number of breaks in a row. */
const RECONNECT_MS = 250;

/** Errors by which an origin says that there are too many connections. */
const OBJECTIONS = new Set(["HTTP_TOO_MANY_REQUESTS", "HTTP_SERVER_ERROR", "CONNECT_REFUSED", "CONNECTION_LOST"]);

/** Bytes from which a file is not kept in memory for whoever opens it next: it would push out what others need. */
const PASSING = 128 * 1024 * 1024;

/** Milliseconds between two looks at how it goes. */
const LOOK_MS = 50;

/** A connection that brings nothing for so many milliseconds, with all others done, is made anew. */
const STALLED_MS = 3000;

/** Milliseconds without a byte after which a connection may be waiting for what nobody has at the moment. */
const IDLE_MS = 100;

/** Why a connection leaves its span for another one. */
const NOT_NOW = new Error("other bytes can be had sooner");

/** The last word of a source that tries again and again by itself. */
const FINAL = new Set(["PEERS_NOT_FOUND", "PEERS_UNREACHABLE"]);

/** Fetches what is missing. @returns bytes of the file. @throws DownloadError; what was recorded stays */
export async function fetchFile(run: Run, file: PlannedFile): Promise<number> {
  const { size } = file.resource;
  const proof = file.manifest && new ChunkProof(file.manifest, file.sources, run.logger);
  const held = new HeldFile(file);
  const record = recording(run, file, held);
  using assembly = new Assembly({
    part: file.part,
    slabs: run.engine.slabs,
    hasher: run.engine.hasher,
    chunkSize: file.chunkSize,
    ...(size !== undefined && { size }),
    // For a digest of the whole they are read back while they come.
    passing: size !== undefined && size >= PASSING && !file.digest,
    onChunk: proof ? async (chunk) => (proof.admits(chunk) ? await record(chunk) : undefined) : record,
  });
  run.pending = () => assembly.pendingBytes;
  run.via = () => file.sources.via;
  // What is proved only by a digest of the whole is nobody else's yet.
  if (proof) file.attached = file.sources.attach(held);
  if (file.whole) return await fetchStream(run, file, assembly, file.opening);
  const opening = file.opening;
  if (opening && size !== undefined && size <= TINY) {
    let wrong: DownloadError | undefined;
    if (proof)
      proof.onWrong = (_chunk, error) => {
        wrong = error;
      };
    try {
      const bytes = await fetchStream(run, file, assembly, opening);
      if (!wrong) return bytes;
    } catch (error) {
      run.signal.throwIfAborted();
      if (!mayPass(asDownloadError(error))) throw error;
      // What came of it would be counted twice: it begins anew.
      assembly[Symbol.dispose]();
      file.done.clear();
    }
    return await new Fetch(run, file, assembly, undefined, proof).all();
  }
  return await new Fetch(run, file, assembly, opening, proof).all();
}

/** What is done with a chunk whose bytes are written. */
function recording(run: Run, file: PlannedFile, held: HeldFile): (chunk: WrittenChunk) => Promise<void> {
  const { store, hooks } = run.engine;
  const { size } = file.resource;
  let bytes = file.doneBytes;
  /** Chunks that are here from the first one on. */
  let whole = 0;
  const report = ({ index, sha256, length, sources, counted }: WrittenChunk): void => {
    bytes += length;
    // Others may wait for the next sync along with it: until then it would be counted twice.
    counted();
    if (!file.whole) run.proved = bytes;
    file.done.set(index, sha256);
    // A last chunk of a stream ends where nobody knew.
    if (file.digest && (size !== undefined || length === file.chunkSize)) {
      while (file.done.has(whole)) whole++;
      file.digest.reached(Math.min(whole * file.chunkSize, size ?? Number.POSITIVE_INFINITY));
    }
    file.origins.set(index, sources);
    held.gained(index);
    store.progress(run.session.id, bytes, size);
    if (hooks.idle) return;
    const start = index * file.chunkSize;
    hooks.postChunk({ start, end: start + length, url: run.session.url, retries: 0 }, sha256);
  };
  if (!file.recorded)
    return async (chunk) => {
      // Nobody said how much there is to come: the room that is to stay free is looked after on the way.
      if (size === undefined) await requireSpace(run, dirname(file.target), 0);
      report(chunk);
    };
  const recorder = new Recorder<WrittenChunk>({
    part: file.part,
    store,
    sessionId: run.session.id,
    epoch: file.epoch,
    onRecorded: report,
  });
  return (chunk) => recorder.add(chunk);
}

/** A connection at work. */
interface Worker {
  readonly lane: Lane;
  span: Span;
  /** Breaks off the request under way. */
  abort: AbortController | undefined;
  /** It waits for the source to begin. */
  waits: boolean;
  done: Promise<void>;
}

/** One file over several connections. */
class Fetch {
  readonly #run: Run;
  readonly #file: PlannedFile;
  readonly #assembly: Assembly;
  readonly #opening: RangeStream | undefined;
  /** Says what is fetched first, where the source minds. */
  readonly #choose: Choose | undefined;
  readonly #spans: Spans;
  readonly #count: ConnectionCount;
  readonly #most: number;
  /** A failure that concerns every connection ends them all. */
  readonly #all = new AbortController();
  readonly #signal: AbortSignal;
  readonly #workers = new Set<Worker>();
  #peak = 0;
  readonly #roused = new Set<Worker>();
  #lastError: DownloadError | undefined;

  constructor(
    run: Run,
    file: PlannedFile,
    assembly: Assembly,
    opening: RangeStream | undefined,
    proof: ChunkProof | undefined,
  ) {
    this.#run = run;
    this.#file = file;
    this.#assembly = assembly;
    this.#opening = opening;
    this.#spans = new Spans(file.resource.size ?? 0, file.chunkSize, file.done);
    this.#choose = file.sources.choose;
    this.#most = connectionsFor(run, file);
    this.#count = new ConnectionCount(this.#most, () => run.engine.memory?.level ?? 0);
    this.#signal = AbortSignal.any([run.signal, this.#all.signal]);
    if (proof)
      proof.onWrong = ({ start, end }) => {
        this.#spans.putBack(start, end);
        // Whatever others gave up over, there is something to do again.
        this.#lastError = undefined;
      };
  }

  /** @returns bytes of the file */
  async all(): Promise<number> {
    const { resource, chunkSize, done } = this.#file;
    const size = resource.size ?? 0;
    // An empty file: nothing to take, nothing to read.
    if (size === 0) this.#opening?.cancel();
    else this.#start(this.#opening);
    const stop = this.#watch();
    try {
      for (;;) {
        while (this.#workers.size > 0) await Promise.race([...this.#workers].map((worker) => worker.done));
        // All may have left at once, each because of the others; nothing has gone wrong.
        if (this.#lastError || this.#signal.aborted) break;
        // What is still on its way to the disk may turn out wrong.
        if (this.#spans.left === 0 && !(this.#file.manifest && (await this.#drained()) && this.#spans.left > 0)) break;
        this.#start();
      }
    } finally {
      stop();
    }
    await this.#assembly.drain().catch((error: unknown) => {
      if (!this.#all.signal.aborted) throw error;
    });
    this.#run.signal.throwIfAborted();
    if (this.#all.signal.aborted) throw this.#all.signal.reason;
    if (!this.#spans.finished || done.size < chunkCount(size, chunkSize))
      throw this.#lastError ?? failure("INTERNAL", "chunks are missing after the fetch");
    return size;
  }

  /** Waits until all that came is written and compared. @returns false if something went wrong on the way */
  #drained(): Promise<boolean> {
    return this.#assembly.drain().then(
      () => true,
      () => false,
    );
  }

  /** Looks again and again whether more connections, or fewer, would be better. @returns ends it */
  #watch(): () => void {
    const { clock } = this.#run.engine;
    const look = (): void => {
      if (this.#signal.aborted) return;
      cancel = clock.timer(LOOK_MS, look);
      const workers = [...this.#workers];
      this.#redirect(workers);
      const seen = this.#count.see({
        now: clock.monotonic(),
        received: this.#run.received,
        left: this.#spans.left,
        held: workers.some(({ lane }) => lane.held),
      });
      const wanted = Math.min(seen, this.#file.sources.first.source.lanes ?? seen);
      for (let running = this.#workers.size; running < wanted && this.#spans.left > 0; running++) this.#start();
      for (const { span } of workers.slice(wanted)) this.#spans.shorten(span);
      this.#rouse(workers);
    };
    let cancel = clock.timer(LOOK_MS, look);
    return () => cancel();
  }

  /** A connection that waits for what nobody has at the moment leaves it for what can be had; one connection at a time. */
  #redirect(workers: readonly Worker[]): void {
    const choose = this.#choose;
    if (!choose) return;
    const size = this.#file.chunkSize;
    for (const { waits, lane, span, abort } of workers) {
      if (!waits && (lane.held || lane.idleMs < IDLE_MS)) continue;
      const { next, end } = span;
      const first = Math.min((Math.floor(next / size) + 1) * size, end);
      if (choose([{ start: next, end: first }])) continue;
      if (!choose([...this.#spans.gaps, ...(first < end ? [{ start: first, end }] : [])])) continue;
      abort?.abort(NOT_NOW);
      return;
    }
  }

  /** The last of several connections is not waited for when it is stuck. */
  #rouse(workers: readonly Worker[]): void {
    const [worker] = workers;
    // Such a source sees by itself who of many brings nothing.
    if (this.#choose) return;
    if (workers.length !== 1 || !worker || this.#peak < 2 || this.#roused.has(worker)) return;
    const { idleMs, held } = worker.lane;
    if (held || idleMs < STALLED_MS) return;
    this.#roused.add(worker);
    worker.abort?.abort(failure("TIMED_OUT", `no byte for ${Math.round(idleMs / 1000)} s, with all others done`));
  }

  #start(opening?: RangeStream): void {
    const lane = new Lane(this.#run, this.#assembly);
    const span = opening
      ? this.#spans.takeAt(opening.start, opening.end ?? opening.start, lane.rate)
      : this.#take(lane);
    if (!span) {
      opening?.cancel();
      return;
    }
    const worker: Worker = { lane, span, abort: undefined, waits: false, done: Promise.resolve() };
    this.#workers.add(worker);
    this.#run.connections = this.#workers.size;
    this.#peak = Math.max(this.#peak, this.#workers.size);
    worker.done = this.#work(worker, opening).finally(() => {
      this.#workers.delete(worker);
      this.#run.connections = this.#workers.size;
    });
  }

  /** One connection, from its first span to its last. Never rejects. */
  async #work(worker: Worker, opening: RangeStream | undefined): Promise<void> {
    let stream = opening;
    try {
      for (let span: Span | undefined = worker.span; span; span = this.#next(worker)) {
        worker.span = span;
        try {
          await this.#fetch(worker, stream);
        } catch (error) {
          if (error !== NOT_NOW) throw error;
        } finally {
          stream = undefined;
          this.#spans.release(span);
        }
      }
    } catch (error) {
      if (this.#signal.aborted) return;
      const failed = asDownloadError(error);
      this.#lastError = failed;
      if (concernsAll(failed)) {
        this.#all.abort(failed);
        return;
      }
      this.#count.objected(this.#run.engine.clock.monotonic(), this.#workers.size - 1);
      this.#run.logger.info({ code: failed.code, message: failed.message }, "a connection gave up; the others go on");
    }
  }

  #next(worker: Worker): Span | undefined {
    if (this.#signal.aborted) return undefined;
    if (this.#workers.size <= this.#count.wanted) return this.#take(worker.lane);
    // Gone from here on: the next one who asks must not leave for the same reason.
    this.#workers.delete(worker);
    return undefined;
  }

  #take(lane: Lane): Span | undefined {
    const chosen = this.#choose && this.#spans.takeChosen(this.#most, lane.rate, this.#choose);
    return chosen ?? this.#spans.take(this.#most, lane.rate);
  }

  /** Fetches one span, from another place where one fails. */
  async #fetch(worker: Worker, opening: RangeStream | undefined): Promise<void> {
    const { sources } = this.#file;
    const { lane, span } = worker;
    for (let stream = opening; span.next < span.end; stream = undefined) {
      const place = stream ? sources.takeFirst() : await sources.take(this.#signal);
      try {
        await this.#fetchFrom(place, worker, stream);
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error === NOT_NOW) throw error;
        const failed = asDownloadError(error);
        const versionGone = failed.code === "RESOURCE_CHANGED" && place === sources.first;
        // Others are being served there: it minds the number of connections, not the file.
        const crowded = OBJECTIONS.has(failed.code) && place.connections > 1;
        if (versionGone || crowded || !isThePlace(failed) || !sources.drop(place, failed)) throw failed;
      } finally {
        sources.give(place, lane.rate());
      }
    }
  }

  /** Fetches one span from one place, reconnecting where the connection breaks. */
  async #fetchFrom(place: Place, worker: Worker, opening: RangeStream | undefined): Promise<void> {
    const { span } = worker;
    let fruitless = 0;
    for (let stream = opening; span.next < span.end; stream = undefined) {
      const from = span.next;
      try {
        await this.#receive(worker, place, stream);
        if (span.next === from && from < span.end)
          throw failure("TRUNCATED", `${place.source.id} sent no byte of a range`);
        fruitless = 0;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error === NOT_NOW) throw error;
        const failed = asDownloadError(error);
        fruitless = span.next > from ? 1 : fruitless + 1;
        if (!mayPass(failed) || fruitless >= FRUITLESS) throw failed;
        this.#run.logger.info(
          { code: failed.code, at: span.next },
          "the connection broke; going on behind the last byte",
        );
        await this.#run.engine.clock.sleep(RECONNECT_MS * fruitless, this.#signal);
      }
    }
  }

  async #open(worker: Worker, source: ChunkSource, request: RangeRequest): Promise<RangeStream> {
    worker.waits = true;
    try {
      return await source.open(request);
    } finally {
      worker.waits = false;
    }
  }

  async #receive(worker: Worker, place: Place, opening: RangeStream | undefined): Promise<void> {
    const { source, expected, number } = place;
    const { lane, span } = worker;
    const abort = new AbortController();
    worker.abort = abort;
    const signal = AbortSignal.any([this.#signal, abort.signal]);
    const { end } = span;
    // The probe's answer was asked for before there was a signal of this connection's.
    const breakOff = (): void => opening?.cancel();
    signal.addEventListener("abort", breakOff, { once: true });
    try {
      const request = { start: span.next, end, ...(expected && { expected }), signal };
      const stream = opening ?? (await this.#open(worker, source, request));
      await lane.receive(stream, span, number, opening ? (opening.end ?? end) : end);
    } catch (error) {
      // Whatever the source makes of it.
      if (opening || abort.signal.reason === NOT_NOW) signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", breakOff);
    }
  }
}

/** Connections at once, at most. Chunks whose size others chose may be too large for as many as are set. */
function connectionsFor({ session, settings }: Run, { manifest, chunkSize }: PlannedFile): number {
  const most = session.options.connections ?? settings.connections;
  if (!manifest) return most;
  // Each connection fills one slab while another is hashed and written.
  return Math.max(1, Math.min(most, Math.floor(settings.memoryHeadroom() / (2 * chunkSize))));
}

/** True for what another try at the same place may mend. */
function mayPass(error: DownloadError): boolean {
  const final = FINAL.has(error.code) || error.metadata["last_word"] !== undefined;
  return error instanceof NetworkError && error.retryable && !final;
}

/** True for what another place could do better. */
function isThePlace(error: DownloadError): boolean {
  return error instanceof NetworkError || error instanceof ResourceError;
}

/** True for what no other connection could do better: another version, an answer that lies, the disk. */
function concernsAll(error: DownloadError): boolean {
  return error.code === "RESOURCE_CHANGED" || error.code === "RANGE_INVALID" || !isThePlace(error);
}

/** One stream from the first byte. It cannot be gone on with: a break ends the attempt. */
async function fetchStream(
  run: Run,
  file: PlannedFile,
  assembly: Assembly,
  opening: RangeStream | undefined,
): Promise<number> {
  const place = file.sources.takeFirst();
  const stream = opening ?? (await place.source.open({ start: 0, signal: run.signal }));
  const lane = new Lane(run, assembly);
  const { size: announced } = file.resource;
  const span = { next: 0, reserved: 0, end: announced ?? Number.MAX_SAFE_INTEGER, rate: lane.rate };
  run.connections = 1;
  try {
    await lane.receive(stream, span, place.number, span.end);
    assembly.end();
    await assembly.drain();
    if (announced !== undefined && span.next !== announced)
      throw failure("TRUNCATED", `${place.source.id} announced ${announced} bytes and sent ${span.next}`);
    return span.next;
  } finally {
    run.connections = 0;
    // Nothing may be written into slabs that are given back.
    await assembly.drain().catch(() => undefined);
    place.connections--;
  }
}
