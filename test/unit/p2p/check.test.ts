/** What doctor says of sharing. */
import assert from "node:assert/strict";
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { IDENTITY_FILE, loadIdentity } from "../../../src/daemon/p2p/channel/identity.ts";
import { peersCheck } from "../../../src/daemon/p2p/check.ts";
import { IceLibrary } from "../../../src/daemon/p2p/path/ice-library.ts";
import { temporaryFolder } from "../../support/files.ts";

const signal = new AbortController().signal;
const here = new IceLibrary(
  () => Promise.resolve({}),
  () => undefined,
);
const absent = new IceLibrary(
  () => Promise.reject(new Error("Cannot find package")),
  () => {
    throw new Error("Cannot find package");
  },
);

test("before the first use nothing is made", async () => {
  await using folder = await temporaryFolder();
  const outcome = await peersCheck({ enabled: true, directory: folder.path, relays: 0 }, here).run(signal);
  assert.equal(outcome.status, "ok");
  assert.match(outcome.message, /never used yet; ICE can be used, no TURN server/);
  assert.deepEqual(await readdir(folder.path), []);
});

test("an identity that others can read is told", async () => {
  await using folder = await temporaryFolder();
  const { peerId } = await loadIdentity(folder.path);
  const options = { enabled: true, directory: folder.path, relays: 2 };
  assert.match((await peersCheck(options, here).run(signal)).message, new RegExp(`${peerId.slice(0, 16)}; .*2 TURN`));
  await chmod(join(folder.path, IDENTITY_FILE), 0o644);
  const { status, message } = await peersCheck(options, here).run(signal);
  assert.equal(status, "failed");
  assert.match(message, /identity/);
});

test("without ICE it says what is left", async () => {
  await using folder = await temporaryFolder();
  const outcome = await peersCheck({ enabled: true, directory: folder.path, relays: 0 }, absent).run(signal);
  assert.equal(outcome.status, "warning");
  assert.match(outcome.message, /@roamhq\/wrtc/);
  assert.match(outcome.fix ?? "", /hole punching/);
});

test("switched off", async () => {
  const outcome = await peersCheck({ enabled: false, directory: "/nonexistent", relays: 0 }, absent).run(signal);
  assert.equal(outcome.status, "skipped");
});
