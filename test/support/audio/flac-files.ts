/** FLAC files of every depth, made by Debian's flac from samples that are made here. */
import { execFileSync, spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seeded } from "../random.ts";

/** What a file is to be like. */
export interface FlacFileOptions {
  readonly bits: number;
  readonly channels?: number;
  readonly sampleRate?: number;
  /** Of each channel. */
  readonly samples?: number;
  /** More arguments of flac. */
  readonly args?: readonly string[];
  readonly seed?: number;
}

/** A tone in noise, in a WAV file whose header names the depth (20 bits lie at the top of 24). */
function wav({ bits, channels = 2, sampleRate = 44_100, samples = 22_050, seed = bits }: FlacFileOptions): Buffer {
  const random = seeded(seed);
  const width = Math.ceil(bits / 8);
  const data = Buffer.alloc(samples * channels * width);
  const scale = 2 ** (bits - 1) - 1;
  for (let index = 0; index < samples * channels; index++) {
    const tone = 0.5 * Math.sin((2 * Math.PI * 440 * Math.floor(index / channels)) / sampleRate);
    const value = Math.round(scale * (tone + 0.1 * (random() - 0.5))) * 2 ** (8 * width - bits);
    if (width === 1) data.writeUInt8(value + 128, index);
    else data.writeIntLE(value, index * width, width);
  }
  const head = Buffer.alloc(68);
  head.write("RIFF", 0);
  head.writeUInt32LE(60 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(40, 16);
  head.writeUInt16LE(0xfffe, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(sampleRate * channels * width, 28);
  head.writeUInt16LE(channels * width, 32);
  head.writeUInt16LE(8 * width, 34);
  head.writeUInt16LE(22, 36);
  head.writeUInt16LE(bits, 38);
  head.writeUInt32LE([0, 4, 3, 7, 0x33, 0x37, 0x3f, 0x70f, 0x63f][channels] ?? 0, 40);
  Buffer.from("0100000000001000800000aa00389b71", "hex").copy(head, 44);
  head.write("data", 60);
  head.writeUInt32LE(data.length, 64);
  return Buffer.concat([head, data]);
}

/** Makes one. @returns its path */
export function makeFlac(folder: string, name: string, options: FlacFileOptions): string {
  const path = join(folder, name);
  const source = `${path}.wav`;
  writeFileSync(source, wav(options));
  execFileSync("flac", ["--silent", "--force", ...(options.args ?? []), "-o", path, source]);
  rmSync(source);
  return path;
}

/** What `flac -t` says: true if it has nothing against the file. */
export function flacAccepts(path: string): boolean {
  return spawnSync("flac", ["--test", "--silent", path], { stdio: "ignore" }).status === 0;
}

/** Where the frames begin, by the lengths of the metadata blocks. */
export function audioOffset(bytes: Buffer): number {
  for (let at = 4; ; ) {
    const last = (bytes.readUInt8(at) & 0x80) !== 0;
    at += 4 + bytes.readUIntBE(at + 1, 3);
    if (last) return at;
  }
}
