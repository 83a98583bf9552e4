/**
 * Where results go. A result grows in a hidden folder beside its place, on the same file system, and gets its name when the
 * caller has proved it: whole, synced, never over something that was not meant. The input is only ever read, and where it is
 * to be replaced it stays whole until that moment.
 */
import { chmod, chown, link, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { realTarget } from "../../shared/real-target.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { MediaMade, MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { assertAllThere, assertWholeSound, withoutLoudness } from "./completeness.ts";
import { makeDraftFolder } from "./draft-folder.ts";
import { assertWholeFrames } from "./flac.ts";
import { endingFor, formatFor, formatLike, type OutputFormat } from "./format.ts";
import { type AudioSource, identityOf } from "./source.ts";
import type { OutputOptions } from "./types.ts";

/** Bytes that a name may have on nearly every file system. */
const LONGEST_NAME = 255;

/** Where a result goes, and how it is written. */
export interface OutputPlan extends OutputFormat {
  /** Absolute. */
  readonly target: string;
  readonly inPlace: boolean;
  readonly replace: boolean;
  /** The result takes the input's place, here or elsewhere: nothing of it may be lost. */
  readonly whole: boolean;
}

/**
 * Decides where a result goes, before anything is made.
 *
 * @param what - what is done to it, for the name: "normalized"
 * @throws DownloadError INVALID_ARGUMENT if the output is the input (by another name, too) or its ending says nothing;
 *   FileSystemError TARGET_EXISTS; ResourceError MEDIA_UNFIT if the input is to be replaced and its format cannot be written,
 *   or not with all that is in it
 */
export async function planOutput(source: AudioSource, what: string, options: OutputOptions): Promise<OutputPlan> {
  const { output, inPlace = false, overwrite = false, whole = inPlace } = options;
  if (output !== undefined && inPlace) throw failure("INVALID_ARGUMENT", "give either an output or in-place, not both");
  if (inPlace) {
    const format = formatLike(source);
    assertNothingLost(source, format);
    if (!format.kept)
      throw failure(
        "MEDIA_UNFIT",
        `${source.path} cannot be replaced: ${source.stream.codec} in ${source.info.format}${source.hasVideo ? " beside moving pictures" : ""} cannot be written; name another output`,
      );
    // A link stays a link: what it leads to is replaced.
    const target = (await realTarget(source.path)) ?? source.path;
    const { nlink } = await stat(target);
    const notes = nlink > 1 ? ["The file had other names (hard links): they keep the old content."] : [];
    return { ...format, notes: [...format.notes, ...notes], target, inPlace, replace: true, whole };
  }
  const format = output === undefined ? formatLike(source) : formatFor(output, source);
  if (whole) assertNothingLost(source, format);
  const target = output === undefined ? siblingOf(source, what, format) : resolve(output);
  const there = await stat(target).catch(() => undefined);
  if (there?.dev === source.identity.dev && there.ino === source.identity.ino)
    throw failure("INVALID_ARGUMENT", `the output ${target} is the input itself; ask for it to be replaced in place`);
  if (there?.isDirectory()) throw failure("INVALID_ARGUMENT", `the output ${target} is a folder`);
  if (there !== undefined && !overwrite)
    throw failure("TARGET_EXISTS", `${target} is there already; it was not replaced`, { metadata: { path: target } });
  return { ...format, target, inPlace, replace: overwrite, whole };
}

/** @throws ResourceError MEDIA_UNFIT */
function assertNothingLost({ path }: AudioSource, { container, lost }: OutputFormat): void {
  if (lost.length === 0) return;
  throw failure(
    "MEDIA_UNFIT",
    `${path} cannot be replaced: ${container} cannot hold its ${lost.join(", ")}; name another output`,
    { metadata: { path } },
  );
}

function siblingOf(source: AudioSource, what: string, { container }: OutputFormat): string {
  const end = `.${what}.${endingFor(container, source)}`;
  const name = basename(source.path, extname(source.path));
  // Cut between characters, not inside of one.
  let stem = name;
  while (Buffer.byteLength(stem) + Buffer.byteLength(end) > LONGEST_NAME) stem = [...stem].slice(0, -1).join("");
  return join(dirname(source.path), `${stem}${end}`);
}

/** A result that is being made. Disposed of, everything of it that was not kept is gone. */
export interface Draft extends AsyncDisposable {
  /** A path in the hidden folder, another one with each call. */
  file(ending?: string): string;
  /** Gives a finished file of the hidden folder its name. @throws FileSystemError TARGET_EXISTS, RESOURCE_CHANGED, what files throw */
  keep(path: string): Promise<void>;
}

/**
 * Begins a result.
 * @throws ResourceError MEDIA_INVALID if the source is to be replaced and is a damaged FLAC file; what files throw: the folder is
 *   missing, cannot be written …
 */
export async function beginDraft(source: AudioSource, plan: OutputPlan, signal?: AbortSignal): Promise<Draft> {
  if (plan.whole && source.info.format === "flac") await assertWholeFrames(source.path, { signal });
  const parent = dirname(plan.target);
  let count = 0;
  let folder: string;
  try {
    folder = await makeDraftFolder(parent);
  } catch (error) {
    throw asDownloadError(error);
  }
  return {
    file: (ending = endingFor(plan.container, source)) => join(folder, `${++count}.${ending}`),
    async keep(path) {
      try {
        if (plan.inPlace) await likeOriginal(path, source, plan.target);
        await give(path, plan);
        await sync(parent);
      } catch (error) {
        throw asDownloadError(error);
      }
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Rights and owner of the file that is replaced. @throws DownloadError RESOURCE_CHANGED if it is another one by now */
async function likeOriginal(path: string, source: AudioSource, target: string): Promise<void> {
  const now = await identityOf(source.path);
  const { identity } = source;
  if (
    now.ino !== identity.ino ||
    now.dev !== identity.dev ||
    now.size !== identity.size ||
    now.mtimeMs !== identity.mtimeMs
  )
    throw failure("RESOURCE_CHANGED", `${target} was changed by somebody else in the meantime; it was not replaced`);
  const { mode, uid, gid } = await stat(target);
  const made = await stat(path);
  // Only root may give files away; for others the file is theirs already, or was in a group that they share.
  if (made.uid !== uid || made.gid !== gid) await chown(path, uid, gid).catch(() => undefined);
  await chmod(path, mode & 0o7777);
}

/** A link never replaces what is there. On file systems without links what is there was looked for before. */
async function give(path: string, { target, replace }: OutputPlan): Promise<void> {
  if (replace) return rename(path, target);
  try {
    await link(path, target);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"].includes(code)) throw error;
    if ((await stat(target).catch(() => undefined)) !== undefined)
      throw failure("TARGET_EXISTS", `${target} is there already; it was not replaced`, { metadata: { path: target } });
    await rename(path, target);
  }
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A file to write. */
export interface WriteJob {
  readonly source: AudioSource;
  readonly plan: Omit<OutputPlan, "target" | "inPlace" | "replace">;
  /** Of a {@link Draft}. */
  readonly path: string;
  /** Audio that takes the place of the source's; absent: the source's own. */
  readonly samples?: { readonly path: string; readonly format?: string };
  /** A filter chain for the audio; whoever makes it escapes what is in it. */
  readonly filters?: string;
  /** A chain behind the last rounding of the samples, that looks at them and changes nothing. */
  readonly meter?: string;
  /** The filters may change the length of the sound. */
  readonly anyLength?: boolean;
  /** Default: those of the source. */
  readonly channels?: number;
  /** Tags that are set; "" takes one away. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MediaProgress) => void;
  /** Lines of FFmpeg's log at its level "info". */
  readonly onLog?: (line: string) => void;
}

/**
 * Writes a file with the source's tags, chapters, cover, pictures and subtitles, and its audio encoded as planned. Tags that
 * said how loud the source was are not taken along.
 * @throws as `MediaTool.make`; ResourceError MEDIA_INVALID if part of the source is missing; MEDIA_UNFIT if it is to be replaced
 *   and the result lacks a picture or a track
 */
export async function write(tool: Pick<MediaTool, "make">, job: WriteJob): Promise<MediaMade> {
  const { source, plan, samples, signal, onProgress, onLog } = job;
  const chain = [priming(source, plan), job.filters, rounding(plan), job.meter]
    .filter((part) => part !== undefined)
    .join(",");
  const made = await tool.make({
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
    ...(onLog !== undefined && { onLog, logLevel: "info" as const }),
    tracks:
      samples === undefined
        ? [{ path: source.path }]
        : [
            { path: source.path, take: ["video", "subtitle"] },
            { ...samples, take: ["audio"] },
          ],
    target: job.path,
    container: plan.container,
    audio: {
      ...plan.encoding,
      ...(job.channels !== undefined && { channels: job.channels }),
      ...(chain !== "" && { filters: chain }),
    },
    tags: { ...withoutLoudness(source), ...job.tags },
  });
  const shorter = job.anyLength ? [] : assertWholeSound(source, made.info.durationSeconds, plan.whole);
  return { ...made, notes: [...made.notes, ...shorter, ...assertAllThere(source, made.info, plan.whole)] };
}

/** Raw AAC has no way to say how many samples only got its encoder going: without those of the source nothing moves. */
function priming({ info }: AudioSource, { container }: OutputFormat): string | undefined {
  return container === "aac" && info.format === "aac" ? "atrim=start_sample=1024,asetpts=PTS-STARTPTS" : undefined;
}

/** Rounding to 16 bits is dithered (TPDF), so that what is lost becomes noise and not distortion. */
function rounding({ encoding }: OutputFormat): string | undefined {
  return encoding.depth === 16 ? "aresample=osf=s16:dither_method=triangular" : undefined;
}
