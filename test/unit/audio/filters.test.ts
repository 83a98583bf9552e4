/** Filters by name: which may be registered, what a chain of them comes to, and what it makes of a file. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applyFilterChain } from "../../../src/daemon/audio/chain.ts";
import { parseFilters } from "../../../src/daemon/audio/filter-syntax.ts";
import { FilterRegistry } from "../../../src/daemon/audio/filters.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { lengthOf, pinkNoise, readAudio, rmsOf, wave, writeWav } from "../../support/audio/signals.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const refuses = (text: RegExp) => (error: unknown) =>
  error instanceof DownloadError && error.code === "INVALID_ARGUMENT" && text.test(error.message);
const testTool = () => new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
const EQUALIZER = { filter: "equalizer=f=1000:t=h:w=200:g=3", description: "Boost mid frequencies" };

describe("what may be registered", () => {
  test("filters that work on the sound, with quotes, escapes and labels", () => {
    for (const chain of [
      "equalizer=f=1000:t=h:w=200:g=3",
      "volume=-3dB, highpass=f=80",
      "firequalizer=gain_entry='entry(0,0);entry(250,-6);entry(1000,0)'",
      "volume='if(lt(t,10),0.5,1)':eval=frame",
      "volume=if(lt(t\\,10)\\,0.5\\,1):eval=frame",
      "asplit[a][b];[a]lowpass=f=200[low];[b]highpass=f=200[high];[low][high]amix=inputs=2",
      "acompressor@gentle=ratio=2",
      "compand=attacks=0.3:soft-knee=6",
    ])
      assert.doesNotThrow(() => parseFilters(chain), chain);
  });

  test("nothing that opens files, sockets or plugins, makes sound of its own or has no end", () => {
    for (const chain of [
      "amovie=/etc/passwd",
      "anull,amovie=/etc/passwd[x];[x]amix",
      "movie=x",
      "asendcmd=f=/etc/passwd",
      "azmq",
      "ladspa=file=/tmp/evil.so",
      "lv2=p=x",
      "arnndn=m=/etc/passwd",
      "sofalizer=sofa=/etc/passwd",
      "ametadata=mode=print:file=/tmp/x",
      "firequalizer=dumpfile=/tmp/x",
      "firequalizer=dump\\file=/tmp/x",
      "firequalizer='dumpfile'=/tmp/x",
      "firequalizer=gain_interpolate(f):'':0.01:5:hann:0:0:0:linlog:/tmp/x",
      "volume=/volume=/etc/passwd",
      "loudnorm=I=-14:stats_file=/tmp/x",
      "apad",
      "aloop=-1:2e9",
      "areverse",
      "sine",
      "anoisesrc",
      "showwaves",
      "Amovie=x",
      "sws_flags=bilinear;anull",
    ])
      assert.throws(() => parseFilters(chain), refuses(/cannot be registered/), chain);
  });

  test("nothing that is no chain with one input and one output", () => {
    for (const chain of [
      "",
      " ",
      ",",
      "anull,",
      "anull;",
      ";anull",
      "anull,,anull",
      "[in]anull",
      "anull[out]",
      "volume='1",
    ])
      assert.throws(() => parseFilters(chain), refuses(/cannot be registered/), chain);
    assert.throws(() => parseFilters(Array(33).fill("anull").join(",")), refuses(/33 filters/));
    assert.throws(() => parseFilters(`volume=${"1".repeat(5000)}`), refuses(/characters/));
  });

  test("whatever it is given, it refuses in words or lets it through as it is, labels aside", () => {
    const piece = fc.constantFrom(
      "anull",
      "volume=1",
      "amovie=x",
      "[a]",
      ",",
      ";",
      "'",
      "\\",
      ":",
      "=",
      " ",
      "file=",
      "/",
      "\n",
      "@",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        try {
          const again = parseFilters(text).render("");
          assert.doesNotMatch(again, /^\s*(\[\w+\]\s*)*amovie/);
          assert.equal(parseFilters(again).render(""), again);
        } catch (error) {
          assert.ok(error instanceof DownloadError && error.code === "INVALID_ARGUMENT", String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the registry", () => {
  test("tries what it is given, keeps what is there from the start, and forgets what does not run", async () => {
    await using tool = testTool();
    const registry = new FilterRegistry();
    await registry.register(tool, "custom_eq", EQUALIZER);
    assert.ok(registry.list().some(({ name, builtIn }) => name === "custom_eq" && !builtIn));
    await assert.rejects(registry.register(tool, "denoise_light", EQUALIZER), refuses(/cannot be replaced/));
    for (const name of ["", "Custom", "1st", "a b", "x".repeat(65), "__proto__"])
      await assert.rejects(registry.register(tool, name, EQUALIZER), refuses(/no name for a filter/), name);
    // The spec's own string, which no FFmpeg runs.
    const spec = { filter: "anlmdn=s=3:p=0.001:m=15:b=256", description: "" };
    await assert.rejects(registry.register(tool, "literal", spec), refuses(/does not run the filter literal/));
    assert.throws(() => registry.resolve(["literal"], 48_000), refuses(/no filter "literal"/));
    // One that was there stays if its successor does not run.
    await assert.rejects(registry.register(tool, "custom_eq", spec), refuses(/does not run/));
    assert.match(registry.resolve(["custom_eq"], 48_000).chain, /equalizer/);
  });

  test("puts a normalisation at the end, and says so", () => {
    const { order, normalization, notes } = new FilterRegistry().resolve(
      ["normalize_podcast", "denoise_light", "normalize_standard", "spatial_default"],
      48_000,
    );
    assert.deepEqual(order, ["denoise_light", "spatial_default", "normalize_standard"]);
    assert.equal(normalization, "standard");
    assert.equal(notes.length, 2);
  });

  test("all that is there from the start runs, at any rate and on any layout", async () => {
    await using tool = testTool();
    const registry = new FilterRegistry();
    for (const { name, filter } of registry.list())
      if (filter !== undefined)
        for (const [sampleRate, layout] of [
          [44_100, "mono"],
          [96_000, "5.1"],
        ] as const) {
          const { chain } = registry.resolve([name, name], sampleRate);
          assert.equal(await tool.refusesChain(chain, { kind: "audio", sampleRate, layout }), undefined, name);
        }
  });
});

describe("a chain over a file", () => {
  test("comes out as long as it went in and in step, whatever the filters hold back", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const registry = new FilterRegistry();
    for (const rate of [44_100, 48_000]) {
      // One click: where it comes out says how late a filter is.
      const click = wave(rate, 0.5, (time) => (Math.round(time * rate) === 10_000 ? 0.5 : 0));
      const input = await writeWav(join(folder.path, "click.wav"), click, "f32");
      for (const name of ["spatial_default", "denoise_light", "denoise_medium", "denoise_heavy"]) {
        const { path } = await applyFilterChain(tool, registry, input, [name], { overwrite: true });
        const after = readAudio(path);
        assert.equal(lengthOf(after), lengthOf(click), `${name} at ${rate} Hz`);
        const [samples = new Float64Array()] = after.channels;
        const highest = samples.reduce(
          (best, sample, at) => (Math.abs(sample) > Math.abs(samples[best] ?? 0) ? at : best),
          0,
        );
        assert.equal(highest, 10_000, `${name} at ${rate} Hz`);
      }
    }
  });

  test("ends normalised, and says what was done", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const registry = new FilterRegistry();
    await registry.register(tool, "custom_eq", EQUALIZER);
    const input = await writeWav(join(folder.path, "noise.wav"), pinkNoise(1, 3, -30));
    const percents: number[] = [];
    const result = await applyFilterChain(
      tool,
      registry,
      input,
      ["custom_eq", "normalize_standard", "spatial_default"],
      {
        onProgress: ({ percent }) => percent !== undefined && percents.push(percent),
      },
    );
    assert.deepEqual(result.order, ["custom_eq", "spatial_default", "normalize_standard"]);
    assert.ok(Math.abs((result.after?.integrated ?? 0) + 14) <= 0.2, JSON.stringify(result.after));
    assert.ok((result.after?.truePeak ?? 0) <= -0.9);
    assert.deepEqual(
      [...percents].sort((a, b) => a - b),
      percents,
    );
    assert.deepEqual((await readdir(folder.path)).sort(), ["noise.filtered.wav", "noise.wav"]);
  });

  test("says when it became too loud for its format", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const registry = new FilterRegistry();
    await registry.register(tool, "loud", { filter: "volume=30dB", description: "Far too loud" });
    const signal = pinkNoise(2, 1, -20);
    const input = await writeWav(join(folder.path, "noise.wav"), signal);
    const { peak, notes } = await applyFilterChain(tool, registry, input, ["loud"]);
    assert.ok((peak ?? 0) > 5);
    assert.match(notes.join(" "), /too loud by/);
    assert.ok(Math.abs(rmsOf(readAudio(input)) - rmsOf(signal)) < 0.1, "the input was changed");
  });

  test("says when the filters changed the number of channels", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(join(folder.path, "six.wav"), pinkNoise(2, 0.5, -20, 48_000, 6));
    const { notes } = await applyFilterChain(tool, new FilterRegistry(), input, ["spatial_default"]);
    assert.match(notes.join(" "), /2 channels of 6/);
  });

  test("that does not run leaves nothing", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const registry = new FilterRegistry();
    const input = await writeWav(join(folder.path, "noise.wav"), pinkNoise(2, 0.5, -20));
    await assert.rejects(applyFilterChain(tool, registry, input, ["nothing_of_that"]), refuses(/there is no filter/));
    await assert.rejects(applyFilterChain(tool, registry, input, []), refuses(/at least one/));
    assert.deepEqual(await readdir(folder.path), ["noise.wav"]);
  });
});
