/**
 * FLAC proved whole: single flipped bits in the audio and truncations, of which none may stay hidden; whole files of every
 * depth and odd ones, of which none may be called damaged; and `flac -t`, with which every verdict is compared.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FlacVerdict, validateFlac } from "../../../src/daemon/audio/flac.ts";
import type { MediaTool } from "../../../src/daemon/core/ports/media.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { audioOffset, flacAccepts, makeFlac } from "./flac-files.ts";

/** How much is tried. */
export interface FlacAcceptance {
  /** Of each depth. */
  readonly flips: number;
  /** Of each depth. */
  readonly cuts: number;
  readonly seed: number;
  readonly depths?: readonly number[];
}

/** Runs it. */
export async function flacAcceptance({
  flips,
  cuts,
  seed,
  depths = [8, 16, 20, 24],
}: FlacAcceptance): Promise<Outcome> {
  const findings = new Findings();
  const random = seeded(seed);
  const tally = { flips: 0, flipsFound: 0, cuts: 0, cutsFound: 0, whole: 0, falseAlarms: 0, compared: 0, agree: 0 };
  await using folder = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });

  const judge = async (path: string): Promise<FlacVerdict> => {
    const verdict = await validateFlac(tool, path);
    tally.compared++;
    const agrees = flacAccepts(path) === (verdict.status !== "damaged");
    if (agrees) tally.agree++;
    findings.expect(agrees, `${path}: ${verdict.status}, and flac -t says otherwise`);
    return verdict;
  };
  for (const bits of depths) {
    const whole = [
      makeFlac(folder.path, `${bits}.flac`, { bits }),
      makeFlac(folder.path, `${bits}-mono.flac`, { bits, channels: 1, args: ["-0"] }),
      makeFlac(folder.path, `${bits}-odd.flac`, {
        bits,
        channels: 6,
        samples: 10_007,
        args: ["-8", "-b", "1000", "--lax"],
      }),
      makeFlac(folder.path, `${bits}-short.flac`, { bits, samples: 5 }),
    ];
    for (const path of whole) {
      tally.whole++;
      const { status, problems } = await judge(path);
      if (status !== "valid") tally.falseAlarms++;
      findings.expect(status === "valid", `${path} is whole, and called ${status}: ${problems[0]?.message}`);
    }
    const bytes = readFileSync(whole[0] ?? "");
    const audio = audioOffset(bytes);
    const at = () => audio + Math.floor(random() * (bytes.length - audio));
    for (let index = 0; index < flips; index++) {
      const [place, bit] = [at(), Math.floor(random() * 8)];
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(place) ^ (1 << bit), place);
      const path = join(folder.path, "flipped.flac");
      writeFileSync(path, damaged);
      tally.flips++;
      if ((await judge(path)).status === "damaged") tally.flipsFound++;
      else findings.expect(false, `${bits} bit: bit ${bit} of byte ${place} was flipped, and nobody noticed`);
    }
    for (let index = 0; index < cuts; index++) {
      const length = index === 0 ? bytes.length - 1 : index === 1 ? audio : Math.floor(random() * bytes.length);
      const path = join(folder.path, "cut.flac");
      writeFileSync(path, bytes.subarray(0, length));
      tally.cuts++;
      // Of an empty file, or one that ends in its metadata, flac -t says several things: the verdict is what counts.
      const { status } = length > audio ? await judge(path) : await validateFlac(tool, path);
      if (status === "damaged") tally.cutsFound++;
      else findings.expect(false, `${bits} bit: cut off at ${length} of ${bytes.length} bytes, and called ${status}`);
    }
  }
  await oddOnes(folder.path, tool, judge, findings);
  findings.note("flipped bits found", `${tally.flipsFound} of ${tally.flips}`);
  findings.note("truncations found", `${tally.cutsFound} of ${tally.cuts}`);
  findings.note("false alarms", `${tally.falseAlarms} of ${tally.whole} whole files`);
  findings.note("same verdict as flac -t", `${tally.agree} of ${tally.compared}`);
  return findings.outcome();
}

/** Whole files with something odd about them; files with more behind them, which `flac -t` refuses too; and one with other samples. */
async function oddOnes(
  folder: string,
  tool: MediaTool,
  judge: (path: string) => Promise<FlacVerdict>,
  findings: Findings,
): Promise<void> {
  const bytes = readFileSync(makeFlac(folder, "odd.flac", { bits: 16 }));
  const variant = (name: string, content: Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const with16Zeros = Buffer.from(bytes);
  with16Zeros.fill(0, 26, 42);
  const otherMd5 = Buffer.from(bytes);
  otherMd5.writeUInt8(otherMd5.readUInt8(30) ^ 1, 30);
  const id3 = Buffer.concat([Buffer.from("4944330300000000000a", "hex"), Buffer.alloc(10)]);
  for (const [name, content, wanted] of [
    ["garbage.flac", Buffer.concat([bytes, Buffer.from("not audio at all")]), "damaged"],
    ["id3v1.flac", Buffer.concat([bytes, Buffer.from("TAG"), Buffer.alloc(125)]), "damaged"],
    ["id3v2.flac", Buffer.concat([id3, bytes]), "valid"],
    ["no-md5.flac", with16Zeros, "unverifiable"],
    ["other-md5.flac", otherMd5, "damaged"],
  ] as const) {
    const { status } = await judge(variant(name, content));
    findings.expect(status === wanted, `${name} is ${wanted}, and called ${status}`);
  }
  const deep = await validateFlac(tool, makeFlac(folder, "32.flac", { bits: 32 }));
  const { version } = await tool.version();
  findings.note("32 bits", `${deep.status} with FFmpeg ${version}`);
  findings.expect(/^n?[2345]\./.test(version) ? deep.status === "unsupported" : deep.status === "valid", "32 bits");
}
