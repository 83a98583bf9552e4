/**
 * Whether a result has what its source had: the whole length, pictures, tracks, tags. Muxers leave out what they cannot write,
 * and decoders what they cannot read, without a word. Where the result takes the source's place that would be for good.
 */
import { failure } from "../core/errors.ts";
import type { MediaInfo } from "../core/media-tool.ts";
import type { AudioSource } from "./source.ts";

/** Tags that say how loud the source was. */
const ABOUT_LOUDNESS = /^(replaygain_|r128_|mp3gain_|itunnorm$)/;

/**
 * FFmpeg ends with success where its input is cut off, and what was not there is missing in the result without a word.
 * @returns notes
 * @throws ResourceError MEDIA_INVALID
 */
export function assertWholeSound(source: AudioSource, made: number | undefined, whole: boolean): string[] {
  const { path, durationSeconds: stated, lossless, info } = source;
  // Raw AAC does not say how long it is: what FFmpeg says of it is a guess by its first frames.
  if (stated === undefined || made === undefined || info.format === "aac") return [];
  const missing = stated - made;
  const guessed = info.format === "mp3";
  const allowed = Math.max(1, 0.01 * stated);
  if (missing <= (lossless ? 0.06 : guessed ? allowed : Math.min(2, allowed))) return [];
  const lacking = `of its ${stated.toFixed(1)} s ${missing.toFixed(1)} s cannot be decoded`;
  // Without a header that counts its frames, the length of an MP3 is a guess as well.
  if (guessed && !whole) return [`The file is cut off or damaged, or says a wrong length: ${lacking}.`];
  const then = guessed
    ? "it was not replaced; to make something of the rest, name another output"
    : "nothing was made of the rest";
  throw failure("MEDIA_INVALID", `${path} is damaged: ${lacking}; ${then}`, { metadata: { path } });
}

/** Tags that tell of the container, or are made anew. */
const OF_THE_FILE =
  /^(major_brand|minor_version|compatible_brands|encoder|creation_time|language|duration|bps|metadata_block_picture|(vendor|handler)_(id|name)|_statistics_.*)$/;

/**
 * What muxers leave out without a word, by what is in the result.
 * @returns notes
 * @throws ResourceError MEDIA_UNFIT if the source is to be replaced, and a picture or a track would be gone for good
 */
export function assertAllThere({ path, info }: AudioSource, made: MediaInfo, whole: boolean): string[] {
  const gone: string[] = [];
  const pictures = countIn(info, true) - countIn(made, true);
  if (pictures > 0) gone.push(pictures === 1 ? "a picture" : `${pictures} pictures`);
  // Video and subtitles were counted when it was made.
  const tracks = countIn(info, false) - countIn(made, false);
  if (tracks > 0) gone.push(tracks === 1 ? "an audio track" : `${tracks} audio tracks`);
  if (gone.length > 0 && whole)
    throw failure(
      "MEDIA_UNFIT",
      `${path} was not replaced: the result lacks ${gone.join(" and ")} of it; name another output`,
      {
        metadata: { path },
      },
    );
  const tags = Object.keys(info.tags).filter(
    (name) => !Object.hasOwn(made.tags, name) && !ABOUT_LOUDNESS.test(name) && !OF_THE_FILE.test(name),
  );
  if (tags.length > 0)
    gone.push(
      `${tags.length === 1 ? "the tag" : "the tags"} ${tags
        .slice(0, 20)
        .map((name) => JSON.stringify(name))
        .join(", ")}`,
    );
  return gone.length === 0 ? [] : [`The result lacks ${gone.join(" and ")} of the source.`];
}

/** Pictures that stand for the file, or audio tracks. */
function countIn({ streams }: MediaInfo, pictures: boolean): number {
  return streams.filter(({ kind, attachedPicture }) => (pictures ? attachedPicture : kind === "audio")).length;
}

/** Changes that take away what tags said about the source's loudness. */
export function withoutLoudness({ info, stream }: AudioSource): Readonly<Record<string, string>> {
  const names = [...Object.keys(info.tags), ...Object.keys(stream.tags)];
  return Object.fromEntries(names.filter((name) => ABOUT_LOUDNESS.test(name)).map((name) => [name, ""]));
}
