/**
 * What of a track is here already. Of a list that has an end the segments count that it still names, in its order, from the
 * first one on. A recording counts whole: what comes now goes behind it.
 */
import { createHash } from "node:crypto";
import type { PartFile, RecordedChunk, RecordedSegment } from "../../core/ports.ts";
import type { Segment, Track } from "../../core/resolved.ts";
import type { TrackState } from "../../core/session.ts";
import type { Run } from "../run.ts";
import { segmentName } from "./names.ts";

/** Bytes that are read back at once. */
const READ = 8 * 1024 * 1024;

/** Where a track goes on. */
export interface Prefix {
  /** Proved, from the first one on. */
  readonly recorded: readonly RecordedSegment[];
  /** All that are known, those that are here first. */
  readonly segments: readonly Segment[];
}

/** Finds out, and forgets what does not count any more. */
export async function prefixOf(run: Run, track: Track, part: PartFile, { epoch }: TrackState): Promise<Prefix> {
  const { store } = run.engine;
  const { id } = run.session;
  const all = await store.segments(id, epoch);
  const named = contiguous(all, track);
  const recorded = await proved(run, part, named);
  if (recorded.length < all.size) {
    // None of them may ever stand for what is written there from now on.
    await store.dropChunks(id, epoch);
    await store.recordChunks(id, epoch, recorded.map(asChunk));
  }
  return { recorded, segments: track.more ? goneOnWith(run, track, recorded) : track.segments };
}

const asChunk = ({ sha256: digest, ...segment }: RecordedSegment, index: number): RecordedChunk => [
  index,
  digest,
  [],
  segment,
];

/** Those from the first one on that the track still has in their place. */
function contiguous(all: ReadonlyMap<number, RecordedSegment>, { segments, more }: Track): RecordedSegment[] {
  const found: RecordedSegment[] = [];
  for (let index = 0; ; index++) {
    const segment = all.get(index);
    const listed = segments[index];
    if (!segment || (!more && (!listed || segmentName(listed) !== segment.name))) return found;
    found.push(segment);
  }
}

/** A recording goes on behind its last segment; what has passed meanwhile is lost, and that is said. */
function goneOnWith(run: Run, track: Track, recorded: readonly RecordedSegment[]): readonly Segment[] {
  const last = recorded.at(-1);
  if (!last) return track.segments;
  const at = track.segments.findLastIndex((segment) => segmentName(segment) === last.name);
  if (at < 0)
    run.logger.warn({ segments: recorded.length }, "the recording goes on with a gap: what was sent meanwhile is gone");
  // They are here: nobody asks for them again.
  const here = recorded.map(
    ({ durationMs }): Segment => ({ url: run.session.url, durationSeconds: durationMs / 1000 }),
  );
  return [...here, ...track.segments.slice(at + 1)];
}

/** Those from the first one on that are on disk as they were recorded. */
async function proved(
  run: Run,
  part: PartFile,
  named: readonly RecordedSegment[],
): Promise<readonly RecordedSegment[]> {
  const size = await part.size();
  let start = 0;
  for (const [index, segment] of named.entries()) {
    run.signal.throwIfAborted();
    const there = start + segment.length <= size;
    if (!there || (run.settings.verifyChunks && (await digestOf(part, start, segment.length)) !== segment.sha256)) {
      run.logger.warn(
        { segment: index },
        "a segment on disk is not what was recorded; it is fetched again, with all behind it",
      );
      return named.slice(0, index);
    }
    start += segment.length;
  }
  return named;
}

/** Of what may be large, in pieces. */
async function digestOf(part: PartFile, start: number, length: number): Promise<string> {
  const hash = createHash("sha256");
  for (let done = 0; done < length; done += READ)
    hash.update(await part.read(start + done, Math.min(READ, length - done)));
  return hash.digest("hex");
}
