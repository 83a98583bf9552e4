import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ImportOutcome } from "../../../src/daemon/core/ports/sessions.ts";
import { hasEnded, type Session } from "../../../src/daemon/core/session.ts";
import type { SessionManager } from "../../../src/daemon/session/session-manager.ts";
import { exportLine } from "../../../src/daemon/session/transfer.ts";
import { anySession } from "../../support/arbitrary-session.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

async function importAll(sessions: SessionManager, lines: readonly string[]): Promise<ImportOutcome> {
  return sessions.importLines(
    (async function* () {
      yield* lines;
    })(),
  );
}

async function exported(sessions: SessionManager): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of sessions.exportLines({})) lines.push(line);
  return lines;
}

test("an export comes back: ended sessions whole, unfinished ones paused, all under their ids", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(anySession, { selector: ({ id }) => id, maxLength: 6 }), async (all) => {
      const { sessions, store } = await sessionFixture();
      const outcome = await importAll(sessions, all.map(exportLine));
      assert.deepEqual(outcome, { imported: all.length, skipped: 0, refused: [] });
      for (const before of all) {
        const after = (await sessions.get(before.id)) as Session;
        assert.equal(after.url, before.url);
        assert.equal(after.createdAt, before.createdAt);
        assert.equal(after.part, undefined);
        assert.equal(after.status, hasEnded(before.status) ? before.status : "paused");
        if (hasEnded(before.status)) assert.deepEqual({ ...after.file }, { ...before.file });
        else assert.deepEqual([after.target, after.file, after.progress.downloadedBytes], [undefined, undefined, 0]);
      }
      assert.equal(await verifyIndices(store), all.length);
      const again = await importAll(sessions, await exported(sessions));
      assert.deepEqual(again, { imported: 0, skipped: all.length, refused: [] });
      const other = await sessionFixture();
      await importAll(other.sessions, await exported(sessions));
      assert.deepEqual(await exported(other.sessions), await exported(sessions));
    }),
    { numRuns: 40 },
  );
});

test("what is here stays the archive's answer; what comes in is resumed behind the queue", async () => {
  const here = await sessionFixture();
  const there = await sessionFixture();
  await there.sessions.create([requestFor("a"), requestFor("b")]);
  const [own] = await here.sessions.create([requestFor("a")]);
  await importAll(here.sessions, await exported(there.sessions));
  const [a, b] = await here.sessions.archived(["a", "b"].map((name) => ({ url: requestFor(name).url, target: "" })));
  assert.equal(a?.id, own?.id);
  assert.equal(b?.status, "paused");
  await here.sessions.update(b?.id ?? "", { status: "queued" });
  assert.deepEqual(
    (await here.sessions.nextQueued(5, new Set())).map(({ seq }) => seq),
    [1, 3],
  );
  await verifyIndices(here.store);
});

test("lines that are no session are refused one by one, and told with their number", async () => {
  const { sessions, store } = await sessionFixture();
  const good = exportLine(fc.sample(anySession, 1)[0] as Session);
  const broken = (change: (plain: Record<string, never>) => void): string => {
    const plain = JSON.parse(good) as Record<string, never>;
    change(plain);
    return JSON.stringify(plain);
  };
  const set = (fields: object) => broken((plain) => Object.assign(plain, fields));
  const lines = [
    "not json",
    "[]",
    "null",
    "{}",
    `{"version":1,"session_id":"${"x".repeat(1024 * 1024)}"}`,
    set({ version: 2 }),
    set({ session_id: "../../etc/passwd" }),
    set({ session_id: "AAAAAAAA-0000-4000-8000-000000000000" }),
    set({ url: "no url" }),
    set({ url: `http://x.test/${"a".repeat(20_000)}` }),
    set({ url: "snatch:7HKZM-4TQ2W-9XNPA-BCDEF-GH123" }),
    set({ url: "SNATCH:share/7HKZM-4TQ2W-9XNPA-BCDEF-GH123" }),
    set({ status: "lost" }),
    set({ sequence: -1 }),
    set({ created_at: "yesterday" }),
    set({ created_at: "+275761-01-01T00:00:00.000Z" }),
    set({ surprise: true }),
    set({ options: { output: "relative" } }),
    set({ options: { output: "/a\u0000b" } }),
    set({ options: { headers: [["A: b\r\nC", "d"]] } }),
    set({ options: { headers: [["A", "b\r\nC: d"]] } }),
    set({ options: { checksum: { algorithm: "sha-256", value: "00" } } }),
    set({ progress: { downloaded_bytes: 1e300, total_bytes: null, percentage: 0 } }),
    set({ error_info: { code: "NO_SUCH_CODE", message: "", retryable: false, time: "2026-01-01T00:00:00.000Z" } }),
    set({ __proto__: { status: "completed" }, mirrors: "http://x.test" }),
  ];
  const outcome = await importAll(sessions, ["", ...lines, good, good, "  "]);
  assert.equal(outcome.imported, 1);
  assert.equal(outcome.skipped, 1);
  assert.equal(outcome.refused.length, lines.length, outcome.refused.join("\n"));
  for (const [at, refused] of outcome.refused.entries()) {
    assert.match(refused, new RegExp(`^line ${at + 2}: `));
    assert.ok(refused.length < 600 && !refused.includes("\n"));
  }
  assert.match(outcome.refused[8] ?? "", /is not a URL.*url/);
  assert.match(outcome.refused[10] ?? "", /holds a code.*url/);
  assert.doesNotMatch(outcome.refused.join("\n"), /7HKZM/);
  assert.equal(await verifyIndices(store), 1);
});

test("only the first hundred refusals are told, and any line is refused or taken", async () => {
  const { sessions, store } = await sessionFixture();
  const many = await importAll(
    sessions,
    Array.from({ length: 1000 }, () => "x"),
  );
  assert.deepEqual([many.imported, many.refused.length], [0, 100]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.string(), fc.json(), anySession.map(exportLine)), { maxLength: 10 }),
      async (lines) => {
        const { imported, skipped, refused } = await importAll(sessions, lines);
        assert.equal(imported + skipped + refused.length, lines.filter((line) => line.trim() !== "").length);
      },
    ),
  );
  await verifyIndices(store);
});
