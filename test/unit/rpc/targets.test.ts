import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertLocal, assertTargets, LOCAL, remote } from "../../../src/daemon/rpc/targets.ts";

let base = "";
let allowed = "";
before(async () => {
  base = await mkdtemp(join(tmpdir(), "snatch-targets-"));
  allowed = join(base, "allowed");
  await mkdir(join(allowed, "inside"), { recursive: true });
  await mkdir(join(base, "outside"));
  await mkdir(join(base, "allowed-not"));
  await writeFile(join(base, "outside", "secret"), "");
  await symlink(join(base, "outside"), join(allowed, "way-out"));
  await symlink(join(base, "nowhere"), join(allowed, "dangling"));
  await symlink("loop", join(allowed, "loop"));
  await symlink(join(allowed, "inside"), join(base, "way-in"));
});
after(() => rm(base, { recursive: true, force: true }));

describe("targets of callers over TCP", () => {
  const reach = () => remote(() => [join(base, "no-such-folder"), join(base, "alias"), allowed]);

  for (const path of ["", "/inside", "/inside/new/deep/file.bin", "/inside/../file.bin", "/..hidden", "/inside/./a"])
    test(`allowed${path} is allowed`, () => reach().assertTarget(allowed + path));

  for (const path of [
    "/../outside/file.bin",
    "/inside/../../outside/x",
    "-not/file.bin",
    "/way-out/file.bin",
    "/way-out/secret",
    "/way-out/new/deep/x",
    "/dangling",
    "/dangling/x",
    "/loop",
    "/loop/x",
    "/inside/../way-out/x",
  ])
    test(`allowed${path} is not`, async () => {
      await assert.rejects(reach().assertTarget(allowed + path), { code: "TARGET_NOT_ALLOWED" });
    });

  test("a link that leads in is allowed, and so is a folder that is itself a link", async () => {
    await reach().assertTarget(join(base, "way-in", "x"));
    await symlink(allowed, join(base, "alias"));
    await remote(() => [join(base, "alias")]).assertTarget(join(allowed, "x"));
  });

  test("both folder and output are looked at, and the list of folders is asked each time", async () => {
    const folders: string[] = [];
    const changing = remote(() => folders);
    await assert.rejects(assertTargets({ directory: allowed }, changing), { code: "TARGET_NOT_ALLOWED" });
    folders.push(allowed);
    await assertTargets({ directory: allowed, output: join(allowed, "x") }, changing);
    await assert.rejects(assertTargets({ directory: allowed, output: "/etc/passwd" }, changing), {
      code: "TARGET_NOT_ALLOWED",
    });
  });
});

test("nobody shares what is downloaded but the owner", async () => {
  const anywhere = remote(() => ["/"]);
  await assert.rejects(assertTargets({ share: true }, anywhere), { code: "PERMISSION_DENIED", message: /sharing/ });
  await assertTargets({ share: false }, anywhere);
  await assertTargets({ share: true }, LOCAL);
});

test("over the Unix socket everything is allowed", async () => {
  await assertTargets({ output: "/etc/passwd" }, LOCAL);
  assertLocal(LOCAL, "this");
  assert.throws(
    () =>
      assertLocal(
        remote(() => []),
        "this",
      ),
    { code: "PERMISSION_DENIED" },
  );
});
