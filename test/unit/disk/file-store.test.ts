/** The disk room on real files: positions, claims, placing, syncs in groups, and what goes wrong. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { downloadFolderCheck } from "../../../src/daemon/disk/check.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { FolderSync } from "../../../src/daemon/disk/folder-sync.ts";
import { hasProgram } from "../../support/has-program.ts";
import { needsMount, temporaryFolder, temporaryMount } from "../../support/temporary-folder.ts";

const run = promisify(execFile);
const files = new DiskFileStore();
const MIB = 1024 * 1024;

describe("part files", () => {
  test("bytes land at their positions, in any order and side by side", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "a.part");
    const part = await files.openPart(path);
    await Promise.all([3, 1, 0, 2].map((index) => part.write(Buffer.alloc(1000, index + 65), index * 1000)));
    await part.sync();
    assert.equal(await part.size(), 4000);
    assert.equal(Buffer.from(await part.read(2999, 2)).toString(), "CD");
    assert.equal((await part.read(3990, 100)).length, 10);
    await part.truncate(1);
    await part.close();
    await part.close();
    assert.equal(await readFile(path, "utf8"), "A");
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  test("opening again keeps what is there", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "a.part");
    await writeFile(path, "kept");
    const part = await files.openPart(path);
    assert.equal(Buffer.from(await part.read(0, 10)).toString(), "kept");
    await part.reserve(2);
    assert.equal(await part.size(), 4, "reserving less does not cut");
    await part.reserve(10);
    assert.equal(await part.size(), 10);
    await part.close();
    await assert.rejects(part.write(Buffer.from("x"), 0), { code: "IO_ERROR", message: /it is closed/ });
  });

  test("a symbolic link in its place is not followed", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "a.part");
    await symlink(join(folder.path, "elsewhere"), path);
    await assert.rejects(files.openPart(path), { code: "NAME_INVALID", name: "FileSystemError" });
    assert.deepEqual(await readdir(folder.path), ["a.part"]);
  });

  test("a folder that is not there", async () => {
    await assert.rejects(files.openPart("/nowhere/at/all.part"), {
      code: "DIRECTORY_MISSING",
      message: "opening /nowhere/at/all.part failed: no such file or directory (ENOENT)",
    });
  });

  test("room that is not there is refused before a byte is written", async () => {
    await using folder = await temporaryFolder();
    const part = await files.openPart(join(folder.path, "a.part"));
    await assert.rejects(part.reserve(2 ** 52), { code: "DISK_FULL", name: "SystemResourceError" });
    assert.equal(await part.size(), 0);
    await part.close();
  });

  test(
    "a disk that fills up while it is written to: DISK_FULL, and it goes on when there is room",
    needsMount,
    async () => {
      await using disk = await temporaryMount(4 * MIB);
      await writeFile(join(disk.path, "other"), Buffer.alloc(2 * MIB));
      const part = await files.openPart(join(disk.path, "a.part"));
      await part.write(Buffer.alloc(MIB, 1), 0);
      await assert.rejects(part.write(Buffer.alloc(2 * MIB, 2), MIB), (error: Error & { code: string }) => {
        assert.equal(error.code, "DISK_FULL");
        assert.match(error.message, /^writing .*a\.part failed: no space left on device \(ENOSPC\)$/);
        return true;
      });
      await assert.rejects(part.reserve(3 * MIB), { code: "DISK_FULL" });
      await files.remove(join(disk.path, "other"));
      await part.reserve(3 * MIB);
      await part.write(Buffer.alloc(2 * MIB, 2), MIB);
      assert.equal((await part.read(0, 1))[0], 1);
      await part.close();
    },
  );

  test("a read-only file system: READ_ONLY", needsMount, async () => {
    await using disk = await temporaryMount(4 * MIB);
    disk.remount("ro");
    await assert.rejects(files.openPart(join(disk.path, "a.part")), { code: "READ_ONLY" });
    await assert.rejects(files.ensureDirectory(disk.path), { code: "READ_ONLY" });
    await assert.rejects(files.ensureDirectory(join(disk.path, "sub")), { code: "READ_ONLY" });
    const outcome = await downloadFolderCheck({ folder: disk.path, minFreeSpace: 0 }, files).run(AbortSignal.abort());
    assert.equal(outcome.status, "failed");
    assert.equal(outcome.details?.["code"], "READ_ONLY");
    disk.remount("rw");
    await files.ensureDirectory(join(disk.path, "sub"));
  });
});

describe("claims", () => {
  test("rename: no two of one name, with all of the extension behind the number", async () => {
    await using folder = await temporaryFolder();
    const own = new DiskFileStore();
    await writeFile(join(folder.path, "a.tar.gz"), "");
    const names = await Promise.all(Array.from({ length: 5 }, () => own.claim(folder.path, "a.tar.gz", "rename")));
    assert.deepEqual(
      names.map((claim) => claim.path).toSorted(),
      [1, 2, 3, 4, 5].map((number) => join(folder.path, `a (${number}).tar.gz`)),
    );
    const first = await own.claim(folder.path, "b", "rename");
    assert.equal(first.path, join(folder.path, "b"));
    first[Symbol.dispose]();
    const second = await own.claim(folder.path, "b", "rename");
    assert.equal(second.path, first.path);
    // Given up again: by now it is another's.
    first[Symbol.dispose]();
    assert.notEqual((await own.claim(folder.path, "b", "rename")).path, second.path);
  });

  test("a thousand of one name do not take a thousand looks each", async () => {
    await using folder = await temporaryFolder();
    const own = new DiskFileStore();
    const names = new Set<string>();
    for (let index = 0; index < 1000; index++) {
      using claim = await own.claim(folder.path, "index.html", "rename");
      await writeFile(claim.path, "");
      names.add(claim.path);
    }
    assert.equal(names.size, 1000);
    assert.ok(names.has(join(folder.path, "index (999).html")));
  });

  test("skip and overwrite", async () => {
    await using folder = await temporaryFolder();
    const own = new DiskFileStore();
    const path = join(folder.path, "a");
    await writeFile(path, "");
    await assert.rejects(own.claim(folder.path, "a", "skip"), { code: "TARGET_EXISTS" });
    const claim = await own.claim(folder.path, "a", "overwrite");
    assert.equal(claim.path, path);
    await assert.rejects(own.claim(folder.path, "a", "overwrite"), { code: "TARGET_BUSY" });
    assert.equal(await own.reclaim(path, "overwrite"), undefined, "another holds it");
    claim[Symbol.dispose]();
    assert.equal(await own.reclaim(path, "rename"), undefined, "a file is there");
    assert.equal((await own.reclaim(path, "overwrite"))?.path, path);
    await mkdir(join(folder.path, "folder"));
    await assert.rejects(own.claim(folder.path, "folder", "overwrite"), {
      code: "TARGET_EXISTS",
      message: /is a folder/,
    });
  });

  test("a dangling link is there too", async () => {
    await using folder = await temporaryFolder();
    await symlink("nowhere", join(folder.path, "a"));
    await assert.rejects(new DiskFileStore().claim(folder.path, "a", "skip"), { code: "TARGET_EXISTS" });
  });

  test("a literal path is literal, if it can be a file", async () => {
    await using folder = await temporaryFolder();
    const own = new DiskFileStore();
    const path = join(folder.path, ".-odd name. ");
    assert.equal((await own.claimPath(path, "skip")).path, path);
    for (const bad of ["relative", `${folder.path}/`, join(folder.path, "n".repeat(256)), join(folder.path, "a\0b")])
      await assert.rejects(own.claimPath(bad, "skip"), { code: "NAME_INVALID" });
    await assert.rejects(own.claimPath(join(folder.path, ".-odd name. "), "skip"), { code: "TARGET_BUSY" });
  });
});

describe("placing", () => {
  async function partIn(folder: string, text = "whole"): Promise<string> {
    const part = await files.openPart(join(folder, "x.part"));
    await part.write(Buffer.from(text), 0);
    await part.sync();
    await part.close();
    return part.path;
  }

  test("the file has its name, time, rights and identity", async () => {
    await using folder = await temporaryFolder();
    const own = new DiskFileStore();
    const { path: target } = await own.claim(folder.path, "a.txt", "rename");
    const mtimeMs = Date.UTC(2020, 0, 6, 10);
    const identity = await own.place(await partIn(folder.path), target, { mtimeMs, replace: false });
    const found = await stat(target);
    assert.deepEqual(identity, { size: 5, mtimeMs, ino: found.ino });
    assert.equal(found.mode & 0o777, 0o666 & ~process.umask());
    assert.deepEqual(await readdir(folder.path), ["a.txt"]);
    assert.deepEqual(await own.stat(target), identity);
  });

  for (const [mode, bits] of [
    [0o755, 0o111],
    [0o700, 0o100],
    [0o7677, 0o011],
    [0o4000, 0],
    [0o644, 0],
  ] as const)
    test(`of mode ${mode.toString(8)} only the bits for execution are heeded, as far as the mask allows`, async () => {
      await using folder = await temporaryFolder();
      const target = join(folder.path, "a.txt");
      await files.place(await partIn(folder.path), target, { mode, replace: false });
      assert.equal((await stat(target)).mode & 0o7777, (0o666 | bits) & ~process.umask());
    });

  test("an existing file is replaced only if that is wanted", async () => {
    await using folder = await temporaryFolder();
    const target = join(folder.path, "a.txt");
    await writeFile(target, "theirs");
    const part = await partIn(folder.path, "ours");
    await assert.rejects(files.place(part, target, { replace: false }), { code: "TARGET_EXISTS" });
    assert.equal(await readFile(target, "utf8"), "theirs");
    await files.place(part, target, { replace: true });
    assert.equal(await readFile(target, "utf8"), "ours");
  });

  test("into another file system: copied beside it, then renamed", needsMount, async () => {
    await using folder = await temporaryFolder();
    await using disk = await temporaryMount(4 * MIB);
    const part = await partIn(folder.path);
    const mtimeMs = Date.UTC(2021, 1, 3);
    const target = join(disk.path, "a.txt");
    const identity = await files.place(part, target, { mtimeMs, replace: false });
    assert.equal(identity.mtimeMs, mtimeMs);
    assert.equal(await readFile(target, "utf8"), "whole");
    assert.deepEqual(await readdir(disk.path), ["a.txt"]);
    assert.deepEqual(await readdir(folder.path), []);

    const large = await partIn(folder.path, "x".repeat(8 * MIB));
    await assert.rejects(files.place(large, join(disk.path, "b.txt"), { replace: false }), { code: "DISK_FULL" });
    assert.deepEqual(await readdir(disk.path), ["a.txt"], "nothing half is left");
    assert.deepEqual(await readdir(folder.path), ["x.part"], "and the part is where it was");
  });

  test("the order on the disk: write, fdatasync, rename, fsync of the folder", hasProgram("strace"), async () => {
    await using folder = await temporaryFolder();
    const script = `
      import { DiskFileStore } from ${JSON.stringify(new URL("../../../src/daemon/disk/file-store.ts", import.meta.url).href)};
      const files = new DiskFileStore();
      const part = await files.openPart(${JSON.stringify(join(folder.path, "a.part"))});
      await part.write(Buffer.from("bytes"), 0);
      await part.sync();
      await part.close();
      await files.place(part.path, ${JSON.stringify(join(folder.path, "a.txt"))}, { replace: false });`;
    const log = join(folder.path, "strace.log");
    const calls = "trace=pwrite64,fdatasync,rename,renameat,renameat2,fsync";
    const command = ["-f", "-y", "-qq", "-o", log, "-e", calls, process.execPath, "--input-type=module", "-e", script];
    await run("strace", command);
    const seen = (await readFile(log, "utf8"))
      .split("\n")
      .filter((line) => line.includes(folder.path))
      .map((line) => /(pwrite64|fdatasync|rename|fsync)/.exec(line)?.[0]);
    assert.deepEqual(seen, ["pwrite64", "fdatasync", "rename", "fsync"]);
  });
});

describe("folders", () => {
  test("are made with their parents; a file in the way is named", async () => {
    await using folder = await temporaryFolder();
    await files.ensureDirectory(join(folder.path, "a/b/c"));
    await writeFile(join(folder.path, "file"), "");
    await assert.rejects(files.ensureDirectory(join(folder.path, "file")), {
      code: "DIRECTORY_MISSING",
      message: /is a file/,
    });
    await assert.rejects(files.ensureDirectory(join(folder.path, "file/x")), { code: "DIRECTORY_MISSING" });
  });

  test("free space is that of the nearest parent that exists", async () => {
    await using folder = await temporaryFolder();
    const free = await files.freeSpace(join(folder.path, "not/yet"));
    assert.ok(free > 0);
  });

  test("syncs are shared by those who come while one runs, and never given for less", async () => {
    await using folder = await temporaryFolder();
    const syncs = new FolderSync();
    await Promise.all(Array.from({ length: 100 }, () => syncs.sync(folder.path)));
    assert.equal(syncs.count, 2, "one that ran already, and one for all who came after it had begun");
    await syncs.sync(folder.path);
    assert.equal(syncs.count, 3);
    await assert.rejects(syncs.sync(join(folder.path, "missing")), { code: "DIRECTORY_MISSING" });
    await assert.rejects(syncs.sync(join(folder.path, "missing")), { code: "DIRECTORY_MISSING" });
  });

  test("files are read in order; one that is missing is named", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "a");
    const bytes = Buffer.alloc(3 * MIB, "abc");
    await writeFile(path, bytes);
    const pieces: Uint8Array[] = [];
    for await (const piece of files.readStream(path)) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(bytes));
    const missing = files.readStream(join(folder.path, "b"))[Symbol.asyncIterator]();
    await assert.rejects(missing.next(), { code: "IO_ERROR", message: /it is not there/ });
    await utimes(path, 0, 0);
    assert.equal((await files.stat(path))?.mtimeMs, 0);
    assert.equal(await files.exists(join(folder.path, "b")), false);
    await files.remove(join(folder.path, "b"));
  });
});

describe("the check of the download folder", () => {
  const check = (folder: string, minFreeSpace = 0) =>
    downloadFolderCheck({ folder, minFreeSpace }, files).run(AbortSignal.abort());

  test("there, still to be made, a file, and too small", async () => {
    await using folder = await temporaryFolder();
    const outcome = await check(folder.path);
    assert.equal(outcome.status, "ok");
    assert.match(outcome.message, /is writable; .* free$/);
    assert.match((await check(join(folder.path, "a/b"))).message, /will be made/);
    assert.deepEqual(await readdir(folder.path), [], "looking changes nothing");
    await writeFile(join(folder.path, "file"), "");
    assert.equal((await check(join(folder.path, "file"))).status, "failed");
    assert.equal((await check(join(folder.path, "file/x"))).status, "failed");
    assert.equal((await check(folder.path, 2 ** 52)).status, "warning");
  });
});

describe("folders into which nothing is downloaded", () => {
  test("many who ask at the same time look once", async () => {
    await using folder = await temporaryFolder();
    let looks = 0;
    const own = new DiskFileStore(async () => {
      looks++;
      return [];
    });
    const claims = await Promise.all(Array.from({ length: 16 }, () => own.claim(folder.path, "a", "rename")));
    assert.equal(new Set(claims.map(({ path }) => path)).size, 16);
    assert.equal(looks, 1);
  });

  test("a look that failed is no answer for those who come later", async () => {
    await using folder = await temporaryFolder();
    let broken = true;
    const own = new DiskFileStore(async () => {
      if (broken) throw new Error("not now");
      return [];
    });
    await assert.rejects(own.claim(folder.path, "a", "rename"), /not now/);
    broken = false;
    assert.equal((await own.claim(folder.path, "a", "rename")).path, join(folder.path, "a"));
  });

  test("by any name, until the file is in place; what lies beside and below is free", async () => {
    await using folder = await temporaryFolder();
    const [watched, other] = [join(folder.path, "watched"), join(folder.path, "other")];
    await Promise.all([mkdir(join(watched, "below"), { recursive: true }), mkdir(other)]);
    await symlink(watched, join(other, "alias"));
    const guarded = [join(folder.path, "not-there-yet")];
    const own = new DiskFileStore(() => Promise.resolve(guarded));
    const part = join(watched, "early.part");
    await writeFile(part, "early");
    using early = await own.claimPath(join(watched, "early.txt"), "skip");
    guarded.push(join(folder.path, "later"), watched);
    const refused = { code: "TARGET_NOT_ALLOWED", message: /nothing is downloaded into .*: .* is a watched folder/ };
    const late = new DiskFileStore(() => Promise.resolve(guarded));
    for (const path of [watched, join(other, "alias"), `${watched}/below/..`, join(folder.path, "not-there-yet")]) {
      await assert.rejects(late.ensureDirectory(path), refused);
      await assert.rejects(late.claim(path, "a.txt", "rename"), refused);
      await assert.rejects(late.claimPath(`${path}/a.txt`, "overwrite"), refused);
      await assert.rejects(late.reclaim(`${path}/a.txt`, "overwrite"), refused);
    }
    await assert.rejects(late.place(part, early.path, { replace: false }), refused);
    assert.deepEqual((await readdir(watched)).sort(), ["below", "early.part"]);
    for (const path of [other, join(watched, "below"), join(other, "alias", "below")]) {
      await late.ensureDirectory(path);
      using claim = await late.claim(path, "a.txt", "rename");
      assert.equal(claim.path, join(path, "a.txt"));
    }
  });
});
