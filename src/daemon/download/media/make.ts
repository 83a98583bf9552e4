/**
 * Stage 5 for media: one file is made of the tracks. Without FFmpeg a single track is the file: segments of MPEG-TS, of
 * fragmented MP4 and of packed audio are made to be joined. Everything else is FFmpeg's.
 */
import { link } from "node:fs/promises";
import { asDownloadError, failure } from "../../core/errors.ts";
import type { Container, MediaTrackFile, SubtitleFile } from "../../core/media-tool.ts";
import type { ManifestHead } from "../../core/receipt.ts";
import type { Media, MediaChoice, TrackContainer, TrackKind } from "../../core/resolved.ts";
import { manifestOf } from "../made-file.ts";
import type { Run } from "../run.ts";
import { dressOf } from "./dress.ts";
import { subtitleFile } from "./subtitles.ts";
import type { FetchedTrack } from "./tracks.ts";

/** What joined segments are called, where nothing is made of them. */
const NATURAL: Readonly<Record<TrackContainer, string>> = {
  ts: "ts",
  fmp4: "mp4",
  mp4: "mp4",
  webm: "webm",
  aac: "aac",
  mp3: "mp3",
  ac3: "ac3",
  webvtt: "vtt",
  ttml: "ttml",
  other: "bin",
};

/** Demuxers: what a track is was said by its playlist, and nothing else is to be tried. */
const DEMUXER: Partial<Record<TrackContainer, string>> = {
  ts: "mpegts",
  fmp4: "mp4",
  mp4: "mp4",
  webm: "matroska",
  aac: "aac",
  mp3: "mp3",
  ac3: "ac3",
};

const TAKEN: Readonly<Record<TrackKind, MediaTrackFile["take"]>> = {
  both: ["audio", "video"],
  video: ["video"],
  audio: ["audio"],
  subtitle: ["subtitle"],
};

/** What is made. */
export interface Made {
  readonly path: string;
  readonly size: number;
  /** The bytes as they came: of one track; absent for several. */
  readonly source?: ManifestHead;
}

/** What a file is made of. */
export interface MakeInit {
  readonly media: Media;
  readonly choice: MediaChoice;
  readonly fetched: readonly FetchedTrack[];
  /** Where the made file may lie; never the final name. */
  readonly base: string;
}

/**
 * What can be made of the choice on this machine: with FFmpeg as it is; without it a single track, under the name that its
 * container has.
 *
 * @throws SystemResourceError FFMPEG_MISSING before anything is fetched; ResourceError MEDIA_LOCKED
 */
export async function feasible(
  run: Run,
  choice: MediaChoice,
): Promise<{ readonly choice: MediaChoice; readonly tool: boolean }> {
  const locked = choice.formats.find((format) => format.locked !== undefined);
  if (locked)
    throw failure("MEDIA_LOCKED", `format ${locked.id} is locked: ${locked.locked}`, {
      metadata: { format: locked.id },
    });
  try {
    if (!run.engine.media) throw failure("FFMPEG_MISSING", "there is none here");
    await run.engine.media.version(run.signal);
    return { choice, tool: true };
  } catch (error) {
    run.signal.throwIfAborted();
    const [format] = choice.formats;
    const embeds = choice.subtitles.length > 0 && run.session.options.subtitles?.embed;
    if (choice.formats.length > 1 || choice.transcode || embeds) {
      const failed = asDownloadError(error);
      const why = choice.transcode ? `to make ${choice.ext} of it` : "to put its tracks together";
      throw failure(failed.code, `FFmpeg is needed ${why}: ${failed.message}`, { cause: error });
    }
    return { choice: { ...choice, ext: NATURAL[format.container ?? "other"] }, tool: false };
  }
}

/** Makes the file. The tracks stay. @throws DownloadError FFMPEG_FAILED, MEDIA_UNFIT, MEDIA_INVALID; the signal's reason */
export async function makeFile(run: Run, init: MakeInit, tool: boolean): Promise<Made> {
  const { files } = run.engine;
  const path = `${init.base}.made`;
  // Of an attempt that died over it.
  await files.remove(path);
  if (tool) await withTool(run, init, path);
  else await joined(init.fetched, path);
  const found = await files.stat(path);
  if (!found) throw failure("INTERNAL", `${path} was made and is not there`);
  const source = await sourceOf(run, init.fetched);
  return { path, size: found.size, ...(source && { source }) };
}

async function joined([track]: readonly FetchedTrack[], path: string): Promise<void> {
  if (!track) throw failure("INTERNAL", "media without a track");
  // The same bytes under a second name: the track stays until the file is in place.
  await link(track.path, path);
}

async function withTool(run: Run, { media, choice, fetched, base }: MakeInit, path: string): Promise<void> {
  const { engine, session, signal } = run;
  const tracks: MediaTrackFile[] = [];
  const subtitles: SubtitleFile[] = [];
  await using made = new AsyncDisposableStack();
  for (const [at, each] of fetched.entries()) {
    const { track } = each;
    if (track.kind === "subtitle") {
      const file = await subtitleFile(run, each, `${base}.s${at}.vtt`);
      made.defer(() => engine.files.remove(file.path));
      subtitles.push(file);
      continue;
    }
    const format = DEMUXER[track.container];
    const take = TAKEN[track.kind];
    tracks.push({ path: each.path, ...(format && { format }), ...(take && { take }) });
  }
  const [first, ...others] = tracks;
  if (!first) throw failure("INTERNAL", "media without a track");
  const { transcode } = choice;
  if (!engine.media) throw failure("FFMPEG_MISSING", "FFmpeg is gone");
  const result = await engine.media.make({
    tracks: [first, ...others],
    target: path,
    container: choice.ext as Container,
    replace: true,
    ...(transcode && {
      audio: { codec: transcode.codec, ...(transcode.kbps !== undefined && { bitRate: transcode.kbps * 1000 }) },
    }),
    ...(await dressOf(run, media)),
    ...(session.options.subtitles?.embed && subtitles.length > 0 && { subtitles }),
    signal,
  });
  for (const note of result.notes) run.logger.info({ note }, "made with a reservation");
}

/** The manifest of what came, where that is one track. */
async function sourceOf(run: Run, fetched: readonly FetchedTrack[]): Promise<ManifestHead | undefined> {
  const [only, ...others] = fetched;
  if (!only || others.length > 0) return undefined;
  const file = await run.engine.files.openPart(only.path);
  try {
    const { chunks: _chunks, ...head } = await manifestOf(run, file);
    return head;
  } finally {
    await file.close();
  }
}
