/** Hostile names and values, given to the real FFmpeg: it must see exactly the text that was meant. */
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { concatList, fileUrl, filterValue, metadataText } from "../../src/daemon/ffmpeg/escape.ts";
import type { Runner } from "../../src/daemon/ffmpeg/run.ts";
import { makeMedia, testRunner } from "../support/ffmpeg.ts";
import { hasProgram } from "../support/has-program.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";

/** Values that have meant trouble, and any others made of the characters that mean something to FFmpeg. */
const HOSTILE = [
  "'",
  "\\",
  ":",
  ",",
  "[a]",
  ";",
  "%",
  "%{pts}",
  "\n",
  " x ",
  "\\'",
  "a'b'c",
  "=",
  "#",
  "-i",
  "\\\\",
  "\t",
  "ü",
];
const hostile = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: fc.constantFrom(..."'\\:,[];%={}#\n\t $`\"|&-aü"), minLength: 1, maxLength: 12 }),
);

describe("escaping, as FFmpeg undoes it", hasProgram("ffmpeg"), () => {
  let folder: TemporaryFolder;
  let runner: Runner;
  const at = (name: string) => join(folder.path, name);
  const check = (property: fc.IAsyncPropertyWithHooks<[string]>) => fc.assert(property, { numRuns: 8 });

  before(async () => {
    folder = await temporaryFolder();
    runner = testRunner();
    makeMedia("-f", "lavfi", "-i", "sine=d=0.1", at("tone.wav"));
  });
  after(async () => {
    await runner[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("a value of a filter's option", async () => {
    await check(
      fc.asyncProperty(hostile, async (value) => {
        const chain = `ametadata=mode=add:key=k:value=${filterValue(value)},ametadata=mode=print:key=k:file=${filterValue(at("printed"))}`;
        await runner.run({
          inputs: [{ generate: "sine=d=0.02" }],
          output: { nothing: true, options: ["-filter:a", chain] },
        });
        const printed = await readFile(at("printed"), "utf8");
        assert.ok(printed.includes(`\nk=${value}\n`), `${JSON.stringify(value)} became ${JSON.stringify(printed)}`);
      }),
    );
  });

  test("a file's name in a filter, as an input, in a list, and as an output", async () => {
    const name = hostile.map((text) => `x${text.replaceAll("/", "")}.wav`);
    await check(
      fc.asyncProperty(name, async (value) => {
        const path = at(value);
        await copyFile(at("tone.wav"), path);
        const nothing = { nothing: true } as const;
        await runner.run({ inputs: [{ generate: `amovie=filename=${filterValue(path)}` }], output: nothing });
        const target = { path: at(`out-${value}`), format: "wav", replace: true };
        await runner.run({ inputs: [{ path }], output: target });
        if (!/[\n\r]/.test(path)) await runner.run({ inputs: [{ concat: [path, path] }], output: { ...target } });
        else assert.throws(() => concatList([path]), { code: "INVALID_ARGUMENT" });
      }),
    );
  });

  test("names that begin with a dash or look like a protocol", async () => {
    for (const name of ["-i.wav", "http:x.wav", "concat:a|b.wav", "pipe:0", "%03d.wav", "a*?.wav"]) {
      await copyFile(at("tone.wav"), at(name));
      await runner.run({ inputs: [{ path: at(name) }], output: { path: at(`${name}.flac`), format: "flac" } });
      assert.ok((await readFile(at(`${name}.flac`))).length > 0, name);
    }
    assert.throws(() => fileUrl("relative.wav"), { code: "INVALID_ARGUMENT" });
    assert.throws(() => fileUrl("/a\0b"), { code: "INVALID_ARGUMENT" });
  });

  test("a value in a metadata file; one that ends in a backslash gets a space", async () => {
    await check(
      fc.asyncProperty(hostile, async (value) => {
        const text = `;FFMETADATA1\ntitle=${metadataText(value)}\nartist=next\n`;
        await writeFile(at("words"), text);
        const made: Uint8Array[] = [];
        await runner.run({
          inputs: [{ path: at("tone.wav") }, { path: at("words"), format: "ffmetadata" }],
          output: {
            sink: (bytes) => void made.push(bytes),
            format: "ogg",
            options: ["-map_metadata", "1", "-c:a", "flac"],
          },
        });
        const expected = value.endsWith("\\") ? `${value} ` : value;
        const written = Buffer.concat(made).toString("utf8");
        assert.match(written, /artist=next/);
        assert.ok(written.includes(`title=${expected}`), JSON.stringify(value));
      }),
    );
  });
});
