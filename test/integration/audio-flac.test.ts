/** FLAC files, whole and damaged, in small; `npm run accept audio` does the same at full size. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { validateFlac } from "../../src/daemon/audio/flac.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { flacAcceptance } from "../support/audio/flac-acceptance.ts";
import { audioOffset, makeFlac } from "../support/audio/flac-files.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";

describe("validateFlac", { skip: missing("flac", "ffmpeg") }, () => {
  let folder: TemporaryFolder;
  let tool: FfmpegTool;
  before(async () => {
    folder = await temporaryFolder();
    tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
  });
  after(async () => {
    await tool[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("flips, truncations and whole files of every depth: as flac -t says", async () => {
    const { ok, values } = await flacAcceptance({ flips: 6, cuts: 4, seed: 1 });
    assert.ok(ok, JSON.stringify(values));
  });

  test("the damaged frame is named, and only that one", async () => {
    const path = makeFlac(folder.path, "named.flac", { bits: 16, samples: 40_960, args: ["-b", "4096"] });
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 4, bytes.length - 5);
    const first = audioOffset(bytes) + 40;
    bytes.writeUInt8(bytes.readUInt8(first) ^ 4, first);
    writeFileSync(path, bytes);
    const { status, problems, frames } = await validateFlac(tool, path);
    assert.equal(status, "damaged");
    assert.deepEqual(
      problems.map(({ kind, sample }) => [kind, sample]),
      [
        ["frame", 0],
        ["frame", 9 * 4096],
      ],
    );
    assert.equal(frames, 8);
  });

  test("a frame that was taken out leaves a gap in the numbers", async () => {
    const path = makeFlac(folder.path, "gap.flac", { bits: 16, samples: 40_960, args: ["-b", "4096"] });
    const bytes = readFileSync(path);
    const headers = [...bytes.keys()].filter((at) => bytes.readUInt16BE(Math.min(at, bytes.length - 2)) === 0xfff8);
    const [, , third = 0, fourth = 0] = headers.filter((at) => at >= audioOffset(bytes));
    writeFileSync(path, Buffer.concat([bytes.subarray(0, third), bytes.subarray(fourth)]));
    const { status, problems } = await validateFlac(tool, path);
    assert.equal(status, "damaged");
    assert.equal(problems[0]?.kind, "sequence");
    assert.equal(problems[0]?.offset, third);
  });

  test("what is behind the last frame is found, by the coding of that frame", async () => {
    const path = makeFlac(folder.path, "more.flac", { bits: 24 });
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from("more and more")]));
    const { status, trailingBytes, problems } = await validateFlac(tool, path);
    assert.equal(status, "damaged");
    assert.equal(trailingBytes, 13);
    assert.match(problems[0]?.message ?? "", /13 bytes behind the last frame/);
  });

  for (const [name, content, kind] of [
    ["nothing", "", "empty"],
    ["a text", "this is no music", "not-flac"],
    ["a beginning", "fL", "truncated"],
    ["metadata without end", "fLaC\x00\x00\x00\x22", "truncated"],
    ["the wrong first block", "fLaC\x04\x00\x00\x01x", "metadata"],
  ] as const)
    test(`${name} is ${kind}`, async () => {
      const path = join(folder.path, "bad.flac");
      await writeFile(path, content, "latin1");
      const { status, problems } = await validateFlac(tool, path);
      assert.equal(status, "damaged");
      assert.equal(problems[0]?.kind, kind);
    });

  test("a folder is no file", async () => {
    await assert.rejects(validateFlac(tool, folder.path), { code: "MEDIA_INVALID" });
  });

  test("whatever is changed behind the magic, a verdict comes, and never that all is well", async () => {
    const whole = readFileSync(makeFlac(folder.path, "fuzz.flac", { bits: 16, samples: 3000, channels: 1 }));
    const audio = audioOffset(whole);
    const path = join(folder.path, "fuzzed.flac");
    const change = fc.tuple(fc.nat(whole.length - audio - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 20 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, mask] of changes) bytes.writeUInt8(bytes.readUInt8(audio + at) ^ mask, audio + at);
        fc.pre(!bytes.equals(whole));
        await writeFile(path, bytes);
        assert.equal((await validateFlac(tool, path)).status, "damaged");
      }),
      { numRuns: 100 },
    );
  });
});
