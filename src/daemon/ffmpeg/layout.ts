/** Which tracks go into a file, in which order, and with which options: the plan of a job, before anything is run. */
import { failure } from "../core/errors.ts";
import type { MediaInfo, MediaJob, MediaStream, MediaTrackFile, SubtitleFile } from "../core/media-tool.ts";
import { type ContainerTraits, holds, isForAudio, traitsOf } from "./containers.ts";
import { encodingOf } from "./encoding.ts";

/** A file with what is in it. */
export interface ProbedTrack {
  readonly file: MediaTrackFile;
  readonly info: MediaInfo;
}

/** What is mapped, and how. */
export interface Layout {
  /** FFmpeg's options for the output: `-map`, codecs, languages. */
  readonly options: readonly string[];
  /** Streams that the result must have, by kind. */
  readonly expected: Readonly<Record<"audio" | "video" | "subtitle", number>>;
  readonly attachments: number;
  readonly bitRate?: number;
  readonly notes: readonly string[];
}

const TEXT_SUBTITLES = /^(subrip|srt|webvtt|mov_text|ass|ssa|text)$/;

/** Lays out a job. Its subtitle files are inputs behind the tracks. @throws ResourceError MEDIA_UNFIT */
export function layOut(job: MediaJob, tracks: readonly ProbedTrack[]): Layout {
  const builder = new LayoutBuilder(job);
  for (const [input, track] of tracks.entries())
    for (const stream of streamsOf(track, job)) builder.take(input, stream, track);
  for (const [index, file] of (job.subtitles ?? []).entries()) builder.takeSubtitle(tracks.length + index, file);
  return builder.finish();
}

/** The streams of a file that are wanted: never covers, which go their own way. */
function streamsOf({ file, info }: ProbedTrack, { container }: MediaJob): MediaStream[] {
  const kinds = file.take ?? ["audio", "video", "subtitle"];
  const fitting = isForAudio(container) ? kinds.filter((kind) => kind === "audio") : [...kinds, "attachment"];
  const wanted: ReadonlySet<string> = new Set(fitting);
  return info.streams.filter((stream) => wanted.has(stream.kind) && !stream.attachedPicture);
}

class LayoutBuilder {
  readonly #job: MediaJob;
  readonly #traits: ContainerTraits;
  readonly #maps: string[] = [];
  readonly #options: string[] = [];
  readonly #notes: string[] = [];
  readonly #expected = { audio: 0, video: 0, subtitle: 0 };
  #attachments = 0;
  #bitRate: number | undefined;

  constructor(job: MediaJob) {
    this.#job = job;
    this.#traits = traitsOf(job.container);
  }

  take(input: number, stream: MediaStream, { file, info }: ProbedTrack): void {
    const { container, audio } = this.#job;
    const { kind, codec, index } = stream;
    if (kind === "data") return;
    if (kind === "attachment") {
      if (!holds(container, stream)) return;
      this.#maps.push("-map", `${input}:${index}`);
      this.#attachments += 1;
      return;
    }
    if (this.#traits.single === true && this.#expected.audio > 0) {
      this.#notes.push(`${container} holds one track: ${codec} (stream ${index}) was left out`);
      return;
    }
    const place = `${kind[0]}:${this.#expected[kind]}`;
    const encoded = kind === "audio" && audio !== undefined && (this.#expected.audio === 0 || !audio.firstOnly);
    if (encoded) {
      const { encoder, options, bitRate, notes } = encodingOf(audio, stream, info, place);
      if (!holds(container, { kind, codec: audio.codec === "wav" ? encoder : audio.codec }))
        throw unfit(container, audio.codec);
      this.#options.push(`-c:${place}`, encoder, ...options);
      this.#bitRate = bitRate;
      this.#notes.push(...notes);
    } else if (!holds(container, stream)) {
      if (kind !== "subtitle") throw unfit(container, codec);
      const { subtitleEncoder } = this.#traits;
      if (subtitleEncoder === undefined || !TEXT_SUBTITLES.test(codec)) {
        this.#notes.push(`${container} holds no ${codec} subtitles: stream ${index} was left out`);
        return;
      }
      this.#options.push(`-c:${place}`, subtitleEncoder);
    }
    if (stream.encrypted && encoded)
      throw failure("MEDIA_INVALID", `${file.path} is encrypted (DRM): it cannot be decoded`);
    this.#add(kind, `${input}:${index}`, file.language);
  }

  takeSubtitle(input: number, { format, language, title }: SubtitleFile): void {
    const { container } = this.#job;
    const { subtitleEncoder } = this.#traits;
    const codec = format === "srt" ? "subrip" : format;
    if (isForAudio(container) || subtitleEncoder === undefined) {
      this.#notes.push(`${container} holds no subtitles: ${language ?? format} was left out`);
      return;
    }
    const place = `s:${this.#expected.subtitle}`;
    if (!holds(container, { kind: "subtitle", codec })) this.#options.push(`-c:${place}`, subtitleEncoder);
    if (title !== undefined) this.#options.push(`-metadata:s:${place}`, `title=${title.replaceAll("\0", "")}`);
    this.#add("subtitle", `${input}:0`, language);
  }

  #add(kind: "audio" | "video" | "subtitle", map: string, language: string | undefined): void {
    const place = `${kind[0]}:${this.#expected[kind]}`;
    this.#maps.push("-map", map);
    if (language !== undefined && /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(language))
      this.#options.push(`-metadata:s:${place}`, `language=${language}`);
    this.#expected[kind] += 1;
  }

  finish(): Layout {
    if (this.#expected.audio + this.#expected.video === 0)
      throw failure("MEDIA_UNFIT", `there is no track for ${this.#job.container} in what was given`);
    return {
      options: [...this.#maps, "-c", "copy", ...this.#options],
      expected: this.#expected,
      attachments: this.#attachments,
      ...(this.#bitRate !== undefined && { bitRate: this.#bitRate }),
      notes: this.#notes,
    };
  }
}

function unfit(container: string, codec: string) {
  return failure("MEDIA_UNFIT", `${container} cannot hold ${codec}`, { metadata: { container, codec } });
}
