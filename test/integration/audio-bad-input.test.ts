/**
 * What may be wrong with a file or its place, for every operation: a clear error, the input untouched, nothing left over. And names
 * that are odd and right: they work.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AudioRoom } from "../../src/daemon/audio/room.ts";
import type { AudioJob, AudioOperation } from "../../src/daemon/core/audio-work.ts";
import { DownloadError } from "../../src/daemon/core/errors.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { makeMedia } from "../support/ffmpeg.ts";
import { fillDisk } from "../support/fill-disk.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { needsMount, type TemporaryFolder, temporaryFolder, temporaryMount } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";

/** Those that make a file. */
const MAKING: readonly AudioOperation[] = [
  { kind: "normalize", targetLufs: -20 },
  { kind: "denoise", strength: "heavy" },
  { kind: "upmix", content: "music" },
  { kind: "enhance" },
  { kind: "chain", filters: ["denoise_light"] },
  { kind: "replaygain" },
  { kind: "process", denoiseLevel: "light" },
];
const LOOKING: readonly AudioOperation[] = [{ kind: "detect" }, { kind: "analyze" }];

/** A WAV file whose header says what one likes. */
function wav(sampleRate: number, channels: number, samples = sampleRate): Buffer {
  const data = Buffer.alloc(Math.min(samples, 96_000) * channels * 2, 1);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(sampleRate * channels * 2, 28);
  head.writeUInt16LE(channels * 2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

describe("audio and what may be wrong", { skip: missing("ffmpeg") }, () => {
  let folder: TemporaryFolder;
  let tool: FfmpegTool;
  let room: AudioRoom;
  let sound: string;
  before(async () => {
    folder = await temporaryFolder();
    tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
    const settings = { targetLufs: -14, truePeak: -1, denoiseStrength: "medium", filters: {} } as const;
    room = new AudioRoom({ tool, settings: () => settings, logger: new RecordLogger() });
    sound = join(folder.path, "sound.flac");
    const mix =
      "anoisesrc=d=2:a=0.05:c=pink:r=48000[a];sine=f=440:d=2:r=48000[b];[a][b]amix=inputs=2,aformat=channel_layouts=stereo:sample_fmts=s16";
    makeMedia("-filter_complex", mix, sound);
  });
  after(async () => {
    await tool[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const state = async (place: string): Promise<Record<string, string>> => {
    const names = (await readdir(place)).sort();
    const digests = names.map(async (name) => {
      const path = join(place, name);
      if (!(await stat(path)).isFile()) return [name, "no file"] as const;
      return [
        name,
        createHash("sha256")
          .update(await readFile(path))
          .digest("hex"),
      ] as const;
    });
    return Object.fromEntries(await Promise.all(digests));
  };

  /** Fails with one of the codes, says something, and leaves the place as it was. */
  async function refused(job: AudioJob, place: string, codes: readonly string[]): Promise<void> {
    const was = await state(place);
    const error = await room.run(job, {}).then(
      (outcome) => assert.fail(`${job.operation.kind} succeeded: ${JSON.stringify(outcome.notes)}`),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof DownloadError, `${job.operation.kind}: ${String(error)}`);
    assert.ok(codes.includes(error.code), `${job.operation.kind}: ${error.code}: ${error.message}`);
    assert.ok(error.message.length > 10);
    assert.deepEqual(await state(place), was, job.operation.kind);
  }

  const bad: Readonly<Record<string, { readonly make: (path: string) => unknown; readonly codes: readonly string[] }>> =
    {
      "text.flac": { make: (path) => writeFile(path, "this is no sound\n".repeat(100)), codes: ["MEDIA_INVALID"] },
      "nothing.wav": { make: (path) => writeFile(path, ""), codes: ["MEDIA_INVALID"] },
      "silent-film.mp4": {
        make: (path) => makeMedia("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-c:v", "mpeg4", path),
        codes: ["MEDIA_INVALID"],
      },
      "cut-off.m4a": {
        // Its index is at the end.
        make: async (path) => {
          makeMedia("-i", sound, "-c:a", "aac", path);
          await writeFile(path, (await readFile(path)).subarray(0, 8000));
        },
        codes: ["MEDIA_INVALID"],
      },
      "locked.mp4": {
        make: (path) => {
          const key = "76a6c65c5ea762046bd749a2e632ccbb";
          const lock = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key];
          makeMedia("-i", sound, "-c:a", "aac", ...lock, path);
        },
        codes: ["MEDIA_INVALID", "MEDIA_LOCKED"],
      },
      "1-hz.wav": { make: (path) => writeFile(path, wav(1, 1)), codes: ["MEDIA_INVALID", "MEDIA_UNFIT"] },
      "768-khz.wav": { make: (path) => writeFile(path, wav(768_000, 1)), codes: ["MEDIA_UNFIT"] },
      "64-channels.wav": {
        make: (path) => writeFile(path, wav(48_000, 64, 4800)),
        codes: ["MEDIA_INVALID", "MEDIA_UNFIT"],
      },
    };
  for (const [name, { make, codes }] of Object.entries(bad))
    test(`${name}: every operation says what is wrong`, async () => {
      const place = join(folder.path, `bad-${name}`);
      await mkdir(place);
      const path = join(place, name);
      await make(path);
      for (const operation of [...MAKING, ...LOOKING]) await refused({ path, operation }, place, codes);
      const { ok } = await room.run({ path, operation: { kind: "validate" } }, {});
      assert.equal(ok, false);
    });

  test("a FLAC file that was cut off in the middle: nothing is made of its half", async () => {
    const place = join(folder.path, "half");
    await mkdir(place);
    const path = join(place, "half.flac");
    const bytes = await readFile(sound);
    await writeFile(path, bytes.subarray(0, bytes.length / 2));
    // ReplayGain copies what is there, packet by packet.
    for (const operation of MAKING.filter(({ kind }) => kind !== "replaygain"))
      await refused({ path, operation }, place, ["MEDIA_INVALID"]);
  });

  test("a file that is not there, a folder", async () => {
    const place = join(folder.path, "absent");
    await mkdir(place);
    for (const operation of [...MAKING, ...LOOKING, { kind: "validate" } as const]) {
      await refused({ path: join(place, "absent.flac"), operation }, place, ["DIRECTORY_MISSING"]);
      await refused({ path: place, operation }, place, ["MEDIA_INVALID"]);
    }
  });

  for (const name of ["it's", "a:b", "c,d", "[e]", "f\ng", "-y", "%03d", "$(h)", "ü 語", "\\i;j=k"])
    test(`the odd name ${JSON.stringify(name)} works`, async () => {
      const place = join(folder.path, `odd-${Buffer.from(name).toString("hex")}`);
      await mkdir(place);
      const path = join(place, `${name}.flac`);
      await copyFile(sound, path);
      const made = await room.run({ path, operation: { kind: "normalize", targetLufs: -20 } }, {});
      assert.equal(made.path, join(place, `${name}.normalized.flac`));
      assert.equal((await room.run({ path: made.path, operation: { kind: "validate" } }, {})).ok, true);
      const wanted = [".flac", ".normalized.flac"];
      if (name === "f\ng") {
        // A filter graph, and a page: what is to be escaped there is not what is to be escaped here.
        await room.run({ path, operation: { kind: "chain", filters: ["spatial_default"] } }, {});
        await room.run({ path, operation: { kind: "analyze", report: join(place, `${name}.html`) } }, {});
        wanted.push(".filtered.flac", ".html");
      }
      assert.deepEqual((await readdir(place)).sort(), wanted.map((end) => `${name}${end}`).sort());
    });

  test("an output that is the input, by its name and by another", async () => {
    const place = join(folder.path, "same");
    await mkdir(place);
    const path = join(place, "a.flac");
    await copyFile(sound, path);
    await link(path, join(place, "b.flac"));
    for (const operation of MAKING)
      for (const output of [path, join(place, "b.flac")])
        await refused({ path, operation, output, overwrite: true }, place, ["INVALID_ARGUMENT"]);
  });

  test("a folder that cannot be written", needsMount, async () => {
    await using mount = await temporaryMount(16 * 1024 * 1024);
    const path = join(mount.path, "a.flac");
    await copyFile(sound, path);
    mount.remount("ro");
    for (const operation of MAKING) {
      await refused({ path, operation }, mount.path, ["READ_ONLY"]);
      await refused({ path, operation, inPlace: true }, mount.path, ["READ_ONLY"]);
    }
    mount.remount("rw");
  });

  test("a full disk", needsMount, async () => {
    await using mount = await temporaryMount(2 * 1024 * 1024);
    const path = join(mount.path, "a.flac");
    await copyFile(sound, path);
    await fillDisk(join(mount.path, "filler"));
    for (const operation of MAKING) await refused({ path, operation }, mount.path, ["DISK_FULL"]);
  });
});
