/**
 * Media on its way: choose → claim → fetch the tracks → make the file. What is chosen decides whether anything has to be made
 * at all: a format that is one plain file goes the usual way, with ranges, mirrors and repair.
 */
import { dirname } from "node:path";
import type { Plan } from "../../core/plan.ts";
import type { Expansion, Media, MediaChoice } from "../../core/resolved.ts";
import type { ResourceInfo, TrackState } from "../../core/session.ts";
import { chooseFormats } from "../../resolve/choose.ts";
import { fillTemplate } from "../../resolve/template.ts";
import { MadeFile } from "../made-file.ts";
import type { Run } from "../run.ts";
import { claimTarget, partPath, requireSpace } from "../target.ts";
import { feasible, makeFile } from "./make.ts";
import { fetchTracks, trackStates } from "./tracks.ts";

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
  const { options } = run.session;
  const choices = chooseFormats(media, options, run.settings.formats);
  if (choices.length > 1) return sideBySide(run, media, choices);
  const { choice, tool } = await feasible(run, choices[0]);
  const filename = fillTemplate(options.template, media.details, choice);
  await run.update({ metadata: { ...run.session.metadata, title: media.details.title, ...choice.had } });
  const [{ file }] = choice.formats;
  // Nothing to be done to it.
  if (file && choice.formats.length === 1 && !choice.transcode && choice.subtitles.length === 0)
    return { candidates: file, filename, final: true };
  return await bring(run, { media, choice, tool, filename });
}

/** What is to be brought. */
interface Wanted {
  readonly media: Media;
  readonly choice: MediaChoice;
  /** FFmpeg is there. */
  readonly tool: boolean;
  readonly filename: string;
}

async function bring(run: Run, { media, choice, tool, filename }: Wanted): Promise<MadeFile> {
  const { session, settings, signal } = run;
  await run.update({ stage: "plan" });
  const tracks = await Promise.all([...choice.formats, ...choice.subtitles].map((each) => each.track(signal)));
  const resource: ResourceInfo = { finalUrl: media.namedBy ?? media.details.webpageUrl, ranges: false };
  const place = { candidates: [{ url: resource.finalUrl, headers: [] }], filename } as const;
  await using held = new AsyncDisposableStack();
  const claim = held.use(await claimTarget(run, resource, place));
  const base = session.part?.tracks ? session.part.path : partPath(claim.path, session.id);
  const states = trackStates(run, tracks, base);
  await leaveOthers(run, states);
  const epoch = Math.max(...states.map((state) => state.epoch)) + 1;
  const part = { path: base, chunkSize: settings.chunkSize, epoch, tracks: states };
  await run.update({ stage: "fetch", resource, target: claim.path, part, manifestRoot: undefined }, { sync: true });
  const bytes = choice.formats.reduce((sum, each) => sum + (each.fileSize ?? each.fileSizeApprox ?? 0), 0);
  await requireSpace(run, dirname(base), bytes * COPIES);
  const fetched = await fetchTracks(run, tracks, states);
  await run.update({ stage: "process" });
  const made = await makeFile(run, { media, choice, fetched, base }, tool);
  const finished = { ...resource, size: made.size };
  const file = await MadeFile.of(run, {
    path: made.path,
    claim,
    epoch,
    resource: finished,
    patch: {
      resource: finished,
      ...(made.source && { sourceManifest: made.source }),
      part: { ...part, path: made.path, sources: [resource.finalUrl] },
    },
  });
  held.move();
  return file;
}

/** Tracks of an earlier attempt that are of no use for this one go, files and records. */
async function leaveOthers(run: Run, states: readonly TrackState[]): Promise<void> {
  const { store, files } = run.engine;
  const { id, part } = run.session;
  for (const { path, epoch } of part?.tracks ?? []) {
    if (states.some((state) => state.epoch === epoch)) continue;
    await files.remove(path);
    await store.dropChunks(id, epoch);
  }
}

/** Several formats of one URL: each is a session of its own, told apart by what it asks for. */
function sideBySide(run: Run, media: Media, choices: readonly MediaChoice[]): Expansion {
  return {
    kind: "expansion",
    title: media.details.title,
    namedBy: media.namedBy ?? run.session.url,
    items: choices.map(({ formats }) => ({
      url: run.session.url,
      options: { format: formats.map(({ id }) => id).join("+") },
    })),
  };
}

/** What the tracks were collected in is of no use any more: the file is in place. */
export async function removeTracks(run: Run): Promise<void> {
  const { store, files } = run.engine;
  const { id, part } = run.session;
  for (const { path, epoch } of part?.tracks ?? []) {
    await files.remove(path);
    await store.dropChunks(id, epoch);
  }
}
