import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { Script } from "node:vm";
import { codeFile, readScript } from "../../../src/client/fast-start.ts";
import { VERSION } from "../../../src/shared/version.ts";

const BUNDLE = resolve("dist/client/program.cjs");

test("the build compiles the bundle for this Node, with the functions that a command calls", () => {
  assert.ok(existsSync(BUNDLE), "dist/ is not there: npm run build");
  const code = readFileSync(codeFile(BUNDLE));
  assert.equal(readScript(BUNDLE, code).cachedDataRejected, false);
  // One character more, or this isolate answers with what it has just compiled.
  const onlyLoaded = new Script(`${readFileSync(BUNDLE, "latin1")}\n`).createCachedData();
  assert.ok(code.length > 4 * onlyLoaded.length, `${code.length} bytes; ${onlyLoaded.length} without a run`);
});

describe("snatchctl starts with compiled code that is", () => {
  let folder: string;
  let code: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "snatch-fast-"));
    mkdirSync(join(folder, "dist/client"), { recursive: true });
    for (const file of ["package.json", "dist/snatchctl.js", "dist/client/program.cjs"])
      cpSync(file, join(folder, file));
    code = join(folder, "dist/client", basename(codeFile(BUNDLE)));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const version = (program = "dist/snatchctl.js", args: readonly string[] = []) =>
    execFileSync(process.execPath, [...args, join(folder, program), "--version"], {
      encoding: "utf8",
      env: { NODE_COMPILE_CACHE: join(folder, "package.json/not-a-folder") },
    }).trim();

  test("absent, where no cache can be written either", () => assert.equal(version(), VERSION));

  const whole = readFileSync(codeFile(BUNDLE));
  for (const [name, bytes] of [
    ["whole", whole],
    ["empty", new Uint8Array()],
    ["cut off", whole.subarray(0, whole.length / 2)],
    ["something else", Buffer.alloc(whole.length, "snatch")],
  ] as const)
    test(name, () => {
      writeFileSync(code, bytes);
      assert.equal(version(), VERSION);
    });

  test("made for other flags of V8", () => {
    writeFileSync(code, whole);
    assert.equal(version(undefined, ["--no-opt", "--stack-size=900"]), VERSION);
  });

  test("found by way of a symbolic link", () => {
    writeFileSync(code, whole);
    symlinkSync(join(folder, "dist/snatchctl.js"), join(folder, "snatchctl"));
    assert.equal(version("snatchctl"), VERSION);
  });
});
