/**
 * Stage 5 for media: one file is made of the tracks. Without FFmpeg a single track is the file: segments of MPEG-TS, of
 * fragmented MP4 and of packed audio are made to be joined. Everything else is FFmpeg's.
 */
import { copyFile, link } from "node:fs/promises";
import { asDownloadError, failure } from "../../core/errors.ts";
import type { Container, MediaInfo, MediaTrackFile } from "../../core/media-tool.ts";
import type { Media, MediaChoice, TrackContainer, TrackKind } from "../../core/resolved.ts";
import type { Run } from "../run.ts";
import type { Beside } from "./beside.ts";
import { dressOf } from "./dress.ts";
import { threeLetters } from "./language.ts";
import { DEMUXER } from "./prove.ts";
import { embedded, type MadeSubtitle, makeSubtitle } from "./subtitles.ts";
import type { FetchedTrack } from "./tracks.ts";

/** What joined segments are called, where nothing is made of them. */
export const NATURAL: Readonly<Record<TrackContainer, string>> = {
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

/** Endings that the media tool can write, and whether they hold audio only. */
const CONTAINERS: Readonly<Record<Container, "all" | "audio">> = {
  mp4: "all",
  mkv: "all",
  webm: "all",
  mov: "all",
  ts: "all",
  m4a: "audio",
  mka: "audio",
  mp3: "audio",
  aac: "audio",
  opus: "audio",
  ogg: "audio",
  flac: "audio",
  wav: "audio",
};

/** What holds no picture. */
const SOUND_ONLY: ReadonlySet<string> = new Set<Container>(["m4a", "mka", "mp3", "aac", "opus", "ogg", "flac", "wav"]);

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
  /** What it turned out to be: not every container can hold every track. */
  readonly ext: string;
  /** Subtitles that lie beside it. */
  readonly besides: readonly Beside[];
}

/** What a file is made of. */
export interface MakeInit {
  readonly media: Media;
  readonly choice: MediaChoice;
  readonly fetched: readonly FetchedTrack[];
  /** What is in the tracks, subtitles left out; empty without FFmpeg. */
  readonly infos: readonly MediaInfo[];
  /** Where the made file may lie; never the final name. */
  readonly base: string;
}

/**
 * Whether FFmpeg is there, and if not, whether the choice can do without it: a single track can.
 *
 * @throws SystemResourceError FFMPEG_MISSING before anything is fetched; ResourceError MEDIA_LOCKED
 */
export async function feasible(run: Run, choice: MediaChoice): Promise<boolean> {
  const locked = choice.formats.find((format) => format.locked !== undefined);
  if (locked)
    throw failure("MEDIA_LOCKED", `format ${locked.id} is locked: ${locked.locked}`, {
      metadata: { format: locked.id },
    });
  try {
    if (!run.engine.media) throw failure("FFMPEG_MISSING", "there is none here");
    await run.engine.media.version(run.signal);
    return true;
  } catch (error) {
    run.signal.throwIfAborted();
    const embeds = choice.subtitles.length > 0 && run.session.options.subtitles?.embed;
    if (choice.formats.length === 1 && !choice.transcode && !embeds && !takesSound(choice)) return false;
    const failed = asDownloadError(error);
    const why = choice.transcode || takesSound(choice) ? `to make ${choice.ext} of it` : "to put its tracks together";
    throw failure(failed.code, `FFmpeg is needed ${why}: ${failed.message}`, { cause: error });
  }
}

/** True if only the sound is wanted of what has a picture. */
function takesSound({ formats: [{ vcodec }], ext }: MediaChoice): boolean {
  return vcodec !== undefined && vcodec !== "none" && SOUND_ONLY.has(ext);
}

/** Makes the file. The tracks stay. @throws DownloadError FFMPEG_FAILED, MEDIA_UNFIT, MEDIA_INVALID; the signal's reason */
export async function makeFile(run: Run, init: MakeInit, tool: boolean): Promise<Made> {
  const { files } = run.engine;
  const { choice, fetched, base } = init;
  const path = `${base}.made`;
  // Of an attempt that died over it.
  await files.remove(path);
  const words = fetched.slice(choice.formats.length);
  const subtitles: MadeSubtitle[] = [];
  for (const [at, each] of words.entries()) {
    const subtitle = choice.subtitles[at];
    if (subtitle) subtitles.push(await makeSubtitle(run, subtitle, each, `${base}.s${at}`));
  }
  const embeds = run.session.options.subtitles?.embed === true;
  const ext = tool ? await withTool(run, init, path, embeds ? subtitles : []) : choice.ext;
  if (!tool) await joined(fetched, path);
  const found = await files.stat(path);
  if (!found) throw failure("INTERNAL", `${path} was made and is not there`);
  const besides = embeds ? [] : subtitles.map((made, at) => ({ path: made.path, ending: endingOf(subtitles, at) }));
  return { path, size: found.size, ext, besides };
}

/** "en.vtt"; where a language is there twice, with a number. */
function endingOf(subtitles: readonly MadeSubtitle[], at: number): string {
  const word = ({ subtitle: { language } }: MadeSubtitle): string => language.replace(/[^\w-]/g, "_") || "und";
  const own = subtitles[at];
  if (!own) return "vtt";
  const before = subtitles.slice(0, at).filter((each) => word(each) === word(own)).length;
  return `${word(own)}${before > 0 ? `.${before + 1}` : ""}.${own.subtitle.ext}`;
}

async function joined([track]: readonly FetchedTrack[], path: string): Promise<void> {
  if (!track) throw failure("INTERNAL", "media without a track");
  try {
    // The same bytes under a second name: the track stays until the file is in place.
    await link(track.path, path);
  } catch {
    // A file system without links.
    await copyFile(track.path, path);
  }
}

/** @returns the ending of what was made */
async function withTool(
  run: Run,
  { media, choice, fetched, infos }: MakeInit,
  path: string,
  subtitles: readonly MadeSubtitle[],
): Promise<string> {
  const { engine, signal } = run;
  const tracks = fetched.slice(0, choice.formats.length).map(({ track, path: from }): MediaTrackFile => {
    const format = DEMUXER[track.container];
    const take = TAKEN[track.kind];
    const language = threeLetters(track.language);
    return { path: from, ...(format && { format }), ...(take && { take }), ...(language && { language }) };
  });
  const [first, ...others] = tracks;
  if (!first) throw failure("INTERNAL", "media without a track");
  const { transcode } = choice;
  if (!engine.media) throw failure("FFMPEG_MISSING", "FFmpeg is gone");
  const wanted = Object.hasOwn(CONTAINERS, choice.ext) ? (choice.ext as Container) : undefined;
  const container = transcode && wanted ? wanted : engine.media.containerFor(taken(infos, wanted), wanted);
  if (container !== wanted)
    run.logger.info({ wanted: choice.ext, container }, "another container: the wanted one cannot hold it");
  const result = await engine.media.make({
    tracks: [first, ...others],
    target: path,
    container,
    replace: true,
    ...(transcode && {
      audio: { codec: transcode.codec, ...(transcode.kbps !== undefined && { bitRate: transcode.kbps * 1000 }) },
    }),
    ...(await dressOf(run, media)),
    ...(subtitles.length > 0 && { subtitles: subtitles.map(embedded) }),
    signal,
  });
  for (const note of result.notes) run.logger.info({ note }, "made with a reservation");
  return container;
}

/** Of tracks that go into a container for audio only their audio counts. */
function taken(infos: readonly MediaInfo[], wanted: Container | undefined): readonly MediaInfo[] {
  if (wanted === undefined || CONTAINERS[wanted] !== "audio") return infos;
  return infos.map((info) => ({ ...info, streams: info.streams.filter(({ kind }) => kind === "audio") }));
}
