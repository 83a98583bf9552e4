/** The report: one page without outside resources, whatever the file says of itself, in memory that stays flat. */
import assert from "node:assert/strict";
import { link, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inflateSync } from "node:zlib";
import { type DrawnAnalysis, drawAudio } from "../../src/daemon/audio/analyze.ts";
import { Columns } from "../../src/daemon/audio/downsample.ts";
import { PictureGatherer } from "../../src/daemon/audio/pictures.ts";
import { escapeHtml, reportHtml } from "../../src/daemon/audio/report.ts";
import { planReport, writeReport } from "../../src/daemon/audio/report-file.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { makeMedia } from "../support/ffmpeg.ts";
import { hasProgram } from "../support/has-program.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";

const HOSTILE = `"><script>alert(1)</script><img src=http://example.org/x onerror='x'>\u202e`;

describe("an audio report", hasProgram("ffmpeg"), () => {
  let folder: TemporaryFolder;
  let tool: FfmpegTool;
  let drawn: DrawnAnalysis;
  before(async () => {
    folder = await temporaryFolder();
    tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
    const path = join(folder.path, `it's <b>"loud".flac`);
    makeMedia("-f", "lavfi", "-i", "sine=f=1000:d=4,volume=0.5", "-metadata", `title=${HOSTILE}`, path);
    drawn = await drawAudio(tool, path);
  });
  after(async () => {
    await tool[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("a tone is seen where it is: in the waveform, in one row of the spectrogram, in the loudness", () => {
    const { wave, spectrogram } = drawn.pictures;
    const peak = Math.max(...wave.map(({ high }) => high));
    assert.ok(Math.abs(peak - 0.0625) < 0.002, `${peak}`);
    const column = Array.from(
      { length: spectrogram.height },
      (_, row) => spectrogram.pixels[row * spectrogram.width + Math.floor(spectrogram.width / 2)] ?? 0,
    );
    const row = spectrogram.height - 1 - column.indexOf(Math.max(...column));
    const hertz = 30 * (drawn.pictures.sampleRate / 2 / 30) ** (row / spectrogram.height);
    assert.ok(Math.abs(hertz / 1000 - 1) < 0.05, `${hertz} Hz`);
    assert.equal(drawn.overTime.length, 40);
    assert.ok(Math.abs((drawn.loudness.integrated ?? 0) - (drawn.overTime.at(-1)?.shortTerm ?? 0)) < 0.2);
  });

  test("nothing of a file's words is markup, and nothing leads outside", () => {
    const html = reportHtml([
      { title: "Before", analysis: drawn },
      { title: "After", analysis: drawn },
    ]);
    const marks = [...html.matchAll(/<([^\s>/!]+)([^>]*)>/g)];
    const known =
      "html head meta title style body h1 h2 h3 table tr th td section svg line polygon polyline text img div span";
    assert.deepEqual(
      marks.map(([, name = ""]) => name).filter((name) => !known.split(" ").includes(name)),
      [],
    );
    assert.deepEqual(
      marks.filter(([, , rest = ""]) => /\son\w+=|javascript:/i.test(rest)).map(([mark]) => mark),
      [],
    );
    assert.ok(html.includes("&#60;script&#62;alert(1)"));
    assert.ok(!html.includes("\u202e"));
    for (const [, , rest = ""] of marks)
      for (const [, address = ""] of rest.matchAll(/(?:src|href|action)="([^"]*)"/g))
        assert.ok(address.startsWith("data:image/png;base64,"), address.slice(0, 100));
    assert.ok(html.includes(`Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-`));
    assert.equal(html.match(/<svg /g)?.length, 4);
  });

  test("its picture is a PNG with a byte for each pixel", () => {
    const html = reportHtml([{ analysis: drawn }]);
    const [, data = ""] = /data:image\/png;base64,([^"]+)/.exec(html) ?? [];
    const png = Buffer.from(data, "base64");
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    const at = png.indexOf("IDAT");
    const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    assert.equal(rows.length, height * (width + 1));
    assert.equal(height, drawn.pictures.spectrogram.height);
  });

  test("columns never grow beyond their number, and lose no extreme", () => {
    const columns = new Columns<number>(8, Math.max);
    for (let item = 0; item < 1000; item++) columns.add(item === 333 ? 5000 : item);
    const result = columns.result();
    assert.ok(result.length <= 8);
    assert.equal(Math.max(...result), 5000);
    assert.equal(result.at(-1), 999);
  });

  test("an hour has no more columns than a second has room for", () => {
    const gatherer = new PictureGatherer(8000);
    const block = new Float32Array(PictureGatherer.block).fill(0.1);
    for (let count = 0; count < (3600 * 8000) / block.length; count++) gatherer.add(block);
    assert.ok(gatherer.wave().length <= 1024);
    assert.ok(gatherer.spectrogram().width <= 1024);
  });

  test("what cannot be seen is shown", () => {
    assert.equal(escapeHtml("a\0\x1b[2J&'\u2066"), "a\\u{0}\\u{1b}[2J&#38;&#39;\\u{2066}");
  });

  test("a report replaces nothing unless told to, and never the audio", async () => {
    const [path, audio] = [join(folder.path, "r.html"), drawn.source.path];
    await writeReport(await planReport(path, [audio], false), "one", false);
    await assert.rejects(planReport(path, [audio], false), { code: "TARGET_EXISTS" });
    await assert.rejects(writeReport(path, "two", false), { code: "TARGET_EXISTS" });
    await writeReport(await planReport(path, [audio], true), "three", true);
    assert.equal(await readFile(path, "utf8"), "three");
    await assert.rejects(planReport(audio, [audio], true), { code: "INVALID_ARGUMENT", message: /ends in \.html/ });
    for (const name of ["notes.txt", "r.html.bak", "html"])
      await assert.rejects(planReport(join(folder.path, name), [audio], true), { code: "INVALID_ARGUMENT" }, name);
    assert.equal(await planReport(join(folder.path, "B.HTM"), [audio], false), join(folder.path, "B.HTM"));
    const alias = join(folder.path, "alias.html");
    await link(audio, alias);
    await assert.rejects(planReport(alias, [audio], true), { code: "INVALID_ARGUMENT", message: /the audio itself/ });
    await assert.rejects(writeReport(join(folder.path, "no", "r.html"), "x", false), { code: "DIRECTORY_MISSING" });
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => name.startsWith(".")),
      [],
    );
    await writeFile(path, "");
  });
});
