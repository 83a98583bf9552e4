/**
 * MD5 of a FLAC file's samples as the encoder took it (RFC 9639 §8.2): interleaved, signed, little-endian, each in as many
 * whole bytes as it needs, with its sign extended. FFmpeg decodes; it hands 20 bits over at the top of 32, for example.
 */
import { createHash } from "node:crypto";
import type { MediaRun } from "../../core/media-tool.ts";
import type { MediaTool } from "../../core/ports/media.ts";
import type { StreamInfo } from "./stream-info.ts";

/** FFmpeg decodes FLAC of 32 bits since this version. */
const FIRST_WITH_32_BITS = 6;

/** Why samples of this kind cannot be decoded here; undefined if they can. */
export async function refusesDepth(
  tool: MediaTool,
  { bitsPerSample }: StreamInfo,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (bitsPerSample <= 24) return undefined;
  const { version } = await tool.version(signal);
  // A build from the sources ("N-113684-g…") is newer.
  const major = Number.parseInt(/^n?(\d+)\./.exec(version)?.[1] ?? "99", 10);
  return major >= FIRST_WITH_32_BITS ? undefined : `FFmpeg ${version} does not decode FLAC of ${bitsPerSample} bits`;
}

/** What was decoded. */
export interface SamplesDigest {
  /** Hex. */
  readonly md5: string;
  /** Of each channel. */
  readonly samples: number;
}

/** Decodes a file, and digests its samples. @throws DownloadError as `MediaTool.run` does */
export async function digestSamples(
  tool: MediaTool,
  path: string,
  { bitsPerSample, channels, totalSamples, sampleRate }: StreamInfo,
  control: Pick<MediaRun, "signal" | "onProgress">,
): Promise<SamplesDigest> {
  const hash = createHash("md5");
  const wide = bitsPerSample > 16;
  const width = Math.ceil(bitsPerSample / 8);
  const cut = new Narrowing(wide ? 4 : 2, width, (wide ? 32 : 16) - bitsPerSample);
  const format = wide ? "s32le" : "s16le";
  let bytes = 0;
  await tool.run({
    ...control,
    inputs: [{ path, format: "flac" }],
    ...(totalSamples > 0 && sampleRate > 0 && { durationSeconds: totalSamples / sampleRate }),
    output: {
      sink(piece) {
        const narrow = cut.take(piece);
        bytes += narrow.length;
        hash.update(narrow);
      },
      format,
      options: ["-map", "0:a:0", "-c:a", `pcm_${format}`],
    },
  });
  return { md5: hash.digest("hex"), samples: bytes / width / channels };
}

/** Makes samples of `from` bytes, with `shift` bits of nothing at their end, into samples of `to` bytes. */
class Narrowing {
  readonly #from: number;
  readonly #to: number;
  readonly #shift: number;
  #rest: Uint8Array = new Uint8Array();

  constructor(from: number, to: number, shift: number) {
    this.#from = from;
    this.#to = to;
    this.#shift = shift;
  }

  take(piece: Uint8Array): Uint8Array {
    const [from, to] = [this.#from, this.#to];
    if (from === to && this.#shift === 0) return piece;
    const input = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    const count = Math.floor(input.length / from);
    const output = Buffer.allocUnsafe(count * to);
    for (let index = 0; index < count; index++)
      output.writeIntLE(input.readIntLE(index * from, from) >> this.#shift, index * to, to);
    this.#rest = input.subarray(count * from);
    return output;
  }
}
