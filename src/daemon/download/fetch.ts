/**
 * Stage 3: the bytes come in. A resource whose ranges can be put together is fetched over several connections, each with
 * a span of chunks; any other in one stream from its first byte.
 */
import { dirname } from "node:path";
import { asDownloadError, type DownloadError, failure, NetworkError, ResourceError } from "../core/errors.ts";
import { chunkCount, chunkRange } from "../core/manifest.ts";
import type { RangeStream } from "../core/ports.ts";
import { Lane, type Sheet } from "./lane.ts";
import { type PlannedFile, requireSpace } from "./plan.ts";
import { Recorder } from "./recorder.ts";
import type { Run } from "./run.ts";
import { type Span, Spans } from "./spans.ts";

/** A connection may break this often in a row without bringing a byte. */
const FRUITLESS = 3;

/** Milliseconds before a broken connection is made anew; multiplied by the number of breaks in a row. */
const RECONNECT_MS = 250;

/** Fetches what is missing. @returns bytes of the file. @throws DownloadError; what was recorded stays */
export async function fetchFile(run: Run, file: PlannedFile): Promise<number> {
  const report = reporter(run, file);
  const recorder = new Recorder({
    part: file.part,
    store: run.engine.store,
    sessionId: run.session.id,
    epoch: file.epoch,
    done: file.done,
    onRecorded: (index, sha256, length) => report(index, sha256, length),
  });
  const single = file.resource.size !== undefined && file.resource.size <= file.chunkSize;
  const sheet: Sheet = {
    run,
    part: file.part,
    chunkSize: file.chunkSize,
    ...(file.resource.size !== undefined && { size: file.resource.size }),
    onChunk: async (index, sha256, length) => {
      // Nobody said how much there is to come: the room that is to stay free is looked after on the way.
      if (file.resource.size === undefined) await requireSpace(run, dirname(file.target), 0);
      if (!single) return recorder.add(index, sha256, length);
      // The whole file in one chunk: the record before the rename holds it, an extra sync would only cost time.
      file.done.set(index, sha256);
      report(index, sha256, length);
    },
  };
  return file.whole ? fetchStream(run, file, sheet) : fetchSpans(run, file, sheet);
}

/** Tells of chunks as they are recorded. */
function reporter(run: Run, file: PlannedFile): (index: number, sha256: string, length: number) => void {
  let bytes = file.doneBytes;
  return (index, sha256, length) => {
    bytes += length;
    if (!file.whole) run.proved = bytes;
    run.engine.store.progress(run.session.id, bytes, file.resource.size);
    if (run.engine.hooks.idle) return;
    const start = index * file.chunkSize;
    void run.engine.hooks.postChunk({ start, end: start + length, url: run.session.url, retries: 0 }, sha256);
  };
}

async function fetchSpans(run: Run, file: PlannedFile, sheet: Sheet): Promise<number> {
  const size = file.resource.size ?? 0;
  const count = chunkCount(size, file.chunkSize);
  const spans = new Spans(count, file.done);
  const wanted = run.session.options.connections ?? run.settings.connections;
  const workers = Math.max(1, Math.min(wanted, count - file.done.size));
  // One lane's failure that concerns all of them ends them all.
  const all = new AbortController();
  const signal = AbortSignal.any([run.signal, all.signal]);
  let lastError: DownloadError | undefined;
  const work = async (opening: RangeStream | undefined): Promise<void> => {
    using lane = new Lane(sheet);
    let first = opening;
    let span = first ? spans.takeFirst() : spans.take(workers);
    // An empty file: nothing to take, nothing to read.
    if (!span) first?.cancel();
    run.connections++;
    try {
      for (; span; span = spans.take(workers)) {
        try {
          await fetchSpan(run, file, lane, span, first, signal);
        } finally {
          first = undefined;
          spans.release(span);
        }
      }
      await lane.drain();
    } catch (error) {
      const failed = signal.aborted ? undefined : asDownloadError(error);
      await lane.drain().catch(() => undefined);
      if (!failed) return;
      lastError = failed;
      if (concernsAll(failed)) all.abort(failed);
      else run.logger.info({ code: failed.code, message: failed.message }, "a connection gave up; the others go on");
    } finally {
      run.connections--;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, lane) => work(lane === 0 ? file.opening : undefined)));
  run.signal.throwIfAborted();
  if (all.signal.aborted) throw all.signal.reason;
  if (!spans.finished || file.done.size < count)
    throw lastError ?? failure("INTERNAL", "chunks are missing after the fetch");
  return size;
}

/** Fetches one span, reconnecting where the connection breaks. */
async function fetchSpan(
  run: Run,
  file: PlannedFile,
  lane: Lane,
  span: Span,
  opening: RangeStream | undefined,
  signal: AbortSignal,
): Promise<void> {
  let fruitless = 0;
  let stream = opening;
  while (span.next < span.end) {
    const start = lane.position(span);
    const { end } = chunkRange(span.end - 1, file.resource.size ?? 0, file.chunkSize);
    try {
      stream ??= await file.source.open({ start, end, expected: file.resource, signal });
      await lane.receive(stream, span);
      if (lane.position(span) === start) throw failure("TRUNCATED", `${file.source.id} sent no byte of a range`);
      fruitless = 0;
    } catch (error) {
      signal.throwIfAborted();
      const failed = asDownloadError(error);
      fruitless = lane.position(span) > start ? 1 : fruitless + 1;
      if (!(failed instanceof NetworkError) || !failed.retryable || fruitless >= FRUITLESS) throw failed;
      run.logger.info({ code: failed.code, start }, "the connection broke; going on behind the last byte");
      await run.engine.clock.sleep(RECONNECT_MS * fruitless, signal);
    } finally {
      stream = undefined;
    }
  }
}

/** True for what no other connection could do better: another version, an answer that lies, the disk. */
function concernsAll(error: DownloadError): boolean {
  if (error.code === "RESOURCE_CHANGED" || error.code === "RANGE_INVALID") return true;
  return !(error instanceof NetworkError) && !(error instanceof ResourceError);
}

/** One stream from the first byte. It cannot be gone on with: a break ends the attempt. */
async function fetchStream(run: Run, file: PlannedFile, sheet: Sheet): Promise<number> {
  const stream = file.opening ?? (await file.source.open({ start: 0, signal: run.signal }));
  using lane = new Lane(sheet);
  const { size: announced } = file.resource;
  const end = announced === undefined ? Number.MAX_SAFE_INTEGER : chunkCount(announced, file.chunkSize);
  const span = { next: 0, end };
  run.connections++;
  try {
    await lane.receive(stream, span);
    const size = lane.finish(span);
    await lane.drain();
    if (announced !== undefined && size !== announced)
      throw failure("TRUNCATED", `${file.source.id} announced ${announced} bytes and sent ${size}`);
    return size;
  } finally {
    await lane.drain().catch(() => undefined);
    run.connections--;
  }
}
