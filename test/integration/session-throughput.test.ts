/** How fast the database and the sessions are here; printed, not judged: that is the bench's part. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Session } from "../../src/daemon/core/session.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { requestFor, sessionFixture } from "../support/session-fixture.ts";
import { verifyIndices } from "../support/verify-sessions.ts";

const SESSIONS = 5000;
const LANES = 16;

test("sessions through the database", async () => {
  const parent = await mkdtemp(join(tmpdir(), "snatch-speed-"));
  const store = new Store({ directory: join(parent, "db"), logger: new RecordLogger() });
  await store.start();
  let begin = performance.now();
  const rate = (name: string, count: number): void => {
    const now = performance.now();
    console.log(`${name}: ${Math.round((count * 1000) / (now - begin))}/s`);
    begin = now;
  };
  await Promise.all(
    Array.from({ length: 64 }, async (_, lane) => {
      for (let at = 0; at < 100; at++)
        await store.keyValue.write([{ type: "put", space: "raw", key: `${lane} ${at}`, value: "x".repeat(500) }], {
          sync: true,
        });
    }),
  );
  rate("synced writes, 64 callers", 6400);

  const { sessions } = await sessionFixture({}, store.keyValue);
  begin = performance.now();
  for (let at = 0; at < SESSIONS; at += 1000)
    await sessions.create(Array.from({ length: 1000 }, (_, name) => requestFor(`${at + name}`)));
  rate("created, 1,000 in a synced batch", SESSIONS);

  const running = new Set<string>();
  let ahead: Session[] = [];
  let filling: Promise<void> | undefined;
  const next = async (): Promise<Session | undefined> => {
    while (ahead.length === 0 && sessions.counts().queued > 0) {
      filling ??= sessions.nextQueued(64, running).then((found) => {
        ahead = found;
        filling = undefined;
      });
      await filling;
    }
    const session = ahead.shift();
    if (session) running.add(session.id);
    return session;
  };
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (let session = await next(); session !== undefined; session = await next()) {
        const { id } = session;
        await sessions.update(id, { status: "active", stage: "fetch" });
        await sessions.recordChunks(id, 1, [[0, "a".repeat(64)]]);
        await sessions.update(id, { status: "completed", progress: { downloadedBytes: 9, totalBytes: 9 } });
        running.delete(id);
      }
    }),
  );
  rate(`taken, recorded (synced) and completed, ${LANES} at once`, SESSIONS);
  assert.equal(sessions.counts().completed, SESSIONS);
  assert.equal(await verifyIndices(store.keyValue), SESSIONS);
  await store[Symbol.asyncDispose]();
  await rm(parent, { recursive: true });
});
