/** Which formats hold eight channels in their places, so that an upmix is never turned back into stereo without a word. */
import { failure } from "../core/errors.ts";
import type { AudioCodec, Container } from "../core/media-tool.ts";
import type { OutputPlan } from "./output.ts";

/** Bits a second for eight channels, of codecs that lose something: 64 kbit/s a channel, as far as each goes. */
const BIT_RATES: Partial<Readonly<Record<AudioCodec, number>>> = { aac: 512_000, opus: 510_000, vorbis: 500_000 };

/** What takes the place of a codec that cannot. ALAC has another 7.1 (front wide); PCM in Matroska does not say which is which. */
const INSTEAD: Readonly<Record<Container, AudioCodec | undefined>> = {
  mp4: "aac",
  m4a: "aac",
  mov: "aac",
  mkv: "flac",
  mka: "flac",
  webm: "opus",
  ts: "aac",
  mp3: undefined,
  aac: "aac",
  opus: "opus",
  ogg: "opus",
  flac: "flac",
  wav: "wav",
};

/**
 * The plan with a codec that holds 7.1.
 * @throws ResourceError MEDIA_UNFIT if the container cannot, or if the input is to be replaced and its codec cannot
 */
export function planFor71(plan: OutputPlan): OutputPlan {
  const { container, encoding } = plan;
  const instead = INSTEAD[container];
  if (instead === undefined)
    throw failure(
      "MEDIA_UNFIT",
      `${container} holds two channels at most and 7.1 needs eight: name an output that ends in .flac, .m4a, .opus, .wav or .mka`,
    );
  const able = holds71(container, encoding.codec);
  const codec = able ? encoding.codec : instead;
  if (!able && plan.inPlace)
    throw failure(
      "MEDIA_UNFIT",
      `${plan.target} cannot be replaced: ${encoding.codec} in ${container} does not hold 7.1; name another output`,
    );
  const { bitRate: _stereo, depth, ...rest } = encoding;
  const rate = BIT_RATES[codec];
  // FLAC and WAV keep the depth of the samples; FLAC has 24 bits at most.
  const kept =
    depth !== undefined && rate === undefined ? { depth: codec === "flac" && depth !== 16 ? 24 : depth } : {};
  return {
    ...plan,
    encoding: { ...rest, ...kept, codec, channels: 8, ...(rate !== undefined && { bitRate: rate }) },
    lossy: rate !== undefined,
    kept: plan.kept && able,
    notes: able
      ? plan.notes
      : [...plan.notes, `${encoding.codec} in ${container} does not hold 7.1: ${codec} is written.`],
  };
}

function holds71(container: Container, codec: AudioCodec): boolean {
  if (codec === "mp3" || codec === "alac") return false;
  return !(codec === "wav" && (container === "mkv" || container === "mka"));
}
