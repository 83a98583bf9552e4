/**
 * The tracks of a session: opened, matched with what an earlier run left of them, fetched side by side. Their files are the
 * session's until the file that is made of them is in place.
 */
import { asDownloadError } from "../../core/errors.ts";
import type { Track } from "../../core/resolved.ts";
import type { TrackState } from "../../core/session.ts";
import type { Run } from "../run.ts";
import { identityOf } from "./names.ts";
import { prefixOf } from "./prefix.ts";
import { SegmentKeys } from "./segment-keys.ts";
import type { SplitTrack } from "./split.ts";
import { TrackFetch } from "./track-fetch.ts";
import { wayTo } from "./way.ts";

/** Milliseconds between two reports of progress. */
const REPORT_MS = 100;

/** Segments at once, of all tracks, whatever the number of connections that are allowed. */
const MOST_AT_ONCE = 8;

/** Seconds that a recording may take longer than what was asked for, when the stream falters. */
const GRACE = 60;

/** A track that is all here. */
export interface FetchedTrack {
  readonly track: Track;
  readonly path: string;
  readonly size: number;
  /** Bytes of its segments in their order. */
  readonly lengths: readonly number[];
  /** SHA-256 over the digests of its segments, hex. */
  readonly digest: string;
  /** Nobody vouches for the length of one of its segments. */
  readonly lengthUnverified: boolean;
}

/** Where the tracks of a session go: beside what is made of them. */
export function trackStates(run: Run, tracks: readonly SplitTrack[], base: string): readonly TrackState[] {
  const former = run.session.part;
  const identities = tracks.map(({ track, format, versions }) => identityOf(track, format, versions));
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
  tracks: readonly SplitTrack[],
  states: readonly TrackState[],
): Promise<readonly FetchedTrack[]> {
  await using open = new AsyncDisposableStack();
  const fetches: TrackFetch[] = [];
  const report = reporter(run, fetches);
  const failed = new AbortController();
  const stopAt = recordingEnd(run, tracks, open);
  for (const [at, split] of tracks.entries()) {
    const state = states[at];
    if (!state) continue;
    const part = await run.engine.files.openPart(state.path);
    open.defer(() => part.close());
    fetches.push(
      new TrackFetch({
        run,
        ...split,
        part,
        epoch: state.epoch,
        prefix: await prefixOf(run, split, part, state),
        keys: new SegmentKeys((url) => run.engine.sources.http(url, wayTo(run, url, split.track))),
        atOnce: atOnce(run, tracks.length),
        ...recordLimit(run, split.track),
        onProgress: report,
        onConnections: () => {
          run.connections = fetches.reduce((sum, each) => sum + each.connections, 0);
        },
        failed,
      }),
    );
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
  run.pending = () => 0;
  run.signal.throwIfAborted();
  if (failed.signal.aborted) throw asDownloadError(failed.signal.reason);
  return fetches.flatMap((each, at) => {
    const [split, state, result] = [tracks[at], states[at], ended[at]];
    if (!split || !state || result?.status !== "fulfilled") return [];
    const lengths = result.value;
    const size = lengths.reduce((sum, length) => sum + length, 0);
    const { lengthUnverified } = each;
    return [{ track: split.track, path: state.path, size, lengths, digest: each.digest(), lengthUnverified }];
  });
}

/** Tells how far all of them have come, now and then, and when all are here. */
function reporter(run: Run, fetches: readonly TrackFetch[]): () => void {
  const { engine, session } = run;
  let reported = Number.NEGATIVE_INFINITY;
  return () => {
    const now = engine.clock.monotonic();
    const all = fetches.every(({ count }) => count.done === count.total);
    const bytes = fetches.reduce((sum, each) => sum + each.bytes, 0);
    run.proved = bytes;
    if (!all && now - reported < REPORT_MS) return;
    reported = now;
    const done = fetches.reduce((sum, { count }) => sum + count.done, 0);
    const total = fetches.reduce<number | undefined>(
      (sum, { count }) => (sum === undefined || count.total === undefined ? undefined : sum + count.total),
      0,
    );
    engine.store.progress(session.id, bytes, undefined, { done, ...(total !== undefined && { total }) });
  };
}

function atOnce({ session, settings }: Run, tracks: number): number {
  const allowed = Math.min(session.options.connections ?? settings.connections, MOST_AT_ONCE);
  return Math.max(1, Math.floor(allowed / tracks));
}

/** Of a live track, the media after which the recording ends. */
function recordLimit({ session }: Run, { more }: Track): { recordMs?: number } {
  const { recordFor } = session.options;
  return more && recordFor !== undefined ? { recordMs: recordFor * 1000 } : {};
}

/** Ends a recording by the clock too: a stream may falter, or not tell how long its segments are. */
function recordingEnd(run: Run, tracks: readonly SplitTrack[], open: AsyncDisposableStack): AbortSignal | undefined {
  const { recordFor } = run.session.options;
  const live = tracks.filter(({ track }) => track.more);
  if (recordFor === undefined || live.length === 0) return undefined;
  const told = live.every(({ track }) => track.segments.every(({ durationSeconds }) => durationSeconds !== undefined));
  const over = new AbortController();
  const end = (): void => over.abort(new Error("the time of the recording is over"));
  open.defer(run.engine.clock.timer((recordFor + (told ? GRACE : 0)) * 1000, end));
  return over.signal;
}
