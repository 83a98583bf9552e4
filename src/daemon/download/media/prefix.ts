/**
 * What of a track is here already. Of a list that has an end the segments count that it still names, in its order, from the
 * first one on; of ranges of a file whose version nobody knows none, while others of it are missing. A recording counts
 * whole: what comes now goes behind it.
 */
import { createHash } from "node:crypto";
import type { PartFile } from "../../core/ports/files.ts";
import type { RecordedChunk, RecordedSegment } from "../../core/ports/sessions.ts";
import type { Segment, Track } from "../../core/resolved.ts";
import type { TrackState } from "../../core/session.ts";
import type { Run } from "../run.ts";
import { segmentName } from "./names.ts";
import type { SplitTrack } from "./split.ts";

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
export async function prefixOf(
  run: Run,
  { track, versions }: Pick<SplitTrack, "track" | "versions">,
  part: PartFile,
  { epoch }: TrackState,
): Promise<Prefix> {
  const { store } = run.engine;
  const { id } = run.session;
  const all = await store.segments(id, epoch);
  const named = contiguous(all, track);
  const found = await proved(run, part, named);
  const recorded = found.slice(0, ofOneVersion(track, found.length, versions));
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

/**
 * How many of the first `here` segments can be gone on with. A file whose ranges are here in part, and whose version nobody
 * knows, may be another one by now: it is fetched anew, and so is all behind its first range.
 */
export function ofOneVersion(
  { segments, more }: Pick<Track, "segments" | "more">,
  here: number,
  versions: SplitTrack["versions"] = new Map(),
): number {
  if (more) return here;
  const first = new Map<string, number>();
  for (const [index, { url, range }] of segments.entries())
    if (range && !versions.has(url) && !first.has(url)) first.set(url, index);
  let kept = here;
  // The first range of what is missing so far.
  let lowest = here;
  for (let index = segments.length - 1; index >= 0 && (index >= kept || index >= lowest); index--) {
    kept = Math.min(kept, index);
    const segment = segments[index];
    if (segment?.range) lowest = Math.min(lowest, first.get(segment.url) ?? lowest);
  }
  return kept;
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
