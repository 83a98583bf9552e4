/** kill -9 at random moments: whatever was acknowledged is there, and everything derived agrees with it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Store } from "../../src/daemon/store/store.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { sessionFixture } from "../support/session-fixture.ts";
import { verifyIndices } from "../support/verify-sessions.ts";

const KILLS = 5;
const WRITER = fileURLToPath(import.meta.resolve("../support/session-writer.ts"));

interface Acknowledged {
  readonly attempts: Map<string, number>;
  readonly created: Set<string>;
  readonly removing: Set<string>;
  readonly removed: Set<string>;
  readonly chunks: Set<string>;
  event: number;
}

/** Runs the writer until it has said so many lines, and kills it. @returns how many lines it said */
async function runAndKill(directory: string, lines: number, known: Acknowledged): Promise<void> {
  const child = spawn(process.execPath, [WRITER, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  const first = known.event;
  let said = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, id = "", , attempt] = line.split(" ");
    if (what === "created") known.created.add(id);
    if (what === "updated") known.attempts.set(id, Number(attempt));
    if (what === "removing") known.removing.add(id);
    if (what === "removed") known.removed.add(id);
    if (what === "chunk") known.chunks.add(id);
    if (what === "event") {
      assert.ok(Number(id) > known.event, `event ${id} after ${known.event}`);
      known.event = Number(id);
    }
    assert.notEqual(what, "log", line);
    // What it says until the signal arrives counts too.
    if (++said === lines) process.kill(child.pid ?? 0, "SIGKILL");
  }
  const [, signal] = (await exit) as [number | null, string | null];
  assert.equal(signal, "SIGKILL");
  assert.ok(known.event > first);
}

test(`${KILLS} kills: nothing acknowledged is lost`, async () => {
  const parent = await mkdtemp(join(tmpdir(), "snatch-kill-"));
  const directory = join(parent, "db");
  const known: Acknowledged = {
    attempts: new Map(),
    created: new Set(),
    removing: new Set(),
    removed: new Set(),
    chunks: new Set(),
    event: 0,
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const lines = 20 + Math.floor(Math.random() * 4000);
    await runAndKill(directory, lines, known);
    const logger = new RecordLogger();
    await using store = new Store({ directory, logger });
    await store.start();
    assert.deepEqual(logger.lines, [], "a kill is no damage");
    const count = await verifyIndices(store.keyValue);
    const { sessions } = await sessionFixture({}, store.keyValue);
    for (const id of known.created) {
      const session = await sessions.get(id);
      if (known.removed.has(id)) {
        assert.equal(session, undefined);
        continue;
      }
      // A removal that was under way may have come through without being acknowledged.
      if (session === undefined) assert.ok(known.removing.has(id), `session ${id} is gone`);
      assert.equal(await store.keyValue.get("ledger", id), "");
      // The attempt that the kill interrupted does not count.
      if (session !== undefined) assert.ok(session.attempt >= (known.attempts.get(id) ?? 0) - 1);
      if (session !== undefined && known.chunks.has(id)) assert.equal((await sessions.chunks(id, 1)).size, 1);
    }
    assert.equal(sessions.counts().active, 0);
    assert.equal(await verifyIndices(store.keyValue), count);
    assert.ok(sessions.log.newest >= known.event, "numbers go on");
    known.event = sessions.log.newest;
    console.log(
      `killed after ${lines} lines: ${count} sessions, ${known.created.size} acknowledged, event ${known.event}`,
    );
  }
  await rm(parent, { recursive: true });
});
