/** How audio is encoded: encoder, rate and depth by codec, never more than the source has. */
import type { AudioCodec, AudioDepth, AudioEncoding, MediaInfo, MediaStream } from "../core/media-tool.ts";

interface Encoder {
  readonly name: string;
  /** Bits a second where none are asked for. */
  readonly usual?: number;
  /** Bits a second that it takes, ascending. */
  readonly rates?: readonly number[];
  readonly most?: number;
  readonly maxChannels: number;
  /** Hz that it takes at most. */
  readonly maxSampleRate?: number;
}

/** MPEG-1 Layer III (ISO/IEC 11172-3, table of bit rates). */
const MP3_RATES = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320].map((kilobits) => kilobits * 1000);

const ENCODERS: Readonly<Record<AudioCodec, Encoder>> = {
  mp3: { name: "libmp3lame", usual: 256_000, rates: MP3_RATES, most: 320_000, maxChannels: 2, maxSampleRate: 48_000 },
  aac: { name: "aac", usual: 192_000, most: 512_000, maxChannels: 8, maxSampleRate: 96_000 },
  opus: { name: "libopus", usual: 160_000, most: 510_000, maxChannels: 8, maxSampleRate: 48_000 },
  vorbis: { name: "libvorbis", usual: 192_000, most: 500_000, maxChannels: 8, maxSampleRate: 192_000 },
  alac: { name: "alac", maxChannels: 8, maxSampleRate: 384_000 },
  flac: { name: "flac", maxChannels: 8, maxSampleRate: 655_350 },
  wav: { name: "pcm", maxChannels: 64 },
};

/** Codecs that lose nothing; of all others a rate can be told that is never exceeded. */
const LOSSLESS = /^(pcm_|flac$|alac$|wavpack$|tta$|ape$|shorten$|truehd$|mlp$|als$|mp4als$)/;

/** How one track is to be encoded. */
export interface EncodingPlan {
  /** FFmpeg's name of the encoder. */
  readonly encoder: string;
  readonly options: readonly string[];
  readonly bitRate?: number;
  readonly notes: readonly string[];
}

/** Plans the encoding of a track of a file. @param place - the output's track, as a stream specifier ("a:0") */
export function encodingOf(
  encoding: AudioEncoding,
  stream: MediaStream,
  source: MediaInfo,
  place: string,
): EncodingPlan {
  const encoder = ENCODERS[encoding.codec];
  const notes: string[] = [];
  const options: string[] = [];
  const bitRate = bitRateOf(encoding, stream, source);
  if (bitRate !== undefined) options.push(`-b:${place}`, String(bitRate));
  const channels = encoding.channels ?? stream.channels ?? 2;
  if (channels > encoder.maxChannels)
    notes.push(`${encoding.codec} holds ${encoder.maxChannels} channels at most: ${channels} were mixed down`);
  if (encoding.channels !== undefined || channels > encoder.maxChannels)
    options.push(`-ac:${place}`, String(Math.min(channels, encoder.maxChannels)));
  const sampleRate = sampleRateOf(encoding, stream);
  if (sampleRate !== undefined) options.push(`-ar:${place}`, String(sampleRate));
  const filters = [encoding.filters, layoutFor(encoding.codec, channels)].filter((part) => part !== undefined);
  if (filters.length > 0) options.push(`-filter:${place}`, filters.join(","));
  const format = sampleFormatOf(encoding, stream);
  if (format !== undefined) options.push(`-sample_fmt:${place}`, format);
  const name = encoding.codec === "wav" ? pcmFor(stream, encoding.depth) : encoder.name;
  return { encoder: name, options, ...(bitRate !== undefined && { bitRate }), notes };
}

/** True for a track that lost nothing when it was encoded. */
function isLossless({ codec }: MediaStream): boolean {
  return LOSSLESS.test(codec);
}

/** What is asked for, or usual; at most what a lossy source has for each channel; a rate that the encoder knows. */
function bitRateOf(
  { codec, bitRate, channels }: AudioEncoding,
  stream: MediaStream,
  source: MediaInfo,
): number | undefined {
  const { usual, rates, most } = ENCODERS[codec];
  if (usual === undefined) return undefined;
  const alone = source.streams.filter(({ attachedPicture }) => !attachedPicture).length === 1;
  const own = isLossless(stream) ? undefined : (stream.bitRate ?? (alone ? source.bitRate : undefined));
  const more = Math.max(1, (channels ?? 0) / (stream.channels ?? 2));
  const limit = own === undefined ? Number.POSITIVE_INFINITY : own * more;
  const target = Math.round(Math.min(bitRate ?? usual, limit, most ?? usual));
  return rates === undefined ? Math.max(target, 8000) : (rates.findLast((rate) => rate <= target) ?? rates[0]);
}

/** Opus is always 48 kHz (RFC 6716 §2); the others keep the source's rate up to their highest of its family. */
function sampleRateOf({ codec, sampleRate }: AudioEncoding, stream: MediaStream): number | undefined {
  if (codec === "opus") return 48_000;
  const { maxSampleRate } = ENCODERS[codec];
  const rate = sampleRate ?? stream.sampleRate;
  if (rate === undefined || maxSampleRate === undefined || rate <= maxSampleRate) return sampleRate;
  return [maxSampleRate, (maxSampleRate / 48) * 44.1].find((highest) => rate % highest === 0) ?? maxSampleRate;
}

/** RFC 7845 §5.1.1.2 knows no channels at the sides but in 6.1 and 7.1: "5.1(side)" is given as 5.1. */
function layoutFor(codec: AudioCodec, channels: number): string | undefined {
  // One layout, not a choice of several: FFmpeg 5.1 fails where it would have to choose behind a change of the sample rate.
  const layout =
    codec === "opus" ? { 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1" }[channels] : undefined;
  return layout === undefined ? undefined : `aformat=channel_layouts=${layout}`;
}

/** The form in which the encoders of flac and alac take their depth; absent: as the samples come. */
function sampleFormatOf({ codec, depth }: AudioEncoding, stream: MediaStream): string | undefined {
  if (codec !== "flac" && codec !== "alac") return undefined;
  const wanted = depth ?? (isLossless(stream) ? undefined : 16);
  if (wanted === undefined) return undefined;
  return `${wanted === 16 ? "s16" : "s32"}${codec === "alac" ? "p" : ""}`;
}

const PCM: Readonly<Record<AudioDepth, string>> = {
  16: "pcm_s16le",
  24: "pcm_s24le",
  32: "pcm_s32le",
  float32: "pcm_f32le",
  float64: "pcm_f64le",
};

function pcmFor({ bitsPerSample, sampleFormat = "" }: MediaStream, depth: AudioDepth | undefined): string {
  if (depth !== undefined) return PCM[depth];
  if (/^(flt|dbl)/.test(sampleFormat) && bitsPerSample !== undefined)
    return bitsPerSample > 32 ? "pcm_f64le" : "pcm_f32le";
  if (bitsPerSample === undefined || bitsPerSample <= 16) return "pcm_s16le";
  return bitsPerSample <= 24 ? "pcm_s24le" : "pcm_s32le";
}
