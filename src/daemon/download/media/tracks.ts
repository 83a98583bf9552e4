/**
 * The tracks of a session: opened, matched with what an earlier run left of them, fetched side by side. Their files are the
 * session's until the file that is made of them is in place.
 */
import { createHash } from "node:crypto";
import { asDownloadError } from "../../core/errors.ts";
import type { PartFile, RecordedSegment } from "../../core/ports.ts";
import type { Segment, Track } from "../../core/resolved.ts";
import type { TrackState } from "../../core/session.ts";
import { sha256 } from "../digest.ts";
import type { Run } from "../run.ts";
import { SegmentKeys } from "./segment-keys.ts";
import { TrackFetch } from "./track-fetch.ts";

/** Milliseconds between two reports of progress. */
const REPORT_MS = 100;

/** A track that is all here. */
export interface FetchedTrack {
  readonly track: Track;
  readonly path: string;
  readonly size: number;
  /** Bytes of its segments in their order. */
  readonly lengths: readonly number[];
}

/** Where the tracks of a session go: beside what is made of them. */
export function trackStates(run: Run, tracks: readonly Track[], base: string): readonly TrackState[] {
  const former = run.session.part;
  const identities = tracks.map(identityOf);
  const kept = former?.tracks;
  const same =
    run.settings.enableResume &&
    kept?.length === tracks.length &&
    kept.every(({ identity }, at) => identity === identities[at]);
  if (same) return kept;
  // Never used before: what an older version recorded must not stand for this one.
  const first = Math.max(former?.epoch ?? 0, ...(kept ?? []).map(({ epoch }) => epoch)) + 1;
  return identities.map((identity, at) => ({ path: `${base}.${at}`, epoch: first + at, identity }));
}

/** Fetches all tracks. @throws DownloadError; what was recorded stays */
export async function fetchTracks(
  run: Run,
  tracks: readonly Track[],
  states: readonly TrackState[],
): Promise<readonly FetchedTrack[]> {
  const { engine, session } = run;
  await using open = new AsyncDisposableStack();
  const stopAt = recordingEnd(run, tracks);
  const fetches: TrackFetch[] = [];
  let reported = Number.NEGATIVE_INFINITY;
  const report = (): void => {
    const now = engine.clock.monotonic();
    const all = fetches.every(({ count }) => count.done === count.total);
    if (!all && now - reported < REPORT_MS) return;
    reported = now;
    const bytes = fetches.reduce((sum, each) => sum + each.bytes, 0);
    run.proved = bytes;
    const done = fetches.reduce((sum, { count }) => sum + count.done, 0);
    const total = fetches.reduce<number | undefined>(
      (sum, { count }) => (sum === undefined || count.total === undefined ? undefined : sum + count.total),
      0,
    );
    engine.store.progress(session.id, bytes, undefined, { done, ...(total !== undefined && { total }) });
  };
  const failed = new AbortController();
  for (const [at, track] of tracks.entries()) {
    const state = states[at];
    if (!state) continue;
    const part = await engine.files.openPart(state.path);
    open.defer(() => part.close());
    const recorded = await provedPrefix(run, part, await engine.store.segments(session.id, state.epoch));
    const keys = new SegmentKeys((url) =>
      engine.sources.http(url, {
        headers: sameOrigin(url, track) ? track.headers : [],
        ...(track.namedBy !== undefined && { namedBy: track.namedBy }),
        ...(session.options.remote && { remote: true }),
      }),
    );
    fetches.push(new TrackFetch({ run, track, part, epoch: state.epoch, recorded, keys, onProgress: report, failed }));
  }
  run.pending = () => fetches.reduce((sum, each) => sum + each.pending, 0);
  report();
  const ended = await Promise.allSettled(
    fetches.map(async (each) => {
      try {
        return await each.all(stopAt);
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  run.connections = 0;
  run.signal.throwIfAborted();
  if (failed.signal.aborted) throw asDownloadError(failed.signal.reason);
  return tracks.map((track, at) => {
    const result = ended[at];
    const lengths = result?.status === "fulfilled" ? result.value : [];
    return { track, path: states[at]?.path ?? "", size: lengths.reduce((sum, length) => sum + length, 0), lengths };
  });
}

/** The segments from the first one on that are on disk as they were recorded. */
async function provedPrefix(
  run: Run,
  part: PartFile,
  recorded: ReadonlyMap<number, RecordedSegment>,
): Promise<ReadonlyMap<number, RecordedSegment>> {
  const proved = new Map<number, RecordedSegment>();
  let start = 0;
  for (let index = 0; ; index++) {
    run.signal.throwIfAborted();
    const segment = recorded.get(index);
    if (!segment) return proved;
    if (run.settings.verifyChunks) {
      const bytes = Buffer.from(await part.read(start, segment.length));
      if (bytes.length !== segment.length || (await sha256(bytes)) !== segment.sha256) {
        run.logger.warn(
          { segment: index },
          "a segment on disk is not what was recorded; it is fetched again, with all behind it",
        );
        return proved;
      }
    }
    proved.set(index, segment);
    start += segment.length;
  }
}

/** What tells one list of segments from another: queries carry signatures, which change with every look. */
function identityOf(track: Track): string {
  const hash = createHash("sha256").update(`${track.kind} ${track.container}\n`);
  // Of a live stream the list is another one each time: what was recorded is a recording of its own.
  if (track.more)
    return hash
      .update("live\n")
      .update(track.segments[0] ? pathOf(track.segments[0]) : "")
      .digest("hex");
  for (const segment of track.segments) hash.update(`${pathOf(segment)} ${segment.durationSeconds ?? ""}\n`);
  return hash.digest("hex");
}

function pathOf({ url, range }: Segment): string {
  return `${new URL(url).pathname} ${range ? `${range.start}-${range.end}` : ""}`;
}

function sameOrigin(url: string, { segments }: Track): boolean {
  const [first] = segments;
  return first !== undefined && new URL(first.url).origin === new URL(url).origin;
}

/** Ends a recording after the time that was asked for. */
function recordingEnd(run: Run, tracks: readonly Track[]): AbortSignal | undefined {
  const { recordFor } = run.session.options;
  if (recordFor === undefined || !tracks.some(({ more }) => more)) return undefined;
  const over = new AbortController();
  run.engine.clock.timer(recordFor * 1000, () => over.abort(new Error("the time of the recording is over")));
  return over.signal;
}
