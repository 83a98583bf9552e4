/** Calls at once and calls in the thread pool are the same to who makes them. */
import assert from "node:assert/strict";
import { constants, type Stats } from "node:fs";
import { readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CALLS, type Calls, called, type Medium, mediumOf } from "../../../src/daemon/disk/calls.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const code = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

for (const medium of ["memory", "local", "unknown"] as const satisfies readonly Medium[])
  describe(`files on a medium that is ${medium}`, () => {
    const calls: Calls = CALLS[medium];

    test("the way of a small file", async () => {
      await using folder = await temporaryFolder();
      const part = join(folder.path, "a.part");
      const target = join(folder.path, "a");
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
      const fd = await called<number>((done) => calls.open(part, flags, 0o600, done));
      assert.equal(await called<number>((done) => calls.write(fd, Buffer.from("-bytes-"), 1, 5, 0, done)), 5);
      await called((done) => calls.fdatasync(fd, done));
      await called((done) => calls.closeSynced(fd, done));
      await called((done) => calls.utimes(part, new Date(), new Date(86_400_000), done));
      await called((done) => calls.chmod(part, 0o640, done));
      await called((done) => calls.rename(part, target, done));
      const found = await called<Stats>((done) => calls.statAgain(target, done));
      const { size, mtimeMs, mode, ino } = await stat(target);
      assert.deepEqual([size, mtimeMs, mode & 0o777], [5, 86_400_000, 0o640]);
      assert.deepEqual([found.size, found.mtimeMs, found.ino], [size, mtimeMs, ino]);
      assert.equal((await called<Stats>((done) => calls.lstat(target, done))).ino, ino);
      assert.equal(await readFile(target, "utf8"), "bytes");
    });

    test("errors come by their codes, never thrown at once", async () => {
      await using folder = await temporaryFolder();
      const missing = join(folder.path, "none/none");
      const failing: readonly ((done: (error: NodeJS.ErrnoException | null) => void) => void)[] = [
        (done) => calls.open(missing, "r", 0, done),
        (done) => calls.lstat(missing, done),
        (done) => calls.lstatAgain(missing, done),
        (done) => calls.statAgain(missing, done),
        (done) => calls.chmod(missing, 0o600, done),
        (done) => calls.rename(missing, folder.path, done),
      ];
      for (const call of failing) await assert.rejects(called(call), (error) => code(error) === "ENOENT");
    });
  });

test("only what is known to be near is called at once", async () => {
  assert.equal(mediumOf(0x01021994), "memory");
  assert.equal(mediumOf(0xef53), "local");
  // NFS, FUSE, SMB.
  for (const far of [0x6969, 0x65735546, 0xfe534d42]) assert.equal(mediumOf(far), "unknown");
  // The kernel's own file system of processes is neither.
  assert.equal(mediumOf((await statfs("/proc").catch(() => ({ type: 0 }))).type), "unknown");
});
