/** Audio through the real daemon and the real command line, as built. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { abortAcceptance } from "../support/audio/abort-acceptance.ts";
import { makeFlac } from "../support/audio/flac-files.ts";
import { temporaryFolder } from "../support/files.ts";
import { startNginx } from "../support/nginx.ts";
import { Home } from "../support/program.ts";
import { missing } from "../support/tools.ts";

test("called off, and FFmpeg killed with -9, in mid-run: nothing is left", {
  skip: missing("ffmpeg", "ps"),
}, async () => {
  const { ok, values } = await abortAcceptance({ seconds: 60, times: 1, seed: 1, only: ["normalize", "chain"] });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});

test("steps of a download: what was asked for, what is configured, what has no audio", {
  skip: missing("nginx", "flac", "ffmpeg"),
}, async () => {
  await using www = await temporaryFolder();
  makeFlac(www.path, "a.flac", { bits: 16, samples: 88_200 });
  await writeFile(join(www.path, "page.txt"), "no music\n".repeat(100));
  const bytes = await readFile(join(www.path, "a.flac"));
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 200) ^ 1, bytes.length - 200);
  await writeFile(join(www.path, "damaged.flac"), bytes);
  await using nginx = await startNginx({ root: www.path });
  const filter = '[audio.filters.quieter]\nfilter = "volume=-6dB"\n';
  await using home = await Home.create({ config: `[audio]\non_download = ["normalize"]\n${filter}` });
  await home.start();
  const place = join(home.path, "here");
  const get = (name: string, output: string, ...more: string[]) =>
    home.ctl(["get", "--json", "-o", join(place, output), `${nginx.http}/${name}`, ...more]);
  const loudness = async (path: string): Promise<number> => {
    const [figures] = (await home.ctl(["audio", "analyze", "--json", path])).json();
    return (figures?.["loudness"] as { integrated?: number } | undefined)?.integrated ?? Number.NaN;
  };

  const configured = await get("a.flac", "a.flac");
  assert.equal(configured.code, 0, configured.stderr);
  assert.ok(Math.abs((await loudness(join(place, "a.flac"))) + 14) <= 0.2);
  assert.notDeepEqual(await readFile(join(place, "a.flac")), await readFile(join(www.path, "a.flac")));

  const quieter = await get("a.flac?2", "b.flac", "--audio", "normalize_podcast,quieter");
  assert.equal(quieter.code, 0, quieter.stderr);
  assert.ok(Math.abs((await loudness(join(place, "b.flac"))) + 22) <= 0.3);

  const plain = await get("a.flac?3", "c.flac", "--audio", "none");
  assert.equal(plain.code, 0, plain.stderr);
  assert.deepEqual(await readFile(join(place, "c.flac")), await readFile(join(www.path, "a.flac")));

  assert.equal((await get("page.txt", "page.txt")).code, 0);
  assert.deepEqual(await readFile(join(place, "page.txt")), await readFile(join(www.path, "page.txt")));

  const damaged = await get("damaged.flac", "d.flac", "--audio", "validate");
  assert.equal(damaged.code, 4, damaged.stdout + damaged.stderr);
  assert.match(damaged.stdout + damaged.stderr, /the FLAC file is damaged/);
  const unknown = await get("a.flac?4", "e.flac", "--audio", "louder");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stdout + unknown.stderr, /there is no step or filter/);
});
