/**
 * Media on its way: choose → claim → fetch the tracks → make the file. What is chosen decides whether anything has to be made
 * at all: a format that is one plain file goes the usual way, with ranges, mirrors and repair.
 */
import { hash } from "node:crypto";
import { dirname } from "node:path";
import { failure } from "../../core/errors.ts";
import type { MediaInfo } from "../../core/media-tool.ts";
import type { Plan } from "../../core/plan.ts";
import type { Expansion, Media, MediaChoice, MediaDetails } from "../../core/resolved.ts";
import type { ResourceInfo, Session, TrackState } from "../../core/session.ts";
import { chooseFormats } from "../../resolve/choose.ts";
import { quoteId } from "../../resolve/format-selector.ts";
import { fillTemplate } from "../../resolve/template.ts";
import { MadeFile } from "../made-file.ts";
import { askHooks } from "../plan.ts";
import type { Run } from "../run.ts";
import { claimTarget, partPath, reclaimWithEnding, requireSpace } from "../target.ts";
import { canMerge, feasible, makeFile, NATURAL } from "./make.ts";
import { proveDigest, proveTracks } from "./prove.ts";
import { basePath, removeRemains } from "./remains.ts";
import { type SplitTrack, split } from "./split.ts";
import { refuseUnfit } from "./subtitles.ts";
import { type FetchedTrack, fetchTracks, trackStates } from "./tracks.ts";

/** Tracks, and what is made of them, are on the disk at the same time. */
const COPIES = 2;

/**
 * Brings media as far as a file that can be put in place.
 *
 * @returns the made file; a plan, if what was chosen is one file that needs nothing done to it; an expansion, if several
 *   formats were chosen beside each other
 * @throws DownloadError FORMAT_UNAVAILABLE, FORMAT_INVALID, MEDIA_LOCKED, TEMPLATE_INVALID, FFMPEG_MISSING …
 */
export async function bringMedia(run: Run, media: Media): Promise<MadeFile | Plan | Expansion> {
  const { options, metadata } = run.session;
  const details = detailsOf(run.session, media);
  const choices = chooseFormats(media, options, run.settings.formats, await canMerge(run));
  if (choices.length > 1) return sideBySide(run, media, choices);
  const [choice] = choices;
  const tool = await feasible(run, choice);
  if (options.subtitles?.embed) refuseUnfit(choice.subtitles);
  const filename = fillTemplate(options.template, details, choice);
  for (const note of choice.notes ?? []) run.logger.info({ note }, "not all is as it was asked for");
  // Until now it says what was asked for.
  const { quality: _asked, ...known } = metadata;
  await run.update({ metadata: { ...known, title: details.title, ...choice.had } });
  const [{ file, ext }] = choice.formats;
  const plain = choice.formats.length === 1 && !choice.transcode && choice.ext === ext;
  // Nothing to be done to it.
  if (file && plain && choice.subtitles.length === 0)
    return { candidates: file, filename, nested: true, final: true, noPage: true };
  return await bring(run, { media: { ...media, details }, choice, tool });
}

/** What a list told of it counts where the media itself does not say. */
function detailsOf({ options: { about } }: Session, { details }: Media): MediaDetails {
  if (!about) return details;
  const { type: _type, fileSizeApprox: _size, playlist, ...told } = about;
  return { ...told, ...details, ...(playlist && { playlist }) };
}

/** What is to be brought. */
interface Wanted {
  readonly media: Media;
  readonly choice: MediaChoice;
  /** FFmpeg is there. */
  readonly tool: boolean;
}

async function bring(run: Run, wanted: Wanted): Promise<MadeFile> {
  const { media, tool } = wanted;
  const { session, settings, signal } = run;
  const { checksum, size } = session.options;
  const [format, ...more] = wanted.choice.formats;
  // Of one file that is made into another they are meant for what is fetched.
  if ((checksum || size !== undefined) && (!format.file || more.length > 0))
    throw failure(
      "INVALID_ARGUMENT",
      `${checksum ? "checksum" : "size"}: the file is made here of ${media.live ? "a recording" : "tracks"}; nobody can know it beforehand`,
    );
  await run.update({ stage: "plan" });
  const { formats, subtitles } = wanted.choice;
  const opened = await Promise.all([...formats, ...subtitles].map((each) => each.track(signal)));
  const ids = [...formats.map(({ id }) => id), ...subtitles.map(({ name = "", ext }) => `${name}.${ext}`)];
  const tracks = await Promise.all(opened.map((track, at) => split(run, track, ids[at] ?? "")));
  const choice = tool ? wanted.choice : naturally(wanted.choice, tracks);
  const filename = fillTemplate(session.options.template, media.details, choice);
  const resource: ResourceInfo = { finalUrl: media.namedBy ?? media.details.webpageUrl, ranges: false };
  const place = { candidates: [{ url: resource.finalUrl, headers: [] }], filename, nested: true } as const;
  await askHooks(run, resource, place);
  await using held = new AsyncDisposableStack();
  let claim = held.use(await claimTarget(run, resource, place));
  const base = session.part?.tracks
    ? basePath(session.part.path, session.id)
    : (session.part?.path ?? partPath(claim.path, session.id));
  const states = trackStates(run, tracks, base);
  await leaveOthers(run, states);
  const epoch = Math.max(...states.map((state) => state.epoch)) + 1;
  const part = { path: base, chunkSize: settings.chunkSize, epoch, tracks: states };
  await run.update({ stage: "fetch", resource, target: claim.path, part, manifestRoot: undefined }, { sync: true });
  const bytes = choice.formats.reduce((sum, each) => sum + (each.fileSize ?? each.fileSizeApprox ?? 0), 0);
  await requireSpace(run, dirname(base), Math.max(0, bytes * COPIES - session.progress.downloadedBytes));
  const fetched = await fetchTracks(run, tracks, states);
  const count = fetched.reduce((sum, { lengths }) => sum + lengths.length, 0);
  const progress = { downloadedBytes: sizeOf(fetched), segments: { done: count, total: count } };
  await run.update({ stage: "verify", progress });
  await proveDigest(run, fetched[0]);
  const infos = await proveTracks(run, fetched, tool);
  const quality = choice.had.quality ?? qualityOf(infos);
  const metadata = { ...run.session.metadata, ...(quality !== undefined && { quality }) };
  await run.update({ stage: "process", metadata });
  await requireSpace(run, dirname(base), tool ? sizeOf(fetched) : 0);
  const made = await makeFile(run, { media, choice, fetched, infos, base }, tool);
  if (made.ext !== choice.ext) claim = held.use(await reclaimWithEnding(run, claim, made.ext));
  const unverified = fetched.some(({ lengthUnverified }) => lengthUnverified);
  const finished = { ...resource, size: made.size, ...(unverified && { lengthUnverified: true }) };
  const file = await MadeFile.of(run, {
    path: made.path,
    claim,
    epoch,
    resource: finished,
    besides: made.besides,
    patch: {
      resource: finished,
      sourceManifest: sourceOf(run, fetched),
      part: { ...part, path: made.path, sources: [resource.finalUrl] },
    },
  });
  held.move();
  return file;
}

/** Without FFmpeg the joined segments are the file, under the name that they have by themselves. */
function naturally(choice: MediaChoice, [first]: readonly SplitTrack[]): MediaChoice {
  const ext = NATURAL[first?.track.container ?? "other"];
  return { ...choice, ext: ext === "mp4" && first?.track.kind === "audio" ? "m4a" : ext };
}

/** What nobody told beforehand shows in what came: the picture's height, or the sound's rate. */
function qualityOf(infos: readonly MediaInfo[]): string | undefined {
  const streams = infos.flatMap((info) => info.streams.map((stream) => ({ bitRate: info.bitRate, ...stream })));
  const picture = streams.find(({ kind, attachedPicture }) => kind === "video" && !attachedPicture);
  if (picture?.height !== undefined) return `${picture.height}p`;
  const sound = streams.find(({ kind }) => kind === "audio");
  return sound?.bitRate === undefined ? undefined : `${Math.round(sound.bitRate / 1000)}k`;
}

const sizeOf = (fetched: readonly FetchedTrack[]): number => fetched.reduce((sum, { size }) => sum + size, 0);

/** The bytes as they came: the tracks one behind the other, each segment a chunk. Never the file's own manifest. */
function sourceOf({ settings }: Run, fetched: readonly FetchedTrack[]): NonNullable<Session["sourceManifest"]> {
  const root = hash("sha256", fetched.map(({ digest }) => digest).join("\n"), "hex");
  return { version: 1, size: sizeOf(fetched), chunkSize: settings.chunkSize, root };
}

/** Tracks of an earlier attempt that are of no use for this one go, files and records. */
async function leaveOthers(run: Run, states: readonly TrackState[]): Promise<void> {
  const { store, files } = run.engine;
  const { id, part } = run.session;
  if (!part || part.tracks === states) return;
  // A plain file's chunks, or other tracks: nothing of it is gone on with.
  await removeRemains(files, run.session);
  if (!part.tracks) await files.remove(part.path);
  await store.dropChunks(id);
}

/** Several formats of one URL: each is a session of its own, told apart by what it asks for. */
function sideBySide(run: Run, media: Media, choices: readonly MediaChoice[]): Expansion {
  return {
    kind: "expansion",
    title: media.details.title,
    // The same URL once more: whoever named it names it again.
    namedBy: run.session.options.namedBy ?? run.session.url,
    items: choices.map(({ formats }) => ({
      url: run.session.url,
      options: { format: formats.map(({ id }) => quoteId(id)).join("+"), media: true },
    })),
  };
}

/** What the tracks were collected in is of no use any more: the file is in place. */
export async function removeTracks(run: Run): Promise<void> {
  const { store, files } = run.engine;
  const { id, part } = run.session;
  await removeRemains(files, run.session);
  for (const { epoch } of part?.tracks ?? []) await store.dropChunks(id, epoch);
}
