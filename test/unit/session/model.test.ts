/** The session manager against a model of a few lines: whatever is done in whatever order, both say the same. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { type SessionStatus, TRANSITIONS } from "../../../src/daemon/core/session.ts";
import type { SessionManager } from "../../../src/daemon/session/session-manager.ts";
import { Store } from "../../../src/daemon/store/store.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { TestClock } from "../../support/test-clock.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

interface ModelSession {
  readonly id: string;
  readonly url: string;
  readonly batches: Set<string>;
  status: SessionStatus;
  attempt: number;
  due?: number;
  chunks: Map<number, string>;
}

type Step =
  | { readonly do: "create"; readonly urls: readonly number[]; readonly batch: number; readonly adopt: number }
  | { readonly do: "update"; readonly which: number; readonly status: SessionStatus; readonly due: number }
  | { readonly do: "storm"; readonly which: number; readonly times: number }
  | {
      readonly do: "move";
      readonly which: number;
      readonly to: "top" | "bottom" | { by: number } | { position: number };
    }
  | { readonly do: "remove"; readonly which: readonly number[] }
  | { readonly do: "chunk"; readonly which: number; readonly index: number }
  | { readonly do: "restart" };

const STATUSES = Object.keys(TRANSITIONS) as SessionStatus[];
const which = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("create" as const),
      urls: fc.array(fc.nat(6), { maxLength: 4 }),
      batch: fc.nat(3),
      adopt: which,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("update" as const),
      which,
      status: fc.constantFrom(...STATUSES),
      due: fc.nat(10),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("storm" as const), which, times: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("move" as const),
      which,
      to: fc.oneof(
        fc.constantFrom("top" as const, "bottom" as const),
        fc.record({ by: fc.integer({ min: -4, max: 4 }) }),
        fc.record({ position: fc.integer({ min: 1, max: 8 }) }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), which: fc.array(which, { maxLength: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("chunk" as const), which, index: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
);

/** The model and what it is held against. */
class Pair {
  readonly all = new Map<string, ModelSession>();
  readonly archive = new Map<string, string>();
  queue: string[] = [];
  sessions: SessionManager;
  readonly #store: KeyValue;
  readonly #clock = new TestClock(1_000_000);

  constructor(store: KeyValue, sessions: SessionManager) {
    this.#store = store;
    this.sessions = sessions;
  }

  #pick(which: number): ModelSession | undefined {
    const all = [...this.all.values()];
    return all[which % Math.max(all.length, 1)];
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case "create":
        return this.#create(step);
      case "update":
        return this.#update(step);
      case "storm":
        return this.#storm(step);
      case "move":
        return this.#move(step);
      case "remove":
        return this.#remove(step.which);
      case "chunk":
        return this.#chunk(step);
      case "restart":
        return this.#restart();
    }
  }

  async #create({ urls, batch, adopt }: Step & { do: "create" }): Promise<void> {
    const adopted = batch > 0 ? this.#pick(adopt) : undefined;
    const created = await this.sessions.create(
      urls.map((url) => requestFor(`${url}`)),
      batch > 0 ? { batchId: `batch ${batch}`, adopt: adopted ? [adopted.id] : [] } : {},
    );
    adopted?.batches.add(`batch ${batch}`);
    for (const { id, url } of created) {
      const batches = new Set(batch > 0 ? [`batch ${batch}`] : []);
      this.all.set(id, { id, url, batches, status: "queued", attempt: 0, chunks: new Map() });
      this.archive.set(url, id);
      this.queue.push(id);
    }
  }

  async #update({ which, status, due }: Step & { do: "update" }): Promise<void> {
    const session = this.#pick(which);
    if (session === undefined) return;
    const { id, status: before } = session;
    const time = this.#clock.now() + due;
    const update = this.sessions.update(id, { status, ...(status === "waiting" && { nextAttemptAt: time }) });
    if (before !== status && !TRANSITIONS[before].includes(status)) {
      await assert.rejects(update, ({ code }: DownloadError) => code === "WRONG_STATUS");
      return;
    }
    await update;
    session.status = status;
    if (status === "waiting") session.due = time;
    if (before !== "queued" && status === "queued") await this.#returned(id, before);
    if (before === "queued" && status !== "queued") this.queue = this.queue.filter((other) => other !== id);
  }

  /** One that had ended goes to the tail; any other comes back somewhere, and the others keep their order. */
  async #returned(id: string, before: SessionStatus): Promise<void> {
    const hadEnded = before === "completed" || before === "failed" || before === "cancelled";
    const now = (await this.sessions.nextQueued(1000, new Set())).map((session) => session.id);
    assert.deepEqual(
      now.filter((other) => other !== id),
      this.queue,
    );
    if (hadEnded) assert.equal(now.at(-1), id);
    this.queue = now;
  }

  async #storm({ which, times }: Step & { do: "storm" }): Promise<void> {
    const session = this.#pick(which);
    if (session === undefined) return;
    await Promise.all(
      Array.from({ length: times }, async (_, at) => {
        await this.sessions.update(session.id, { metadata: { title: `${at}` }, attempt: session.attempt + at + 1 });
      }),
    );
    session.attempt += times;
  }

  async #move({ which, to }: Step & { do: "move" }): Promise<void> {
    const session = this.#pick(which);
    if (session === undefined) return;
    const move = this.sessions.move(session.id, to);
    if (session.status !== "queued") {
      await assert.rejects(move, ({ code }: DownloadError) => code === "WRONG_STATUS");
      return;
    }
    await move;
    const at = this.queue.indexOf(session.id);
    this.queue.splice(at, 1);
    const target =
      to === "top" ? 0 : to === "bottom" ? Number.POSITIVE_INFINITY : "by" in to ? at + to.by : to.position - 1;
    this.queue.splice(Math.max(0, target), 0, session.id);
  }

  async #remove(which: readonly number[]): Promise<void> {
    const gone = new Set(which.flatMap((each) => this.#pick(each)?.id ?? []));
    await this.sessions.remove([...gone]);
    for (const id of gone) this.all.delete(id);
    for (const [url, id] of this.archive) if (gone.has(id)) this.archive.delete(url);
    this.queue = this.queue.filter((id) => !gone.has(id));
  }

  async #chunk({ which, index }: Step & { do: "chunk" }): Promise<void> {
    const session = this.#pick(which);
    if (session === undefined) return;
    await this.sessions.recordChunks(session.id, 1, [[index, `${index}`]]);
    session.chunks.set(index, `${index}`);
  }

  async #restart(): Promise<void> {
    const active = [...this.all.values()].filter(({ status }) => status === "active");
    this.sessions = (await sessionFixture({}, this.#store, this.#clock)).sessions;
    const now = (await this.sessions.nextQueued(1000, new Set())).map(({ id }) => id);
    assert.deepEqual(now.slice(active.length), this.queue);
    assert.deepEqual(new Set(now.slice(0, active.length)), new Set(active.map(({ id }) => id)));
    for (const session of active) {
      session.status = "queued";
      session.attempt = Math.max(session.attempt - 1, 0);
    }
    this.queue = now;
  }

  async check(): Promise<void> {
    const { sessions } = this;
    const all = [...this.all.values()];
    const ids = (found: readonly { id: string }[]) => found.map(({ id }) => id);
    assert.deepEqual(ids(await sessions.nextQueued(1000, new Set())), this.queue);
    assert.deepEqual(ids(await sessions.nextQueued(2, new Set(this.queue.slice(0, 1)))), this.queue.slice(1, 3));
    for (const [at, id] of this.queue.entries()) assert.equal(await sessions.queuePosition(id), at + 1);
    const now = this.#clock.now() + 5;
    const waiting = all.filter(({ status }) => status === "waiting");
    const due = waiting.filter((session) => (session.due ?? 0) <= now);
    assert.deepEqual(new Set(ids(await sessions.due(now, 1000))), new Set(ids(due)));
    const times = waiting.map((session) => session.due ?? 0);
    assert.equal(await sessions.nextDue(), times.length > 0 ? Math.min(...times) : undefined);
    for (const status of STATUSES) {
      const expected = ids(all.filter((session) => session.status === status));
      assert.deepEqual(ids((await sessions.list({ status }, { size: 1000 })).sessions), expected);
      assert.equal(sessions.counts()[status], expected.length);
    }
    for (const batchId of ["batch 1", "batch 2", "batch 3"]) {
      const expected = ids(all.filter(({ batches }) => batches.has(batchId)));
      assert.deepEqual(ids((await sessions.list({ batchId }, { size: 1000 })).sessions), expected);
    }
    for (const { id, attempt, chunks } of all) {
      assert.equal((await sessions.get(id))?.attempt, attempt);
      assert.deepEqual(await sessions.chunks(id, 1), chunks);
    }
    const urls = ["0", "1", "2", "3", "4", "5", "6"].map((name) => requestFor(name).url);
    const found = await sessions.archived(urls.map((url) => ({ url, target: "" })));
    assert.deepEqual(
      found.map((session) => session?.id),
      urls.map((url) => this.archive.get(url)),
    );
    assert.equal(await verifyIndices(this.#store), all.length);
  }
}

async function hold(store: KeyValue, steps: readonly Step[]): Promise<void> {
  const { sessions } = await sessionFixture({}, store);
  const pair = new Pair(store, sessions);
  for (const each of steps) {
    await pair.run(each);
    await pair.check();
  }
}

test("the manager does as the model, in memory", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => hold(new MemoryKeyValue(), steps)),
    { numRuns: 60 },
  );
});

test("the manager does as the model, on LevelDB", async () => {
  const parent = await mkdtemp(join(tmpdir(), "snatch-model-"));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
      await using store = new Store({ directory: join(parent, `${run++}`), logger: new RecordLogger() });
      await store.start();
      await hold(store.keyValue, steps);
    }),
    { numRuns: 6 },
  );
  await rm(parent, { recursive: true });
});
