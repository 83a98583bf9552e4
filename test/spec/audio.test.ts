/** The examples of the specification's audio section, against the package by its name. */
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AudioProcessor, EnhancedAudioProcessor } from "snatch";
import { makeMedia } from "../support/ffmpeg.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";

/** The options of the specification. */
const config = { max_concurrent_downloads: 3, chunk_size: 8388608, memory_limit_percent: 80 };

describe("spec: audio", { skip: missing("ffmpeg") }, () => {
  let folder: TemporaryFolder;
  let options: { readonly home: string };
  let file: string;
  before(async () => {
    folder = await temporaryFolder();
    options = { home: folder.path };
    file = join(folder.path, "audio.flac");
    const sound =
      "sine=f=300:d=4,volume=0.3[a];anoisesrc=d=4:a=0.01:c=pink[b];[a][b]amix=inputs=2,aformat=channel_layouts=stereo";
    makeMedia("-filter_complex", sound, file);
  });
  after(() => folder[Symbol.asyncDispose]());
  const fresh = async (name: string): Promise<string> => {
    const path = join(folder.path, name);
    await copyFile(file, path);
    return path;
  };

  test("processWithEnhancements: the whole chain with surround, denoising and a loudness", async () => {
    const processor = new EnhancedAudioProcessor(config, options);
    const input = await fresh("whole.flac");
    const result = await processor.processWithEnhancements(input, {
      enhanceSurround: true,
      denoiseLevel: "medium",
      normalizeTarget: -14.0,
    });
    assert.equal(result.changed, true);
    assert.ok(Math.abs((result.after.integrated ?? 0) + 14) <= 0.2, `${result.after.integrated} LUFS`);
    assert.ok(result.after.truePeak <= -0.9, `${result.after.truePeak} dBTP`);
    const { source } = await processor.analyze(result.path);
    assert.equal(source.stream.channels, 8);
  });

  test("registerFilter, then applyFilterChain: on the file that the processor was given last", async () => {
    const processor = new EnhancedAudioProcessor(config, options);
    const chain = ["custom_eq", "normalize_standard", "spatial_default"];
    processor.registerFilter("custom_eq", {
      filter: "equalizer=f=1000:t=h:w=200:g=3",
      description: "Boost mid frequencies",
    });
    await assert.rejects(processor.applyFilterChain(chain), { code: "INVALID_ARGUMENT" });
    await processor.detectContent(await fresh("chain.flac"));
    const result = await processor.applyFilterChain(chain);
    assert.deepEqual(result.order, ["custom_eq", "spatial_default", "normalize_standard"]);
    assert.equal(result.path, join(folder.path, "chain.filtered.flac"));
    assert.ok(Math.abs((result.after?.integrated ?? 0) + 14) <= 0.2, `${result.after?.integrated} LUFS`);
  });

  test("AudioProcessor: upmixTo71, denoiseAudio, normalizeAudio by the signatures' defaults; FLAC validated", async () => {
    const processor = new AudioProcessor(config, options);
    const input = await fresh("single.flac");
    const upmixed = await processor.upmixTo71(input, join(folder.path, "wide.flac"), { contentType: "auto" });
    assert.equal(upmixed.path, join(folder.path, "wide.flac"));
    const denoised = await processor.denoiseAudio(input, { strength: "medium", preserveQuality: true });
    const normalized = await processor.normalizeAudio(denoised.path, { targetLufs: -14.0, truePeak: -1.0 });
    assert.ok(Math.abs((normalized.after?.integrated ?? 0) + 14) <= 0.2);
    for (const path of [upmixed.path, normalized.path])
      assert.equal((await processor.validateFlac(path)).status, "valid", path);
  });

  test("every name of the filter table exists and runs", async () => {
    const processor = new EnhancedAudioProcessor(config, options);
    const input = await fresh("names.flac");
    const names = [
      "spatial_default",
      "denoise_light",
      "denoise_medium",
      "denoise_heavy",
      "normalize_standard",
      "normalize_podcast",
    ];
    for (const name of names)
      await processor.applyFilterChain([name], input, { output: join(folder.path, `${name}.flac`) });
    assert.deepEqual((await processor.filters()).map(({ name }) => name).sort(), [...names].sort());
  });

  test("filters of the configuration are there; one that does not run is named", async () => {
    const filters = { quieter: { filter: "volume=-3dB" }, broken: { filter: "volume=nonsense" } };
    const processor = new EnhancedAudioProcessor({ audio: { filters } }, options);
    await processor.applyFilterChain(["quieter"], await fresh("own.flac"));
    assert.match((await processor.filterProblems()).join(), /^audio\.filters\.broken: /);
  });
});
