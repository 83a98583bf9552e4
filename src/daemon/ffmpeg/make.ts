/**
 * Makes one file of tracks: what the media and audio issues call remux, merge, transcode, tag and embed is one run of
 * FFmpeg with other options. The result is read back before it gets its name: every track is in it, in its whole length.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failure } from "../core/errors.ts";
import type { Cover, MediaInfo, MediaJob, MediaMade, MediaSource } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { traitsOf } from "./containers.ts";
import { chapterComments, mergedTags, metadataFile, type PictureKind, pictureBlock, pictureKind } from "./dress.ts";
import { fileUrl } from "./escape.ts";
import { type Layout, layOut, type ProbedTrack } from "./layout.ts";

/** Seconds, and share, by which the length of a result may differ: frames and priming at both ends. */
const TOLERANCE = { seconds: 1, share: 0.01 };

/** A cover that is ready to be put in. */
interface Picture {
  readonly bytes: Uint8Array;
  readonly kind: PictureKind;
}

/** As in `MediaTool.make`. */
export async function make(tool: Pick<MediaTool, "run" | "probe" | "cover">, job: MediaJob): Promise<MediaMade> {
  const { signal, container, target } = job;
  const limited = signal === undefined ? {} : { signal };
  const tracks: ProbedTrack[] = [];
  for (const file of job.tracks)
    tracks.push({
      file,
      info: file.info ?? (await tool.probe(file.path, { ...limited, ...(file.format && { format: file.format }) })),
    });
  const layout = layOut(job, tracks);
  const traits = traitsOf(container);
  const notes = [...layout.notes];
  const [first] = tracks;
  if (first === undefined) throw failure("INVALID_ARGUMENT", "there is no track to make a file of");
  const picture = await pictureFor(tool, job, first.info, notes);
  const chapters = job.chapters ?? first.info.chapters;
  if (traits.chapters === undefined && chapters.length > 0) notes.push(`${container} holds no chapters`);
  const durationSeconds = lengthOf(tracks);
  const folder = await mkdtemp(join(tmpdir(), "snatch-media-"));
  try {
    const dress = await dressed({ ...job, chapters }, tracks, layout, picture, folder);
    let info: MediaInfo | undefined;
    await tool.run({
      ...limited,
      ...(job.timeoutMs !== undefined && { timeoutMs: job.timeoutMs }),
      ...(job.onProgress !== undefined && { onProgress: job.onProgress }),
      ...(job.onLog !== undefined && { onLog: job.onLog }),
      ...(job.logLevel !== undefined && { logLevel: job.logLevel }),
      ...(durationSeconds !== undefined && { durationSeconds }),
      inputs: [...inputsOf(job), ...dress.inputs],
      output: {
        path: target,
        format: traits.muxer,
        ...(job.replace !== undefined && { replace: job.replace }),
        options: [...layout.options, ...dress.options, ...traits.options, "-max_muxing_queue_size", "4096"],
        async prove(path) {
          info = await tool.probe(path, limited);
          prove(info, layout, job.audio?.filters === undefined ? durationSeconds : undefined);
          await job.prove?.(path);
        },
      },
    });
    if (info === undefined) throw failure("INTERNAL", `${target} was not looked at`);
    return { path: target, container, info, ...(layout.bitRate && { audioBitRate: layout.bitRate }), notes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function inputsOf(job: MediaJob): MediaSource[] {
  return [...job.tracks, ...(job.subtitles ?? [])].map(({ path, format }) => ({
    path,
    ...(format !== undefined && { format }),
  }));
}

/** The longest of the tracks. */
function lengthOf(tracks: readonly ProbedTrack[]): number | undefined {
  const lengths = tracks.flatMap(({ info }) => info.durationSeconds ?? []);
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}

/** The cover that goes in: the one given, else the source's own. */
async function pictureFor(
  tool: Pick<MediaTool, "run" | "cover">,
  job: MediaJob,
  source: MediaInfo,
  notes: string[],
): Promise<Picture | undefined> {
  const traits = traitsOf(job.container);
  if (job.cover === null) return undefined;
  const own = source.streams.some(({ attachedPicture }) => attachedPicture);
  const cover = job.cover ?? (own ? await tool.cover(job.tracks[0].path, job.signal) : undefined);
  if (cover === undefined) return undefined;
  if (traits.cover === undefined) {
    notes.push(`${job.container} holds no cover`);
    return undefined;
  }
  const { bytes } = cover;
  const kind = pictureKind(bytes);
  if (kind === undefined) {
    notes.push("the cover is neither JPEG, PNG nor WebP and was left out");
    return undefined;
  }
  if (kind.mime !== "image/webp") return { bytes, kind };
  const jpeg = await asJpeg(tool, cover, kind, job.signal);
  const jpegKind = pictureKind(jpeg);
  return jpegKind && { bytes: jpeg, kind: jpegKind };
}

/** Players know JPEG everywhere. */
async function asJpeg(tool: Pick<MediaTool, "run">, { bytes }: Cover, { demuxer }: PictureKind, signal?: AbortSignal) {
  const pieces: Uint8Array[] = [];
  const source = async function* () {
    yield bytes;
  };
  await tool.run({
    ...(signal !== undefined && { signal }),
    inputs: [{ bytes: source(), format: demuxer }],
    output: {
      sink: (piece) => void pieces.push(piece),
      format: "image2pipe",
      options: ["-frames:v", "1", "-c:v", "mjpeg", "-q:v", "2"],
    },
  });
  return Buffer.concat(pieces);
}

/** Inputs and options for tags, chapters and cover. Files for them go into `folder`. */
async function dressed(
  job: MediaJob,
  tracks: readonly ProbedTrack[],
  layout: Layout,
  picture: Picture | undefined,
  folder: string,
): Promise<{ readonly inputs: readonly MediaSource[]; readonly options: readonly string[] }> {
  const traits = traitsOf(job.container);
  const tags = new Map(mergedTags(tracks[0]?.info.tags ?? {}, job.tags));
  if (picture !== undefined && traits.cover === "comment")
    tags.set("metadata_block_picture", pictureBlock(picture.bytes, picture.kind));
  const { chapters: wanted = [] } = job;
  if (traits.chapters === "comment") for (const [name, value] of chapterComments(wanted)) tags.set(name, value);
  const words = join(folder, "words.ffmetadata");
  await writeFile(words, metadataFile(tags, wanted));
  const inputs: MediaSource[] = [{ path: words, format: "ffmetadata" }];
  const first = job.tracks.length + (job.subtitles?.length ?? 0);
  const chapters = traits.chapters === "own" && wanted.length > 0 ? first : -1;
  const options = ["-map_metadata", traits.tags ? String(first) : "-1", "-map_chapters", String(chapters)];
  // What Ogg has of tags it has in its one stream.
  if (traits.cover === "comment") options.push("-map_metadata:s:a:0", `${first}:g`);
  if (picture === undefined || traits.cover === undefined || traits.cover === "comment") return { inputs, options };
  const file = join(folder, `cover.${picture.kind.ending}`);
  await writeFile(file, picture.bytes);
  if (traits.cover === "attachment") {
    const place = `s:t:${layout.attachments}`;
    const described = [`mimetype=${picture.kind.mime}`, `filename=cover.${picture.kind.ending}`];
    options.push("-attach", fileUrl(file), ...described.flatMap((entry) => [`-metadata:${place}`, entry]));
  } else {
    const place = `v:${layout.expected.video}`;
    inputs.push({ path: file, format: picture.kind.demuxer });
    options.push("-map", `${first + 1}:v:0`, `-c:${place}`, "copy", `-disposition:${place}`, "attached_pic");
    options.push(`-metadata:s:${place}`, "title=Cover", `-metadata:s:${place}`, "comment=Cover (front)");
  }
  return { inputs, options };
}

/** @throws DownloadError FFMPEG_FAILED if something is missing in the result: FFmpeg ends with 0 on damaged input */
function prove(info: MediaInfo, { expected }: Layout, durationSeconds: number | undefined): void {
  for (const kind of ["audio", "video", "subtitle"] as const) {
    const found = info.streams.filter((stream) => stream.kind === kind && !stream.attachedPicture).length;
    if (found !== expected[kind])
      throw failure("FFMPEG_FAILED", `the result has ${found} ${kind} tracks in place of ${expected[kind]}`);
  }
  const { durationSeconds: length } = info;
  if (durationSeconds === undefined || length === undefined) return;
  const off = Math.abs(length - durationSeconds);
  if (off > Math.max(TOLERANCE.seconds, TOLERANCE.share * durationSeconds))
    throw failure(
      "FFMPEG_FAILED",
      `the result is ${length.toFixed(1)} s long in place of ${durationSeconds.toFixed(1)} s: the source is damaged`,
    );
}
