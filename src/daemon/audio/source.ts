/** The file that is worked on: what is in it, whether its audio can be worked on, and that it is still the same at the end. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import type { MediaInfo, MediaStream } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";

/** Hz that the filters and meters of this room are right for. */
const SAMPLE_RATES = { least: 4000, most: 384_000 };
/** ITU-R BS.1770 and the encoders know layouts up to 7.1. */
const MOST_CHANNELS = 8;

const LOSSLESS = /^(pcm_|flac$|alac$|wavpack$|tta$|ape$|shorten$|truehd$|mlp$|als$|mp4als$)/;

/** A file with audio. */
export interface AudioSource {
  /** Absolute. */
  readonly path: string;
  readonly info: MediaInfo;
  /** The audio that is worked on: the first in the file. */
  readonly stream: MediaStream & { readonly sampleRate: number; readonly channels: number };
  /** Of the audio; absent if the file does not say. */
  readonly durationSeconds?: number;
  /** Its codec loses nothing. */
  readonly lossless: boolean;
  /** Moving pictures are in it as well. */
  readonly hasVideo: boolean;
  /** What was found at the path, to see later whether it is still the same. */
  readonly identity: FileIdentity;
}

/** What tells one state of a file from another. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/**
 * Looks into a file.
 *
 * @param input - relative paths are of the current folder
 * @throws ResourceError MEDIA_INVALID if it is no media, has no audio, or is encrypted; MEDIA_UNFIT for a sample rate or a number
 *   of channels that nothing here is right for; what files and the tool throw
 */
export async function openSource(
  tool: Pick<MediaTool, "probe">,
  input: string,
  signal?: AbortSignal,
): Promise<AudioSource> {
  const path = resolve(input);
  const identity = await identityOf(path);
  const info = await tool.probe(path, signal === undefined ? {} : { signal });
  const stream = info.streams.find(({ kind }) => kind === "audio");
  if (stream === undefined) throw failure("MEDIA_INVALID", `${path} has no audio`, { metadata: { path } });
  if (stream.encrypted)
    throw failure("MEDIA_INVALID", `${path} is encrypted (DRM): its audio cannot be decoded`, { metadata: { path } });
  const { sampleRate, channels } = stream;
  if (sampleRate === undefined || channels === undefined || stream.codec === "unknown")
    throw failure("MEDIA_INVALID", `${path} does not say what its audio is: no decoder knows it`, {
      metadata: { path },
    });
  const unfit = (why: string) => failure("MEDIA_UNFIT", `${path} ${why}`, { metadata: { path } });
  if (sampleRate < SAMPLE_RATES.least || sampleRate > SAMPLE_RATES.most)
    throw unfit(
      `has a sample rate of ${sampleRate} Hz; ${SAMPLE_RATES.least} to ${SAMPLE_RATES.most} Hz can be worked on`,
    );
  if (channels > MOST_CHANNELS) throw unfit(`has ${channels} channels; up to ${MOST_CHANNELS} can be worked on`);
  const durationSeconds = stream.durationSeconds ?? info.durationSeconds;
  return {
    path,
    info,
    stream: { ...stream, sampleRate, channels },
    ...(durationSeconds !== undefined && { durationSeconds }),
    lossless: LOSSLESS.test(stream.codec),
    hasVideo: info.streams.some(({ kind, attachedPicture }) => kind === "video" && !attachedPicture),
    identity,
  };
}

/** The state of a file now. @throws what files throw */
export async function identityOf(path: string): Promise<FileIdentity> {
  try {
    const { dev, ino, size, mtimeMs } = await stat(path);
    return { dev, ino, size, mtimeMs };
  } catch (error) {
    throw asDownloadError(error);
  }
}
