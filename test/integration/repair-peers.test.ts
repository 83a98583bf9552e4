/** Files that came from peers and rot are mended by peers, whoever of them lies. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, stat, utimes, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { failure } from "../../src/daemon/core/errors.ts";
import type { VerifyOutcome } from "../../src/daemon/core/ports/receipts.ts";
import type { Resolver } from "../../src/daemon/core/ports/resolve.ts";
import { redactReceipt } from "../../src/daemon/core/receipt.ts";
import type { DownloadOptions } from "../../src/daemon/core/session.ts";
import { DiskFileStore } from "../../src/daemon/disk/file-store.ts";
import { Verifier, type VerifierParts } from "../../src/daemon/download/verifier.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { FakePeers, PEER_CHUNK, peerEngine, SHARE_ID } from "../support/p2p/fake-peers.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const bytes = randomBytes(6 * PEER_CHUNK + 100);
const PEERS = ["127.0.0.1:4000"];

/** A file that came from peers, two of its chunks rotten, and what mends it. */
async function rotten(options: DownloadOptions = { peers: PEERS }) {
  const home = await temporaryFolder();
  const peers = new FakePeers([{ bytes, name: "file.bin", lies: new Map() }]);
  const engine = await peerEngine(home.path, peers);
  const { result, session } = await engine.fetch(options);
  const path = result.path ?? "";
  const { mtime } = await stat(path);
  const damaged = Buffer.from(bytes);
  for (const at of [PEER_CHUNK, 6 * PEER_CHUNK + 50]) damaged[at] = (damaged[at] ?? 0) ^ 1;
  await writeFile(path, damaged);
  await utimes(path, mtime, mtime);
  peers.asked.length = 0;
  engine.resolver.resolved.length = 0;
  const parts: VerifierParts = {
    receipts: engine.sessions.receipts,
    files: new DiskFileStore(),
    sources: {
      http: () => {
        throw failure("INTERNAL", "nothing is asked for by HTTP here");
      },
    },
    clock: new SystemClock(),
    busy: () => false,
    timeoutMs: () => 5000,
    peers,
    resolvers: [engine.resolver],
  };
  return {
    ...{ engine, peers, path, damaged, parts },
    sessionId: session.id,
    async mend(changed: Partial<VerifierParts> = {}): Promise<VerifyOutcome> {
      const verifier = new Verifier({ ...parts, ...changed });
      const control = { mayWrite: () => Promise.resolve(), signal: AbortSignal.timeout(10_000) };
      for await (const event of verifier.verify({ path }, { repair: true, findMoved: false, ...control }))
        if (event.type === "done") return event.outcome;
      return assert.fail("no outcome");
    },
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

const refuses = (error: Error): Resolver => ({
  name: "refuses",
  claims: () => true,
  resolve: () => Promise.reject(error),
});

test("what has rotted is asked for again, from the peers that were named, and only as much as that", async () => {
  await using file = await rotten();
  // The first time it comes wrong.
  file.peers.files[0]?.lies?.set(1, 1);
  const { status, repaired, error } = await file.mend();
  assert.equal(status, "repaired", error?.message);
  assert.equal(repaired, 2);
  assert.deepEqual(await readFile(file.path), bytes);
  assert.deepEqual(
    file.peers.asked.map(({ start, end }) => [start / PEER_CHUNK, end]),
    [
      [1, 2 * PEER_CHUNK],
      [1, 2 * PEER_CHUNK],
      [6, bytes.length],
    ],
  );
  assert.deepEqual(
    file.peers.rejected.map(({ start, end }) => [start, end]),
    [[PEER_CHUNK, 2 * PEER_CHUNK]],
    "whoever sent it is known to lie",
  );
  assert.deepEqual(
    file.engine.resolver.resolved.map(({ url, options }) => [url, options]),
    [[`snatch:share/${SHARE_ID}/0`, { peers: PEERS }]],
    "they are sought once",
  );
});

test("also when the session was forgotten; and nobody is shown who the peers were", async () => {
  await using file = await rotten();
  await file.engine.sessions.remove([file.sessionId]);
  const receipt = await file.parts.receipts.bySession(file.sessionId);
  assert.deepEqual(receipt.peers, PEERS);
  assert.equal(JSON.stringify(redactReceipt(receipt)).includes("127.0.0.1"), false);
  assert.equal((await file.mend()).status, "repaired");
  assert.deepEqual(await readFile(file.path), bytes);
});

test("for a caller over TCP peers are sought by the rules of such callers", async () => {
  await using file = await rotten({ remote: true });
  assert.equal((await file.mend()).status, "repaired");
  assert.deepEqual(
    file.engine.resolver.resolved.map(({ options }) => options),
    [{ remote: true }],
  );
  const off = failure("NETWORK_OFF", "callers over TCP may not fetch from peers (p2p.allow_remote)");
  await writeFile(file.path, file.damaged);
  const { error } = await file.mend({ resolvers: [refuses(off)] });
  assert.equal(error?.code, "REPAIR_IMPOSSIBLE");
  assert.match(error?.message ?? "", /came from peers, and they cannot be asked: .*p2p\.allow_remote/);
});

for (const [what, words, change] of [
  [
    "nobody has it any more",
    /came from peers, and they do not give it now: nobody was found\. Ask whoever shared it/,
    (peers: FakePeers) => {
      const [file] = peers.files;
      assert.ok(file);
      file.refusal = failure("PEERS_NOT_FOUND", "nobody was found");
      return {};
    },
  ],
  [
    "the code is not kept any more",
    /came from peers, and the code of the share 0011 is not kept here \(any more\); fetch it by its code; repair/,
    () => {
      const why = "the code of the share 0011 is not kept here (any more); fetch it by its code";
      return { resolvers: [refuses(failure("SHARE_NOT_FOUND", why))] };
    },
  ],
  ["sharing is not there at all", /came from peers, and they cannot be asked/, () => ({ resolvers: [] })],
  [
    "all of them lie",
    /snatch:share\/[\da-f]+\/0 sent other bytes 65536–131071 than the receipt has/,
    (peers: FakePeers) => {
      peers.files[0]?.lies?.set(1, Number.POSITIVE_INFINITY);
      return {};
    },
  ],
] as const)
  test(`${what}: that is said, and the file stays as it is`, async () => {
    await using file = await rotten();
    const { status, repaired, error } = await file.mend(change(file.peers));
    assert.equal(status, "failed");
    assert.equal(repaired, 0);
    assert.equal(error?.code, "REPAIR_IMPOSSIBLE");
    assert.match(error?.message ?? "", words);
    assert.ok(file.peers.refusals <= 1, "they have been waited for once");
    assert.ok(file.peers.asked.length <= 8);
    assert.deepEqual(await readFile(file.path), file.damaged);
  });
