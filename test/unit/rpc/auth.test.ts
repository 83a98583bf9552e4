import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadToken, tokenMatcher } from "../../../src/daemon/rpc/auth.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "snatch-auth-"));
});
after(() => rm(folder, { recursive: true, force: true }));

describe("the token file", () => {
  test("is made with 32 random bytes, for its owner only, and kept", async () => {
    const file = join(folder, "state", "token");
    const token = await loadToken(file);
    assert.equal(Buffer.from(token, "base64url").length, 32);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, "state"))).mode & 0o777, 0o700);
    assert.equal((await readFile(file, "utf8")).trim(), token);
    assert.equal(await loadToken(file), token);
    assert.notEqual(await loadToken(join(folder, "other")), token);
  });

  for (const mode of [0o640, 0o604, 0o660, 0o644])
    test(`with mode ${mode.toString(8)} is refused`, async () => {
      const file = join(folder, `mode-${mode}`);
      await writeFile(file, "a-token-of-many-characters");
      await chmod(file, mode);
      await assert.rejects(loadToken(file), { code: "CONFIG_INVALID", message: /can be read by others.*chmod 600/ });
    });

  for (const [name, text] of [
    ["empty", ""],
    ["too short", "secret"],
    ["two words", "a-token-of-many characters"],
    ["binary", "\u0000\u0001".repeat(20)],
  ] as const)
    test(`that is ${name} is refused`, async () => {
      const file = join(folder, name);
      await writeFile(file, text, { mode: 0o600 });
      await assert.rejects(loadToken(file), { code: "CONFIG_INVALID", message: /holds no token/ });
    });

  test("that is a folder is refused", async () => {
    await assert.rejects(loadToken(folder), { code: "CONFIG_INVALID", message: /not a regular file/ });
  });

  test("that is a link to a file of others is refused for the file's rights", async () => {
    const [file, link] = [join(folder, "public"), join(folder, "link")];
    await writeFile(file, "a-token-of-many-characters");
    await chmod(file, 0o644);
    await symlink(file, link);
    await assert.rejects(loadToken(link), { code: "CONFIG_INVALID" });
  });
});

describe("the token of a call", () => {
  const matches = tokenMatcher("correct-horse-battery");
  for (const [given, expected] of [
    ["Bearer correct-horse-battery", true],
    ["bearer  correct-horse-battery", true],
    ["Bearer correct-horse-batterY", false],
    ["Bearer correct-horse-battery-staple", false],
    ["Bearer c", false],
    ["correct-horse-battery", false],
    ["Basic correct-horse-battery", false],
    ["Bearer ", false],
    ["", false],
    [undefined, false],
  ] as const)
    test(`${given} is ${expected ? "accepted" : "refused"}`, () => assert.equal(matches(given), expected));
});
