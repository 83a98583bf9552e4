import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DownloadError, failure } from "../../../src/daemon/core/errors.ts";
import type { NumberedEvent } from "../../../src/daemon/core/events.ts";
import type { KeyValue, Write } from "../../../src/daemon/core/ports/key-value.ts";
import { type Session, sessionError } from "../../../src/daemon/core/session.ts";
import type { SessionManager } from "../../../src/daemon/session/session-manager.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

const code = (expected: string, message?: RegExp) => (error: DownloadError) => {
  assert.equal(error.code, expected, error.message);
  if (message) assert.match(error.message, message);
  return true;
};
const none: ReadonlySet<string> = new Set();
const names = (sessions: readonly (Session | undefined)[]): string =>
  sessions.map((session) => session?.url.split("/").at(-1) ?? "–").join("");
const queue = async (sessions: SessionManager): Promise<string> => names(await sessions.nextQueued(100, none));

async function make(sessions: SessionManager, letters: string): Promise<Record<string, Session>> {
  const created = await sessions.create([...letters].map((letter) => requestFor(letter)));
  return Object.fromEntries(created.map((session, at) => [letters[at], session]));
}

const idOf = (made: Record<string, Session>, letter: string): string => made[letter]?.id ?? "none";

describe("creating", () => {
  test("queues in order, with what else belongs to the batch", async () => {
    const { sessions, store } = await sessionFixture();
    const [old] = await sessions.create([requestFor("old")]);
    let ledger: readonly Write[] = [];
    const created = await sessions.create([requestFor("a"), requestFor("b", { format: "best", quality: "320k" })], {
      batchId: "list 1",
      adopt: [old?.id ?? "", old?.id ?? ""],
      with: (made) => {
        ledger = [{ type: "put", space: "lists", key: "list 1", value: made.map(({ seq }) => seq).join() }];
        return ledger;
      },
    });
    assert.equal(await store.get("lists", "list 1"), "2,3");
    assert.match(created[0]?.id ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    assert.deepEqual(created[1]?.metadata, { format: "best", quality: "320k" });
    assert.equal(await queue(sessions), "oldab");
    const page = await sessions.list({ batchId: "list 1" }, { size: 10 });
    assert.equal(names(page.sessions), "oldab");
    await sessions.create([requestFor("c")], { batchId: "list 2", adopt: [old?.id ?? ""] });
    assert.equal(names((await sessions.list({ batchId: "list 2" }, { size: 10 })).sessions), "oldc");
    assert.equal((await sessions.get(old?.id ?? ""))?.batchId, "list 1");
    assert.deepEqual(await sessions.batches(old?.id ?? ""), ["list 1", "list 2"]);
    assert.deepEqual(await sessions.batches("none"), []);
    assert.equal(await verifyIndices(store), 4);
  });

  test("adopting what is not there fails as a whole", async () => {
    const { sessions, store } = await sessionFixture();
    const ghost = "00000000-0000-4000-8000-000000000000";
    await assert.rejects(
      sessions.create([requestFor("a")], { batchId: "b", adopt: [ghost] }),
      code("SESSION_NOT_FOUND"),
    );
    assert.equal(await verifyIndices(store), 0);
  });

  test("the archive knows the newest session of a URL and place", async () => {
    const { sessions, store } = await sessionFixture();
    const place = { directory: "/d" };
    const [first] = await sessions.create([
      requestFor("a", place),
      requestFor("a", { output: "/d/a" }),
      requestFor("b"),
    ]);
    const [newer] = await sessions.create([requestFor("a", place)]);
    const url = "http://origin.test/a";
    const ask = () =>
      sessions.archived([
        { url, target: "/d" },
        { url, target: "" },
        { url, target: "/d/a" },
      ]);
    assert.deepEqual(
      (await ask()).map((session) => session?.seq),
      [4, undefined, 2],
    );
    await sessions.remove([first?.id ?? ""]);
    assert.equal((await ask())[0]?.seq, 4, "the newer one's entry stays");
    const elsewhere = { options: { directory: "/elsewhere" } };
    await assert.rejects(sessions.update(newer?.id ?? "", elsewhere), code("INVALID_ARGUMENT", /keeps its URL/));
    await sessions.remove([newer?.id ?? ""]);
    assert.equal((await ask())[0], undefined);
    await verifyIndices(store);
  });

  test("a new session for the URL of one that is being forgotten keeps its entry of the archive", async () => {
    const { sessions } = await sessionFixture();
    for (let turn = 0; turn < 20; turn++) {
      const [old] = await sessions.create([requestFor("a")]);
      const forgetting = sessions.remove([old?.id ?? ""]);
      for (let wait = 0; wait < turn; wait++) await Promise.resolve();
      const [fresh] = await sessions.create([requestFor("a")]);
      await forgetting;
      const [found] = await sessions.archived([{ url: "http://origin.test/a", target: "" }]);
      assert.equal(found?.id, fresh?.id, `after ${turn} turns`);
    }
  });
});

describe("changing", () => {
  test("follows the transitions and keeps fields that go with a status", async () => {
    const { sessions, clock, store } = await sessionFixture();
    const { a } = await make(sessions, "a");
    const id = a?.id ?? "";
    await assert.rejects(sessions.update(id, { status: "completed" }), code("WRONG_STATUS", /queued.*completed/));
    assert.equal((await sessions.update(id, { status: "active", stage: "fetch" })).stage, "fetch");
    const waiting = await sessions.update(id, { status: "waiting", nextAttemptAt: clock.now() + 5000 });
    assert.equal(waiting.stage, undefined);
    assert.equal(await sessions.nextDue(), clock.now() + 5000);
    assert.deepEqual(await sessions.due(clock.now() + 4999, 5), []);
    assert.equal(names(await sessions.due(clock.now() + 5000, 5)), "a");
    await clock.advance(1000);
    const active = await sessions.update(id, { status: "active", metadata: { title: "A" } });
    assert.equal(active.nextAttemptAt, undefined);
    assert.equal(active.updatedAt, clock.now());
    await sessions.update(id, { stage: "store", manifestRoot: "00" });
    await assert.rejects(sessions.update(id, { status: "queued" }), code("WRONG_STATUS", /active.*queued/));
    await sessions.update(id, { status: "waiting" });
    await sessions.update(id, { status: "queued" });
    const ready = await sessions.update(id, { status: "active" });
    assert.equal(ready.manifestRoot, "00", "verified before the file got its name, and still");
    const done = await sessions.update(id, { status: "completed" });
    assert.equal(done.completedAt, clock.now());
    await assert.rejects(sessions.update(id, { status: "queued" }), code("WRONG_STATUS", /completed.*queued/));
    await assert.rejects(sessions.update(id, { url: undefined }), code("INVALID_ARGUMENT", /without url/));
    await verifyIndices(store);
  });

  test("is visible at once, and no change is lost", async () => {
    const { sessions, store } = await sessionFixture();
    const { a } = await make(sessions, "a");
    const id = a?.id ?? "";
    await sessions.update(id, { status: "active" });
    const changes = Array.from({ length: 200 }, async () => {
      const { attempt } = (await sessions.get(id)) ?? { attempt: 0 };
      const update = sessions.update(id, { attempt: attempt + 1 });
      assert.equal((await sessions.get(id))?.attempt, (await update).attempt);
    });
    changes.push(
      ...Array.from(
        { length: 200 },
        async (_, at) => void (await sessions.update(id, { metadata: { title: `${at}` } })),
      ),
    );
    await Promise.all(changes);
    const { sessions: after } = await sessionFixture({}, store);
    assert.equal((await after.get(id))?.metadata.title, "199");
  });

  test("what nobody knows is not found", async () => {
    const { sessions } = await sessionFixture();
    const ghost = "00000000-0000-4000-8000-000000000000";
    assert.equal(await sessions.get(ghost), undefined);
    await assert.rejects(sessions.update(ghost, { attempt: 1 }), code("SESSION_NOT_FOUND"));
    await assert.rejects(sessions.move(ghost, "top"), code("SESSION_NOT_FOUND"));
    await assert.rejects(sessions.recordChunks(ghost, 1, []), code("SESSION_NOT_FOUND"));
    for (const id of [ghost, "abc", "zzzz", "", "../etc"])
      await assert.rejects(sessions.find(id), code("SESSION_NOT_FOUND"));
    await sessions.remove([ghost]);
    sessions.progress(ghost, 1, 2);
  });

  test("is found by the beginning of its id", async () => {
    const { sessions } = await sessionFixture();
    const lines = ["1111aaaa", "1111bbbb"].map(
      (start) =>
        `{"version":1,"session_id":"${start}-0000-4000-8000-000000000000","sequence":1,"url":"http://x.test/","mirrors":[],"status":"failed","created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z","attempt":0,"progress":{"downloaded_bytes":0,"total_bytes":null,"percentage":0},"metadata":{},"options":{},"error_info":null}`,
    );
    const outcome = await sessions.importLines(
      (async function* () {
        yield* lines;
      })(),
    );
    assert.equal(outcome.imported, 2, outcome.refused.join());
    assert.match((await sessions.find("1111A")).id, /^1111aaaa/);
    await assert.rejects(sessions.find("1111"), code("SESSION_AMBIGUOUS", /1111aaaa.*1111bbbb/));
    await assert.rejects(sessions.find("1112"), code("SESSION_NOT_FOUND"));
  });

  test("a write that fails changes nothing", async () => {
    let failing = false;
    class Failing extends MemoryKeyValue {
      override async write(writes: readonly Write[]): Promise<void> {
        if (failing) throw failure("DISK_FULL", "no room");
        await super.write(writes);
      }
    }
    const { sessions, store } = await sessionFixture({}, new Failing());
    const made = await make(sessions, "ab");
    await sessions.update(idOf(made, "a"), { status: "active" });
    const events: string[] = [];
    sessions.subscribe(({ event }) => events.push(event.type));
    failing = true;
    await assert.rejects(sessions.update(idOf(made, "a"), { status: "failed" }), code("DISK_FULL"));
    await assert.rejects(sessions.create([requestFor("c")]), code("DISK_FULL"));
    await assert.rejects(sessions.remove([idOf(made, "b")]), code("DISK_FULL"));
    failing = false;
    assert.deepEqual(events, []);
    assert.deepEqual([sessions.counts().active, sessions.counts().queued, sessions.counts().failed], [1, 1, 0]);
    assert.equal((await sessions.get(idOf(made, "a")))?.status, "active");
    assert.equal(await queue(sessions), "b");
    await sessions.update(idOf(made, "a"), { status: "completed" });
    assert.equal(await verifyIndices(store), 2);
  });
});

describe("the queue", () => {
  test("moves", async () => {
    const { sessions, store } = await sessionFixture();
    const made = await make(sessions, "abcdef");
    const move = async (letter: string, to: Parameters<SessionManager["move"]>[1]) => {
      await sessions.move(idOf(made, letter), to);
      return queue(sessions);
    };
    assert.equal(await move("e", "top"), "eabcdf");
    assert.equal(await move("e", "bottom"), "abcdfe");
    assert.equal(await move("c", { by: -1 }), "acbdfe");
    assert.equal(await move("c", { by: 2 }), "abdcfe");
    assert.equal(await move("f", { by: -100 }), "fabdce");
    assert.equal(await move("f", { by: 100 }), "abdcef");
    assert.equal(await move("f", { by: 0 }), "abdcef");
    assert.equal(await move("f", { position: 1 }), "fabdce");
    assert.equal(await move("f", { position: 3 }), "abfdce");
    assert.equal(await move("a", { position: 3 }), "bfadce");
    assert.equal(await move("a", { position: 1000 }), "bfdcea");
    assert.equal(await sessions.queuePosition(idOf(made, "c")), 4);
    await assert.rejects(move("a", { position: 0 }), code("INVALID_ARGUMENT", /0 is no place/));
    await assert.rejects(move("a", { by: 1.5 }), code("INVALID_ARGUMENT"));
    await sessions.update(idOf(made, "a"), { status: "paused" });
    await assert.rejects(move("a", "top"), code("WRONG_STATUS", /paused/));
    assert.equal(await sessions.queuePosition(idOf(made, "a")), undefined);
    await verifyIndices(store);
  });

  test("takes back at its place what was started or paused, and behind all others what had ended", async () => {
    const { sessions } = await sessionFixture();
    const made = await make(sessions, "abcd");
    for (const letter of "ab") await sessions.update(idOf(made, letter), { status: "active" });
    await sessions.update(idOf(made, "c"), { status: "paused" });
    assert.equal(await queue(sessions), "d");
    await sessions.update(idOf(made, "a"), { status: "failed" });
    await sessions.update(idOf(made, "b"), { status: "waiting" });
    for (const letter of "abc") await sessions.update(idOf(made, letter), { status: "queued" });
    assert.equal(await queue(sessions), "bcda");
    assert.equal(names(await sessions.nextQueued(2, new Set([idOf(made, "c")]))), "bd");
    assert.equal(names(await sessions.nextQueued(0, none)), "");
  });

  test("stays in order however often the same gap is used", async () => {
    const { sessions, store, logger } = await sessionFixture();
    const made = await make(sessions, "abcdefgh");
    for (let turn = 0; turn < 600; turn++) {
      const [first, second] = await sessions.nextQueued(3, none).then((next) => next.slice(1));
      await sessions.move(second?.id ?? "", { position: 2 });
      assert.equal(await sessions.queuePosition(first?.id ?? ""), 3);
    }
    assert.equal((await queue(sessions)).length, 8);
    assert.equal((await queue(sessions))[0], "a");
    for await (const [key] of store.entries("queue")) assert.ok(key.length < 90, key);
    assert.deepEqual(logger.lines, []);
    await verifyIndices(store);
    assert.ok(made);
  });
});

describe("after a death", () => {
  test("what was active is queued again before all others, with its chunks", async () => {
    const { sessions, store } = await sessionFixture();
    const made = await make(sessions, "abcde");
    for (const letter of "cab") await sessions.update(idOf(made, letter), { status: "active", stage: "fetch" });
    await sessions.update(idOf(made, "a"), {
      resource: { finalUrl: "http://x.test/", ranges: true, size: 25 },
      part: { path: "/d/a.part", chunkSize: 10, epoch: 2 },
    });
    await sessions.recordChunks(idOf(made, "a"), 1, [[0, "old"]]);
    await sessions.recordChunks(idOf(made, "a"), 2, [
      [0, "x"],
      [2, "z"],
    ]);
    await sessions.move(idOf(made, "e"), "top");

    const restart = await sessionFixture({}, store);
    assert.equal(await queue(restart.sessions), "abced");
    const a = await restart.sessions.get(idOf(made, "a"));
    assert.deepEqual(a?.progress, { downloadedBytes: 15, totalBytes: 25 });
    assert.equal(a?.stage, undefined);
    assert.deepEqual(
      [...(await restart.sessions.chunks(idOf(made, "a"), 2))],
      [
        [0, "x"],
        [2, "z"],
      ],
    );
    assert.equal(restart.sessions.counts().active, 0);
    await verifyIndices(store);
    await restart.sessions.dropChunks(idOf(made, "a"));
    assert.equal((await restart.sessions.chunks(idOf(made, "a"), 1)).size, 0);
  });

  test("missing numbers and indices are made anew, records that are none put aside", async () => {
    const { sessions, store } = await sessionFixture();
    const made = await make(sessions, "abc");
    await sessions.move(idOf(made, "c"), "top");
    await sessions.update(idOf(made, "a"), { status: "cancelled" });
    await sessions.recordChunks(idOf(made, "b"), 1, [[0, "x"]]);
    await store.write([
      { type: "del", space: "session-meta", key: "state" },
      { type: "del", space: "queue", key: [...(await keysOf(store, "queue"))][0] ?? "" },
      { type: "put", space: "status", key: "active!000000000099", value: "" },
      { type: "put", space: "session", key: "000000000050", value: "{" },
      { type: "put", space: "chunk", key: "ghost!000001!000000000", value: "x" },
    ]);
    const restart = await sessionFixture({}, store);
    assert.equal(await verifyIndices(store), 3);
    assert.equal(await queue(restart.sessions), "cb");
    assert.equal(await store.get("session-aside", "000000000050"), "{");
    const [warning] = restart.logger.lines.filter(({ level }) => level === "warn");
    assert.deepEqual(warning?.fields["unreadable"], ["000000000050"]);
    const [next] = await restart.sessions.create([requestFor("d")]);
    assert.equal(next?.seq, 51);
    assert.equal(await queue(restart.sessions), "cbd");
  });

  test("a repaired database has its indices made anew, once", async () => {
    class Repaired extends MemoryKeyValue {
      readonly repairs = 1;
    }
    const store = new Repaired();
    const first = await sessionFixture({}, new MemoryKeyValue());
    await make(first.sessions, "abc");
    for (const space of ["session", "session-meta"])
      for await (const [key, value] of first.store.entries(space))
        await store.write([{ type: "put", space, key, value }]);
    const warnings = [];
    for (let start = 0; start < 2; start++) {
      const { sessions, logger } = await sessionFixture({}, store);
      assert.equal(await queue(sessions), "abc");
      warnings.push(logger.lines.length);
    }
    assert.deepEqual(warnings, [1, 0]);
  });
});

async function keysOf(store: KeyValue, space: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of store.entries(space)) keys.push(key);
  return keys;
}

describe("events", () => {
  test("tell what happened, in order, with milestones and errors", async () => {
    const { sessions, clock } = await sessionFixture();
    const seen: string[] = [];
    const stop = sessions.subscribe(({ event }) =>
      seen.push(event.type === "progress" ? `progress ${event.milestone}` : `${event.type} ${event.session.status}`),
    );
    sessions.subscribe(() => {
      throw new Error("a bad listener");
    });
    const { a } = await make(sessions, "a");
    const id = a?.id ?? "";
    await sessions.update(id, { status: "active" });
    for (const bytes of [10, 24, 25, 26, 60, 70]) sessions.progress(id, bytes, 100);
    sessions.progress(id, 30);
    sessions.progress(id, 55);
    const error = sessionError(failure("TIMED_OUT", "no byte"), clock.now());
    await sessions.update(id, { status: "waiting", error, nextAttemptAt: 0 });
    await sessions.update(id, { status: "active" });
    await sessions.update(id, { progress: { downloadedBytes: 100, totalBytes: 100 }, status: "completed" });
    await sessions.remove([id]);
    stop();
    await make(sessions, "b");
    assert.deepEqual(seen, [
      "created queued",
      "updated active",
      "progress 25",
      "progress 50",
      "progress 50",
      "updated waiting",
      "error waiting",
      "updated active",
      "progress 75",
      "progress 100",
      "updated completed",
      "cleaned completed",
    ]);
  });

  test("numbers only grow: on after a clean end, with a gap after a death", async () => {
    const store = new MemoryKeyValue();
    const seen: number[] = [];
    const listen = ({ sequence }: NumberedEvent) => void seen.push(sequence);
    const first = await sessionFixture({}, store);
    first.sessions.subscribe(listen);
    await make(first.sessions, "abc");
    const last = first.sessions.log.newest;
    await first.sessions[Symbol.asyncDispose]();

    const second = await sessionFixture({}, store);
    assert.deepEqual(second.sessions.log.after(last), { gap: false, events: [] });
    second.sessions.subscribe(listen);
    // More than a block of numbers, without a clean end.
    for (let turn = 0; turn < 25; turn++)
      await second.sessions.create(Array.from({ length: 1000 }, (_, at) => requestFor(`${at}`)));
    const third = await sessionFixture({}, store);
    assert.equal(third.sessions.log.after(second.sessions.log.newest).gap, true);
    third.sessions.subscribe(listen);
    await make(third.sessions, "x");
    assert.ok(seen.every((sequence, at) => at === 0 || sequence > (seen[at - 1] ?? 0)));
    assert.equal(third.sessions.log.oldest, third.sessions.log.newest);
  });
});

describe("clean-up", () => {
  test("forgets the oldest ended ones by age and by count, never the unfinished", async () => {
    const { sessions, clock, store } = await sessionFixture({ keepDays: 10, keepCount: 3 });
    const made = await make(sessions, "abcdefgh");
    const end = async (letter: string) => {
      await sessions.update(idOf(made, letter), { status: "active" });
      await sessions.recordChunks(idOf(made, letter), 1, [[0, "x"]]);
      await sessions.update(idOf(made, letter), { status: "ac".includes(letter) ? "failed" : "completed" });
      await clock.advance(86_400_000);
    };
    for (const letter of "abcde") await end(letter);
    const cleaned: string[] = [];
    sessions.subscribe(({ event }) => event.type === "cleaned" && cleaned.push(names([event.session])));
    // Taken up again: it is not of the ended ones any more.
    await sessions.update(idOf(made, "a"), { status: "queued" });
    assert.equal(await sessions.cleanUp(), 1);
    assert.deepEqual(cleaned, ["b"]);
    await clock.advance(7.5 * 86_400_000);
    assert.equal(await sessions.cleanUp(), 1);
    assert.deepEqual(cleaned, ["b", "c"]);
    sessions.setRetention({ keepDays: 1, keepCount: 3 });
    assert.equal(await sessions.cleanUp(), 2);
    assert.equal(await queue(sessions), "fgha");
    assert.equal(await sessions.cleanUp(), 0);
    assert.equal(await verifyIndices(store), 4);
  });

  test("goes in batches", async () => {
    const { sessions, store } = await sessionFixture({ keepCount: 10 });
    const created = await sessions.create(Array.from({ length: 700 }, (_, at) => requestFor(`${at}`)));
    await Promise.all(created.map(({ id }) => sessions.update(id, { status: "cancelled" })));
    assert.equal(await sessions.cleanUp(), 690);
    assert.equal(await verifyIndices(store), 10);
  });
});

describe("lists", () => {
  test("page through by every filter, both ways", async () => {
    const { sessions } = await sessionFixture();
    const made = await sessions.create(
      Array.from({ length: 25 }, (_, at) => requestFor(`${at}.iso`)),
      { batchId: "one" },
    );
    await sessions.create(
      Array.from({ length: 5 }, (_, at) => requestFor(`${at}.txt`)),
      { batchId: "one!" },
    );
    for (const { id } of made.slice(0, 10)) await sessions.update(id, { status: "paused" });
    const all = async (filter: Parameters<SessionManager["list"]>[0], reverse: boolean) => {
      const found: number[] = [];
      let token: string | undefined;
      do {
        const page = await sessions.list(filter, { size: 4, reverse, ...(token !== undefined && { token }) });
        found.push(...page.sessions.map(({ seq }) => seq));
        token = page.nextPageToken;
      } while (token !== undefined);
      return found;
    };
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
    for (const [filter, expected] of [
      [{}, range(1, 30)],
      [{ status: "paused" }, range(1, 10)],
      [{ statusNot: "paused" }, range(11, 30)],
      [{ batchId: "one" }, range(1, 25)],
      [{ batchId: "one!" }, range(26, 30)],
      [{ batchId: "none" }, []],
      [{ status: "queued", batchId: "one" }, range(11, 25)],
      [{ url: "*.txt" }, range(26, 30)],
      [{ url: "*/1*", status: "queued" }, [...range(11, 20), 27]],
      [{ status: "waiting" }, []],
    ] as const) {
      assert.deepEqual(await all(filter, false), [...expected], JSON.stringify(filter));
      assert.deepEqual(await all(filter, true), [...expected].reverse(), JSON.stringify(filter));
    }
  });

  test("refuse sizes and tokens that are none", async () => {
    const { sessions } = await sessionFixture();
    await make(sessions, "abc");
    const { nextPageToken: token = "" } = await sessions.list({}, { size: 1 });
    assert.equal((await sessions.list({}, { size: 1, token })).sessions[0]?.seq, 2);
    for (const size of [0, -1, 1001, 1.5, Number.NaN])
      await assert.rejects(sessions.list({}, { size }), code("INVALID_ARGUMENT"));
    for (const bad of ["", "x", `${token}0`, token.replace("0", "x"), "\0", "9".repeat(10_000)])
      await assert.rejects(sessions.list({}, { size: 1, token: bad }), code("INVALID_ARGUMENT"));
    await assert.rejects(
      sessions.list({ status: "queued" }, { size: 1, token }),
      code("INVALID_ARGUMENT", /another filter/),
    );
    await assert.rejects(sessions.list({}, { size: 1, token, reverse: true }), code("INVALID_ARGUMENT", /order/));
  });
});
