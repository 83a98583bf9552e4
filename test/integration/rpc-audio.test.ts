/** `snatchctl audio` against a real server, with the real FFmpeg: results, progress, folders, exit codes, and who may reach what. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeMedia, processesWith } from "../support/ffmpeg.ts";
import { type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { jsonLines, snatchctl, startSnatchctl } from "../support/snatchctl.ts";
import { missing } from "../support/tools.ts";
import { waitFor } from "../support/wait.ts";

describe("snatchctl audio", { skip: missing("ffmpeg", "flac") }, () => {
  let it: RpcFixture;
  let tone: string;
  let count = 0;
  before(async () => {
    it = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await it.server.start();
    tone = join(it.folder, "tone.flac");
    makeMedia("-f", "lavfi", "-i", "sine=f=500:d=3,volume=0.1", "-metadata", "title=A tone", tone);
  });
  after(() => it[Symbol.asyncDispose]());

  const ctl = (...args: string[]) => snatchctl(["--address", `unix:${it.socket}`, ...args]);
  const json = jsonLines;
  const codeIn = (stdout: string): unknown =>
    (json(stdout)[0]?.["error_info"] as { readonly code?: string } | undefined)?.code;
  /** A folder of its own with the tone in it. */
  const fresh = async (name = "a.flac"): Promise<{ folder: string; file: string }> => {
    const folder = join(it.folder, `fresh-${++count}`);
    await mkdir(folder);
    const file = join(folder, name);
    await copyFile(tone, file);
    return { folder, file };
  };

  test("normalize: a file beside the input, the input as it was", async () => {
    const { folder, file } = await fresh();
    const { code, stdout, stderr } = await ctl("audio", "normalize", "--lufs", "-20", file);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /a\.flac → .*a\.normalized\.flac/);
    assert.match(stdout, /after: −20\.0 LUFS, true peak −1\d\.\d dBTP/);
    assert.deepEqual((await readdir(folder)).sort(), ["a.flac", "a.normalized.flac"]);
    assert.deepEqual(await readFile(file), await readFile(tone));
    const again = await ctl("--json", "audio", "normalize", "--lufs", "-20", file);
    assert.equal(again.code, 5);
    assert.equal(codeIn(again.stdout), "TARGET_EXISTS");
  });

  test("--dry-run says what would be done, and does nothing", async () => {
    const { folder, file } = await fresh();
    for (const verb of [
      ["normalize"],
      ["denoise"],
      ["upmix"],
      ["chain", "--filters", "denoise_light"],
      ["replaygain"],
      ["enhance"],
      ["process", "--surround"],
    ]) {
      const { code, stdout, stderr } = await ctl("audio", ...verb, "--dry-run", file);
      assert.equal(code, 0, `${verb[0]}: ${stderr}`);
      assert.match(stdout, /^would be done: /, verb[0]);
    }
    assert.deepEqual(await readdir(folder), ["a.flac"]);
  });

  test("validate: 0 for whole files, 7 for a damaged one, which is named with the place", async () => {
    const { folder, file } = await fresh();
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 100) ^ 1, bytes.length - 100);
    await writeFile(join(folder, "b.flac"), bytes);
    await writeFile(join(folder, "notes.txt"), "no music");
    assert.equal((await ctl("audio", "validate", file)).code, 0);
    const { code, stdout } = await ctl("audio", "validate", "-r", folder);
    assert.equal(code, 7);
    assert.match(stdout, /DAMAGED .*b\.flac/);
    assert.match(stdout, /no whole frame|the last frame is not whole/);
    const [whole, damaged] = json((await ctl("--json", "audio", "validate", "-j", "1", "-r", folder)).stdout);
    assert.deepEqual([whole?.["status"], damaged?.["status"]], ["valid", "damaged"]);
    assert.equal((await ctl("audio", "validate", folder)).code, 2);
  });

  test("analyze: figures, and a page that replaces nothing", async () => {
    const { folder, file } = await fresh();
    const report = join(folder, "a.html");
    const { code, stdout, stderr } = await ctl("--json", "audio", "analyze", file, "--report", report);
    assert.equal(code, 0, stderr);
    const [figures] = json(stdout);
    assert.equal(figures?.["content"], "music");
    assert.equal((figures?.["format"] as { codec?: string } | undefined)?.codec, "flac");
    assert.match(await readFile(report, "utf8"), /^<!doctype html>[\s\S]*A tone/);
    assert.equal((await ctl("audio", "analyze", file, "--report", report)).code, 5);
    assert.equal((await ctl("audio", "analyze", file, "--report", file, "--overwrite")).code, 2);
    assert.deepEqual(await readFile(file), await readFile(tone));
  });

  test("detect, chain, replaygain, upmix, denoise: each does its own", async () => {
    const { folder, file } = await fresh();
    const of = async (...args: string[]) => {
      const { code, stdout, stderr } = await ctl("--json", "audio", ...args);
      assert.equal(code, 0, `${args[0]}: ${stderr}${stdout}`);
      return json(stdout)[0] ?? {};
    };
    assert.equal((await of("detect", file))["content"], "music");
    const chained = await of("chain", "--filters", "normalize_podcast,spatial_default", file);
    assert.deepEqual(chained["order"], ["spatial_default", "normalize_podcast"]);
    assert.equal((await of("upmix", "--content", "music", file))["changed"], true);
    const noisy = join(folder, "n.wav");
    makeMedia(
      "-f",
      "lavfi",
      "-i",
      "anoisesrc=d=3:a=0.02:c=pink",
      "-i",
      file,
      "-filter_complex",
      "amix=inputs=2",
      noisy,
    );
    assert.equal((await of("denoise", "--strength", "heavy", noisy))["changed"], true);
    assert.equal((await of("replaygain", "--in-place", file))["path"], file);
    const names = (await readdir(folder)).sort();
    assert.deepEqual(names, ["a.7.1.flac", "a.filtered.flac", "a.flac", "n.denoised.wav", "n.wav"]);
  });

  test("a folder: every file, several at once, hidden ones and earlier results left out; one that fails is named", async () => {
    const { folder } = await fresh();
    for (const name of ["b.flac", "c.flac", ".hidden.flac", "d.normalized.flac"])
      await copyFile(tone, join(folder, name));
    await writeFile(join(folder, "broken.mp3"), "no music at all");
    const { code, stdout, stderr } = await ctl("audio", "normalize", "-r", folder);
    assert.equal(code, 4);
    assert.equal(stdout.match(/→/g)?.length, 3);
    assert.match(stderr, /FAILED .*broken\.mp3: MEDIA_INVALID/);
    assert.match(stderr, /3 of 4 files without a problem/);
  });

  test("filters: those from the start, and whether they run", async () => {
    const listed = json((await ctl("--json", "audio", "filters")).stdout);
    const names = listed.map(({ name }) => name);
    for (const name of ["spatial_default", "denoise_light", "denoise_medium", "denoise_heavy", "normalize_standard"])
      assert.ok(names.includes(name), name);
    assert.deepEqual(
      listed.filter(({ problem }) => problem !== null),
      [],
    );
  });

  test("Ctrl-C in mid-run: no file is left, and no process", async () => {
    const { folder, file } = await fresh("long.wav");
    makeMedia("-f", "lavfi", "-i", "anoisesrc=d=1800:r=48000:a=0.1", "-ac", "2", "-c:a", "pcm_s16le", file);
    const size = (await stat(file)).size;
    using running = startSnatchctl(["--address", `unix:${it.socket}`, "audio", "upmix", file]);
    const deadline = performance.now() + 30_000;
    // FFprobe looks at the file first, for moments; FFmpeg, which tells how far it is, takes seconds.
    await waitFor(
      "FFmpeg",
      () => {
        const tell = new Set(processesWith("-progress pipe:"));
        return processesWith(`file:${file}`).some((pid) => tell.has(pid));
      },
      30_000,
    );
    running.child.kill("SIGINT");
    assert.equal((await running.finished).code, 130);
    while (processesWith(`file:${folder}`).length > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(processesWith(`file:${folder}`), []);
    while ((await readdir(folder)).length > 1 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await readdir(folder), ["long.wav"]);
    assert.equal((await stat(file)).size, size);
  });

  test("over TCP only what lies in the allowed folders is reached", async () => {
    const { file } = await fresh();
    const allowed = join(it.folder, "downloads");
    await mkdir(allowed, { recursive: true });
    const inside = join(allowed, "tcp.flac");
    await copyFile(tone, inside);
    const linked = join(it.folder, "linked.flac");
    await symlink(inside, linked);
    const page = join(it.folder, "page.html");
    await symlink(inside, page);
    const [address = ""] = it.tcp();
    const tcp = (...args: string[]) =>
      snatchctl(["--json", "--address", address, "--token-file", it.tokenFile, "audio", ...args]);
    assert.equal((await tcp("validate", inside)).code, 0);
    for (const args of [
      ["detect", file],
      ["normalize", inside, "-o", join(it.folder, "out.flac")],
      ["analyze", inside, "--report", join(it.folder, "out.html")],
      ["analyze", inside, "--report", join(allowed, "out.html"), "--after", file],
      // A link that leads inside lies outside: what is written beside it, or in its place, would as well.
      ["normalize", linked],
      ["normalize", inside, "-o", linked, "--overwrite"],
      ["analyze", inside, "--report", page, "--overwrite"],
    ]) {
      const { stdout } = await tcp(...args);
      assert.equal(codeIn(stdout), "TARGET_NOT_ALLOWED", args[0]);
    }
    assert.deepEqual((await readdir(allowed)).sort(), ["tcp.flac"]);
    assert.deepEqual([await readlink(linked), await readlink(page)], [inside, inside]);
  });
});
