/** Sharing at size, and as somebody who may not read everything. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeCatalogue } from "../../src/daemon/p2p/share/catalogue.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { shareFixture, unbroken } from "../support/p2p/share-fixture.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { runProgram } from "../support/run-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FILES = 10_000;

test("10,000 small files are one share, which outlives a restart and is given file by file", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "many");
  for (let index = 0; index < FILES; index++) {
    const inner = join(root, `${index % 100}`);
    if (index < 100) mkdirSync(inner, { recursive: true });
    writeFileSync(join(inner, `${index}`), `this is file ${index}`);
  }
  const directory = join(folder.path, "db");
  const open = async () => {
    const store = new Store({ directory, logger: new RecordLogger() });
    await store.start();
    return store;
  };
  const id = await (async () => {
    await using store = await open();
    await using fixture = shareFixture(folder.path, { keyValue: store.keyValue });
    const { state } = await fixture.shares.share([root], {}, unbroken());
    assert.equal(state.fileCount, FILES);
    return state.id;
  })();
  await using store = await open();
  await using fixture = shareFixture(folder.path, { keyValue: store.keyValue });
  await fixture.shares.start();
  const { peer } = fixture.network.call(id);
  const entries = await decodeCatalogue(await peer.takeCatalogue());
  assert.equal(entries.length, FILES);
  for (let from = 0; from < FILES; from += 400)
    await Promise.all(
      entries.slice(from, from + 40).map(async ({ name, size }, offset) => {
        const text = (await peer.take(from + offset, 0, size)).toString();
        assert.equal(text, `this is file ${name.split("/")[1]}`);
      }),
    );
  // Descriptors are few whatever the number of files.
  if (process.platform === "linux") {
    const open = readdirSync("/proc/self/fd").length;
    assert.ok(open < 200, `${open} descriptors are open`);
  }
  await fixture.shares.unshare(id);
  for await (const [key] of store.keyValue.entries("share-file")) assert.fail(`${key} is left`);
});

const NOBODY = 65_534;

test("what may not be read is left out and told; if it is all there is, nothing is shared", {
  skip: process.platform !== "linux" && "needs Linux: this test did NOT run",
}, async (t) => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "x");
  const state = join(folder.path, "state");
  mkdirSync(join(root, "locked"), { recursive: true });
  mkdirSync(state);
  writeFileSync(join(root, "open"), "for all");
  writeFileSync(join(root, "secret"), "not for all");
  writeFileSync(join(root, "locked", "in"), "x");
  const asRoot = process.getuid?.() === 0;
  if (asRoot) chownSync(state, NOBODY, NOBODY);
  for (const path of [folder.path, root]) chmodSync(path, 0o755);
  chmodSync(join(root, "secret"), 0);
  chmodSync(join(root, "locked"), 0);
  cpSync(join(root, "open"), join(folder.path, "copy"));
  const program = fileURLToPath(import.meta.resolve("../support/p2p/share-once.ts"));
  const nobody = asRoot ? ["setpriv", "--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups"] : [];
  const [look = "", ...at] = [...nobody, "test", "-r", program];
  if ((await runProgram(look, at)).code !== 0)
    return t.skip(`nobody may read ${program}: this test did NOT run, put the sources where others may look`);
  const share = async (path: string) => {
    const [first = "", ...rest] = [...nobody, process.execPath, program, path, state];
    const { stdout, stderr } = await runProgram(first, rest);
    assert.notEqual(stdout, "", stderr);
    return JSON.parse(stdout);
  };
  const made = await share(root);
  assert.equal(made.fileCount, 1, JSON.stringify(made));
  assert.deepEqual(made.leftOut, [
    { path: join(root, "locked"), why: "the folder cannot be read (EACCES)" },
    { path: join(root, "secret"), why: "it cannot be read (EACCES)" },
  ]);
  const refused = await share(join(root, "secret"));
  assert.equal(refused.code, "SHARE_INVALID");
  assert.match(refused.message, /EACCES/);
});
