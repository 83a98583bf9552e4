/** What every `MediaTool` does. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { MediaTool } from "../../src/daemon/core/ports/media.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Declares the tests of one implementation. */
export function mediaToolContract(name: string, make: () => MediaTool & AsyncDisposable): void {
  const tone = { generate: "sine=d=1:r=48000" };

  test(`${name}: what a run made is what a probe finds`, async () => {
    await using tool = make();
    await using folder = await temporaryFolder();
    const path = join(folder.path, "tone.flac");
    await tool.run({ inputs: [tone], output: { path, format: "flac" } });
    const { format, durationSeconds, streams } = await tool.probe(path);
    assert.deepEqual([format, durationSeconds], ["flac", 1]);
    const [{ kind, codec, sampleRate, channels } = assert.fail("no stream")] = streams;
    assert.deepEqual([kind, codec, sampleRate, channels], ["audio", "flac", 48_000, 1]);
    assert.equal(await tool.cover(path), undefined);
    assert.equal(tool.containerFor([await tool.probe(path)]), "flac");
  });

  test(`${name}: a job's result is told as it is on disk, and what is there stays unless it may go`, async () => {
    await using tool = make();
    await using folder = await temporaryFolder();
    const path = join(folder.path, "tone.flac");
    await tool.run({ inputs: [tone], output: { path, format: "flac" } });
    const job = { tracks: [{ path }], target: path, container: "flac", tags: { title: "A" } } as const;
    const before = await readFile(path);
    await assert.rejects(tool.make(job), { code: "TARGET_EXISTS" });
    const prove = () => Promise.reject(new Error("not proved"));
    await assert.rejects(tool.make({ ...job, replace: true, prove }), /not proved/);
    assert.ok((await readFile(path)).equals(before));
    const made = await tool.make({ ...job, replace: true });
    assert.equal(made.info.tags["title"], "A");
    assert.deepEqual(made.info, await tool.probe(path));
    assert.deepEqual(await readdir(folder.path), ["tone.flac"]);
  });

  test(`${name}: what is called off rejects with the reason and leaves nothing`, async () => {
    await using tool = make();
    await using folder = await temporaryFolder();
    const reason = new Error("called off");
    const output = { path: join(folder.path, "tone.wav"), format: "wav" };
    const begun = Promise.withResolvers<void>();
    const control = new AbortController();
    const { signal } = control;
    const endless = { generate: "sine", options: ["-re"] };
    const run = tool.run({ inputs: [endless], output, signal, onProgress: () => begun.resolve() });
    await begun.promise;
    control.abort(reason);
    await assert.rejects(run, (error) => error === reason);
    await assert.rejects(tool.run({ inputs: [tone], output, signal }), (error) => error === reason);
    await assert.rejects(tool.version(signal), (error) => error === reason);
    assert.deepEqual(await readdir(folder.path), []);
  });

  test(`${name}: what is no media, or does not fit, is refused by name`, async () => {
    await using tool = make();
    await using folder = await temporaryFolder();
    const path = join(folder.path, "tone.wav");
    const target = join(folder.path, "out");
    await tool.run({ inputs: [tone], output: { path, format: "wav" } });
    await assert.rejects(tool.make({ tracks: [{ path }], target, container: "mp3" }), { code: "MEDIA_UNFIT" });
    await writeFile(path, "not media");
    await assert.rejects(tool.probe(path), { code: "MEDIA_INVALID" });
    await assert.rejects(tool.make({ tracks: [{ path }], target, container: "mka" }), { code: "MEDIA_INVALID" });
    await assert.rejects(tool.run({ inputs: [{ path }], output: { nothing: true } }), { code: "FFMPEG_FAILED" });
    assert.deepEqual(await readdir(folder.path), ["tone.wav"]);
  });
}
