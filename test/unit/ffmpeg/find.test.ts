/** Which FFmpeg is found, what of its version is understood, and what is said where there is none. */
import assert from "node:assert/strict";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { ffmpegCheck } from "../../../src/daemon/ffmpeg/check.ts";
import { ProgramFinder } from "../../../src/daemon/ffmpeg/find.ts";
import { installHint } from "../../../src/daemon/ffmpeg/install-hint.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { isTooOld, versionIn } from "../../../src/daemon/ffmpeg/version.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { fakeFfmpeg, isAlive, pidIn } from "../../support/ffmpeg.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const clock = new SystemClock();
const toolOf = (path: string) => new FfmpegTool({ path, processes: 1, timeoutMs: 10_000 }, { clock });

describe("the version", () => {
  for (const [version, old] of [
    ["5.1.9-0+deb12u1", false],
    ["5.1", false],
    ["n7.0.2", false],
    ["8.0", false],
    ["10.1", false],
    ["5.0.1", true],
    ["4.4.2-0ubuntu0.22.04.1", true],
    ["n4.4", true],
    ["5", true],
    ["N-113684-g1f3a5b7", false],
    ["N-90000-g1f3a5b7", true],
    ["git-2024-01-01-abcdef", false],
    ["2024-01-01-git-abcdef-full_build-www.gyan.dev", false],
  ] as const) {
    test(`${version} is ${old ? "too old" : "new enough"}`, () => {
      assert.equal(versionIn(`ffmpeg version ${version} Copyright (c) 2000-2026`), version);
      assert.equal(isTooOld(version), old);
    });
  }

  test("of something else is none", () => {
    assert.equal(versionIn("GNU bash, version 5.2.15(1)-release"), undefined);
  });
});

describe("how to install it", () => {
  for (const [platform, osRelease, wanted] of [
    ["linux", 'NAME="Debian"\nID=debian\n', "sudo apt install ffmpeg"],
    ["linux", 'ID=zorin\nID_LIKE="ubuntu debian"\n', "sudo apt install ffmpeg"],
    ["linux", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install ffmpeg (or ffmpeg-free)"],
    ["linux", "ID=arch\n", "sudo pacman -S ffmpeg"],
    ["linux", 'ID="opensuse-tumbleweed"\n', "sudo zypper install ffmpeg"],
    ["linux", "", "see https://ffmpeg.org/download.html"],
    ["darwin", "", "brew install ffmpeg"],
  ] as const) {
    test(`${platform} ${JSON.stringify(osRelease)}: ${wanted}`, () =>
      assert.equal(installHint(platform, osRelease), wanted));
  }
});

describe("the finder", () => {
  const code = (wanted: string) => (error: unknown) => error instanceof DownloadError && error.code === wanted;

  test("says how to install what is not there, too old, or something else", async () => {
    await using folder = await temporaryFolder();
    const find = (path: string) => new ProgramFinder(path, clock).find();
    await assert.rejects(find(join(folder.path, "ffmpeg")), code("FFMPEG_MISSING"));
    await assert.rejects(find("no-such-ffmpeg"), /no-such-ffmpeg was not found; install it with: \S/);
    await assert.rejects(find(await fakeFfmpeg(folder.path, "", "4.4.2")), (error: DownloadError) => {
      assert.equal(error.code, "FFMPEG_TOO_OLD");
      assert.match(error.message, /is FFmpeg 4\.4\.2; 5\.1 or newer is needed: \S/);
      return true;
    });
    const other = join(folder.path, "other");
    await writeFile(other, "#!/bin/sh\necho hello\n");
    await assert.rejects(find(other), code("FFMPEG_MISSING"));
    await chmod(other, 0o755);
    await assert.rejects(find(other), /does not say that it is FFmpeg/);
    await writeFile(other, "#!/bin/sh\nexit 9\n");
    await assert.rejects(find(other), /does not run: exit code 9/);
    await rm(other);
  });

  test("looks again when the file has changed, and only then", async () => {
    await using folder = await temporaryFolder();
    const path = await fakeFfmpeg(folder.path, "", "4.0");
    const finder = new ProgramFinder(path, clock);
    await assert.rejects(finder.find(), code("FFMPEG_TOO_OLD"));
    await fakeFfmpeg(folder.path, "", "7.1.1");
    const found = await finder.find();
    assert.equal(found.version, "7.1.1");
    assert.equal(found.ffprobe, join(folder.path, "ffprobe"));
    assert.equal(await finder.find(), found);
  });

  test("that is called off ends at once with the reason", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "ffmpeg");
    await writeFile(path, "#!/bin/sh\nexec sleep 600\n");
    await chmod(path, 0o755);
    await assert.rejects(new ProgramFinder(path, clock).find(AbortSignal.timeout(100)), { name: "TimeoutError" });
  });
});

test("ffprobe that hangs ends with the tool", async () => {
  await using folder = await temporaryFolder();
  const path = await fakeFfmpeg(folder.path, 'echo $$ > "$0.pid"; exec sleep 600');
  const tool = toolOf(path);
  const probing = assert.rejects(tool.probe(path), { code: "SHUTTING_DOWN" });
  const pid = await pidIn(join(folder.path, "ffprobe.pid"));
  await tool[Symbol.asyncDispose]();
  await probing;
  assert.equal(await isAlive(pid), false);
});

describe("the check", () => {
  const signal = new AbortController().signal;

  test("fails where a named one is missing, warns where none was named, and names what is lacking", async () => {
    await using folder = await temporaryFolder();
    await using absent = toolOf(join(folder.path, "ffmpeg"));
    const named = await ffmpegCheck(absent, true).run(signal);
    assert.equal(named.status, "failed");
    assert.match(named.message, /was not found; install it with: .*; audio and video cannot be processed/);
    assert.equal((await ffmpegCheck(absent, false).run(signal)).status, "warning");
    const filters = 'case "$*" in *-filters*) echo " T.. afftdn  A->A  x"; echo " ... ebur128  A->N  x";; esac';
    const encoders = 'case "$*" in *-encoders*) echo " A....D flac  x"; echo " A....D aac  x";; esac';
    await using poor = toolOf(await fakeFfmpeg(folder.path, `${filters}\n${encoders}`));
    const outcome = await ffmpegCheck(poor, true).run(signal);
    const missing =
      "filter loudnorm, filter anlmdn, filter surround, filter alimiter, filter firequalizer, filter astats, " +
      "encoder libmp3lame, encoder libopus, encoder libvorbis";
    assert.deepEqual([outcome.status, outcome.message], ["warning", `7.1 lacks: ${missing}`]);
  });
});
