/** Lists and Metalinks through the real programs: places in TABs, checksums, files by descriptions. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { sha256Of } from "../support/library.ts";
import { type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { Home } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

/** Large enough for its digest to be made in a thread. */
const bytes = randomBytes(9 * 1024 * 1024);
const rotten = Buffer.from(bytes).fill(0, 100, 200);
const SHA256 = sha256Of(bytes);

describe("lists", () => {
  let home: Home;
  let good: Origin;
  let bad: Origin;
  let gone: Origin;

  before(async () => {
    home = await Home.create({ config: "retry_delay = 0.05\nmin_free_space = 0\n[watch]\nsettle = 0.1\n" });
    good = await serve(resourceOf(bytes), (call) => {
      if (call.seen.path.startsWith("/SHA256SUMS")) call.send(200, {}, `${SHA256}  file.bin\n`);
      else if (/\.sha\d+$/.test(call.seen.path)) call.send(404, {});
      else call.answer();
    });
    bad = await serve(resourceOf(rotten, "2"), (call) => call.answer());
    gone = await serve(resourceOf(bytes), (call) => call.send(410, {}));
    await home.start();
  });
  after(async () => {
    for (const each of [home, good, bad, gone]) await each?.[Symbol.asyncDispose]();
  });

  const metalink = (): string =>
    `<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">
      <file name="one.bin"><size>${bytes.length}</size><hash type="sha-256">${SHA256}</hash>
        <url priority="3">${good.url}</url><url priority="2">${bad.url}</url><url priority="1">${gone.url}</url></file>
      <file name="sub/two.bin"><hash type="sha-256">${SHA256}</hash><url>${good.url}</url></file>
      <file name="three.bin"><url>ftp://f.example/three</url></file>
    </metalink>`;

  test("mirrors behind TABs are asked when the first place is gone, and shown", async () => {
    const list = join(home.path, "list.txt");
    await writeFile(list, `${gone.url}\t${bad.url}\t${good.url}\n  out=tabs.bin\n  checksum=sha-256=${SHA256}\n`);
    const { code, stderr } = await home.ctl(["get", "-i", list, "-d", home.downloads]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(await readFile(join(home.downloads, "tabs.bin")), bytes);
    const { stdout } = await home.ctl(["list", "--json"]);
    const session = stdout.split("\n").find((line) => line.includes("tabs.bin")) ?? "{}";
    assert.deepEqual((JSON.parse(session) as { mirrors: unknown }).mirrors, [bad.url, good.url]);
  });

  test("get -i of a Metalink fetches what it describes", async () => {
    const list = join(home.path, "files.meta4");
    await writeFile(list, metalink());
    const { code, stdout, stderr } = await home.ctl(["get", "-i", list, "-d", join(home.downloads, "described")]);
    assert.notEqual(code, 0, "one file has no place");
    assert.match(stderr, /METALINK_INVALID/);
    assert.match(stdout, /one\.bin/);
    for (const name of ["one.bin", "sub/two.bin"])
      assert.deepEqual(await readFile(join(home.downloads, "described", name)), bytes);
  });

  test("a dropped Metalink is taken like a list, with a line in the report for each file", async () => {
    await home.drop("dropped.metalink", metalink());
    const report = join(home.watch, "done", "dropped.report.jsonl");
    const lines = await waitFor("the report", () => {
      const text = existsSync(report) ? readFileSync(report, "utf8").trim().split("\n") : [];
      return text.length === 3 ? text.map((line) => JSON.parse(line) as { line: number; status: string }) : undefined;
    });
    const outcomes = lines.toSorted((a, b) => a.line - b.line).map(({ line, status }) => `${line} ${status}`);
    assert.deepEqual(outcomes, ["1 completed", "2 completed", "3 refused"], JSON.stringify(lines));
    assert.ok(existsSync(join(home.watch, "rejected", "dropped.txt")));
  });

  test("--checksum-file auto, and a Metalink for itself", async () => {
    const { code, stderr } = await home.ctl([
      "get",
      good.url,
      "--checksum-file",
      "auto",
      "-d",
      join(home.path, "auto"),
    ]);
    assert.equal(code, 0, stderr);
    const wrong = await home.ctl([
      "get",
      bad.url,
      "--checksum-file",
      `${good.base}/SHA256SUMS`,
      "-d",
      join(home.path, "wrong"),
      // The right file is here, and would be taken for it.
      "--force",
    ]);
    assert.equal(wrong.code, 7);
    assert.match(wrong.stderr, new RegExp(`CHECKSUM_MISMATCH: sha-256 is ${sha256Of(rotten)}, expected ${SHA256}`));
    await using page = await serve(resourceOf(Buffer.from(metalink())), (call) => call.answer(), "/x.meta4");
    const itself = await home.ctl(["get", page.url, "--no-metalink", "-o", join(home.path, "x.meta4")]);
    assert.equal(itself.code, 0, itself.stderr);
    assert.equal(await readFile(join(home.path, "x.meta4"), "utf8"), metalink());
  });
});
