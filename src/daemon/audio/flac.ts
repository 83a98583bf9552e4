/**
 * Is a FLAC file whole? Its frames are walked through first, each held against its CRCs, its number and the place where
 * it should be; then all samples are decoded and held against the MD5 that the encoder left. FFmpeg alone does not tell:
 * of 60 single flipped bits it noticed 9.
 */
import { open, stat } from "node:fs/promises";
import { asDownloadError, failure } from "../core/errors.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type FrameProblem, walkFrames } from "./flac/frames.ts";
import { digestSamples, refusesDepth } from "./flac/samples-digest.ts";
import { type HeadProblem, read, readHead, type StreamInfo } from "./flac/stream-info.ts";

/** Something that is wrong. */
export interface FlacProblem {
  readonly kind: HeadProblem["kind"] | FrameProblem["kind"] | "trailing" | "md5" | "decoder";
  /** Byte of the file. */
  readonly offset: number;
  /** Of each channel, counted from 0; absent: it concerns the whole. */
  readonly sample?: number;
  readonly message: string;
}

/** Whether a file is whole. */
export interface FlacVerdict {
  /**
   * `valid`: every sample is as it was encoded. `unverifiable`: nothing is wrong with the frames, but the encoder left
   * no MD5. `unsupported`: the same, and the FFmpeg here cannot decode them.
   */
  readonly status: "valid" | "damaged" | "unverifiable" | "unsupported";
  /** The first thousand, in the order of the file. */
  readonly problems: readonly FlacProblem[];
  /** All of them. */
  readonly problemCount: number;
  /** What is odd and harmless, for people: an ID3 tag before everything. */
  readonly notes: readonly string[];
  /** Whole ones. */
  readonly frames: number;
  /** Absent if it is not even begun as FLAC. */
  readonly info?: StreamInfo;
  /** MD5 of the decoded samples; absent if they were not decoded. */
  readonly md5?: string;
  /** Bytes behind the last frame. */
  readonly trailingBytes: number;
}

/** How validation is controlled. */
export interface FlacControl {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: {
    readonly stage: "scan" | "decode";
    readonly percent: number;
    readonly etaSeconds?: number;
  }) => void;
}

/** MD5 of no samples. */
const NOTHING = "d41d8cd98f00b204e9800998ecf8427e";

/**
 * Validates a file.
 *
 * @throws FileSystemError if it cannot be read; ResourceError MEDIA_INVALID if it is no file; DownloadError FFMPEG_MISSING …; the signal's reason
 */
export async function validateFlac(tool: MediaTool, path: string, control: FlacControl = {}): Promise<FlacVerdict> {
  const { signal, onProgress } = control;
  const walked = await walk(path, control);
  if (!("info" in walked) || walked.problemCount > 0) return walked;
  const { info } = walked;
  const refusal = await refusesDepth(tool, info, signal);
  if (refusal !== undefined)
    return { ...walked, status: "unsupported", notes: [...walked.notes, `${refusal}: the frames are whole`] };
  if (info.md5 === undefined)
    return {
      ...walked,
      status: "unverifiable",
      notes: [...walked.notes, "the encoder left no MD5: the frames are whole"],
    };
  const decoded = walked.frames === 0 ? { md5: NOTHING, samples: 0 } : await decode(tool, path, info, control);
  if ("message" in decoded) return damaged(walked, { kind: "decoder", offset: 0, message: decoded.message });
  onProgress?.({ stage: "decode", percent: 100 });
  if (decoded.md5 === info.md5) return { ...walked, status: "valid", md5: decoded.md5 };
  const message = `the samples have the MD5 ${decoded.md5}; STREAMINFO says ${info.md5}`;
  return { ...damaged(walked, { kind: "md5", offset: 0, message }), md5: decoded.md5 };
}

/**
 * Before a file is replaced: what is damaged would be damaged for good, and by a file that says of itself that it is whole.
 * Bytes behind the last frame are no damage to the sound.
 * @throws ResourceError MEDIA_INVALID; FileSystemError if it cannot be read; the signal's reason
 */
export async function assertWholeFrames(path: string, control: FlacControl): Promise<void> {
  const { problems } = await walk(path, control);
  const problem = problems.find(({ kind }) => kind !== "trailing");
  if (problem === undefined) return;
  throw failure(
    "MEDIA_INVALID",
    `${path} is damaged and was not replaced: ${problem.message}. To make something of the rest, name another output`,
    { metadata: { path } },
  );
}

type Walked = FlacVerdict & { readonly info: StreamInfo };

/** Everything that can be said without decoding. */
async function walk(path: string, { signal, onProgress }: FlacControl): Promise<FlacVerdict | Walked> {
  try {
    // A FIFO would have to be waited for.
    const { size } = await stat(path).then((found) => {
      if (!found.isFile()) throw failure("MEDIA_INVALID", `${path} is not a file`, { metadata: { path } });
      return found;
    });
    await using file = await open(path, "r");
    const head = await readHead(file, size);
    const nothing = { frames: 0, trailingBytes: 0, problemCount: 0, problems: [], notes: [] };
    if ("problem" in head) return damaged({ ...nothing, status: "damaged" }, head.problem);
    const { info, audioAt, id3Bytes } = head;
    const progress = (done: number): void => onProgress?.({ stage: "scan", percent: (100 * done) / size });
    const range = { start: audioAt, size };
    const { problems, problemCount, frames, end } = await walkFrames(file, range, info, {
      signal,
      onProgress: progress,
    });
    const trailingBytes = Math.max(0, size - end);
    const notes: string[] = [];
    if (id3Bytes > 0) notes.push(`an ID3 tag of ${id3Bytes} bytes stands before the FLAC stream`);
    const walked = { problems, problemCount, notes, frames, info, trailingBytes };
    if (problemCount > 0) return { status: "damaged", ...walked };
    if (trailingBytes === 0) return { status: "valid", ...walked };
    const message = `${trailingBytes} bytes behind the last frame: ${await kindOf(file, end)}. All frames are whole`;
    return damaged({ status: "damaged", ...walked }, { kind: "trailing", offset: end, message });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw asDownloadError(error);
  }
}

async function kindOf(file: Parameters<typeof read>[0], at: number): Promise<string> {
  const magic = (await read(file, at, 8)).toString("latin1");
  if (magic.startsWith("TAG")) return "an ID3v1 tag";
  if (magic === "APETAGEX") return "an APE tag";
  return "no audio";
}

async function decode(tool: MediaTool, path: string, info: StreamInfo, { signal, onProgress }: FlacControl) {
  try {
    return await digestSamples(tool, path, info, {
      ...(signal && { signal }),
      onProgress: ({ percent, etaSeconds }) =>
        onProgress?.({ stage: "decode", percent: percent ?? 0, ...(etaSeconds !== undefined && { etaSeconds }) }),
    });
  } catch (thrown) {
    const error = asDownloadError(thrown);
    if (error.code !== "FFMPEG_FAILED" || signal?.aborted || error.metadata["signal"] !== undefined) throw thrown;
    return { message: `FFmpeg cannot decode it: ${error.message}` };
  }
}

function damaged<T extends FlacVerdict>(verdict: T, problem: FlacProblem): T {
  return {
    ...verdict,
    status: "damaged",
    problems: [...verdict.problems, problem],
    problemCount: verdict.problemCount + 1,
  };
}
