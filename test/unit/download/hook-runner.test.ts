import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { Recovery } from "../../../src/daemon/core/hooks.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { type Hooks, LEFT_OUT_MS, MOST_FAILURES } from "../../../src/daemon/download/hook-calls.ts";
import { HookRunner } from "../../../src/daemon/download/hook-runner.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const LIMIT_MS = 50;
const URL_A = "http://a.test/file";
const about = { sessionId: "1", finalUrl: URL_A };

function fixture() {
  const clock = new TestClock();
  const logger = new RecordLogger();
  const runner = new HookRunner(clock, logger, LIMIT_MS);
  return { clock, runner, messages: () => logger.lines.map(({ message }) => message) };
}

const never = (): Promise<never> => new Promise(() => undefined);
const chunk = (start: number, url = URL_A) => ({ start, end: start + 1, url, retries: 0 });

describe("hooks", () => {
  test("run by priority; the same name replaces the former", async () => {
    const { runner } = fixture();
    const order: string[] = [];
    const hook = (name: string) => ({ postDownload: () => void order.push(name) });
    runner.register("late", hook("late"), 20);
    runner.register("early", hook("former"), 5);
    runner.register("early", hook("early"), 5);
    const leave = runner.register("gone", hook("gone"), 1);
    leave();
    await runner.postDownload(URL_A, "/x");
    assert.deepEqual(order, ["early", "late"]);
  });

  test("preDownload vetoes with its reason, whatever is thrown", async () => {
    const { runner } = fixture();
    const vetoOf = async (thrown: unknown) => {
      runner.register("guard", {
        preDownload: () => {
          throw thrown;
        },
      });
      return runner.preDownload(URL_A, about).then(
        () => "let by",
        ({ code, message }) => `${code}: ${message}`,
      );
    };
    const refused = 'VETOED: the hook "guard" refused the download:';
    assert.equal(await vetoOf(new Error("not on my watch")), `${refused} not on my watch`);
    assert.equal(await vetoOf("no"), `${refused} no`);
    assert.equal(await vetoOf(undefined), `${refused} undefined`);
    assert.equal(await vetoOf(Object.create(null)), `${refused} something that has no text`);
  });

  test("false from preDownload is no veto, and is named", async () => {
    const { runner, messages } = fixture();
    runner.register("guard", { preDownload: () => false as unknown as undefined });
    await runner.preDownload(URL_A, about);
    assert.match(messages()[0] ?? "", /^hook "guard", preDownload: returned false/);
  });

  test("one that throws or hangs is named, and the others still run", async () => {
    const { runner, messages, clock } = fixture();
    const reached: string[] = [];
    runner.register("thrower", { postDownload: () => Promise.reject(new Error("oh")) }, 1);
    runner.register("sleeper", { postDownload: never, preDownload: never }, 2);
    runner.register("last", { preDownload: (url) => void reached.push(url) }, 3);
    const told = runner.postDownload(URL_A, "/x");
    await clock.advance(LIMIT_MS);
    await told;
    const asked = runner.preDownload(URL_A, about);
    await clock.advance(LIMIT_MS);
    await asked;
    assert.deepEqual(reached, [URL_A]);
    assert.deepEqual(messages(), [
      'hook "thrower", postDownload: threw: Error: oh',
      'hook "sleeper", postDownload: took too long; going on without it',
      'hook "sleeper", preDownload: took too long; going on without it',
    ]);
  });

  test("a point that fails again and again is left out for a while; the other points of the same hooks are not", async () => {
    const { runner, messages, clock } = fixture();
    let calls = 0;
    let downloads = 0;
    const hooks: Hooks = {
      onCreated: () => {
        calls++;
        throw new Error("oh");
      },
      postDownload: () => void downloads++,
    };
    runner.register("broken", hooks);
    const create = async (times: number) => {
      for (let time = 0; time < times; time++) {
        runner.sessionEvent(created(`http://a.test/${time}`));
        await runner.settled();
      }
    };
    await create(MOST_FAILURES + 3);
    assert.equal(calls, MOST_FAILURES);
    assert.equal(messages().at(-1), 'hook "broken", onCreated: failed 5 times in a row; left out for 5 minutes');
    await runner.postDownload(URL_A, "/x");
    assert.equal(downloads, 1);
    await clock.advance(LEFT_OUT_MS);
    await create(3);
    assert.equal(calls, MOST_FAILURES + 1, "one more chance");
  });

  test("chunks reach a hook in order, and before the end of their file; another URL does not wait for them", async () => {
    const { runner } = fixture();
    const seen: (number | string)[] = [];
    const gates: (() => void)[] = [];
    runner.register("slow", {
      postChunk: ({ start, url }) =>
        url === URL_A
          ? new Promise((resolve) => void gates.push(() => resolve(void seen.push(start))))
          : void seen.push(url),
      postDownload: (_url, path) => void seen.push(path),
    });
    for (const start of [0, 1]) runner.postChunk(chunk(start), "00");
    runner.postChunk(chunk(0, "http://b.test/"), "00");
    const ended = runner.postDownload(URL_A, "/x");
    gates[0]?.();
    await new Promise(setImmediate);
    gates[1]?.();
    await ended;
    assert.deepEqual(seen, ["http://b.test/", 0, 1, "/x"]);
  });

  test("a hook that is too slow is told of fewer chunks, not of fewer ends", async () => {
    const { runner, messages } = fixture();
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let chunks = 0;
    let ends = 0;
    runner.register("slow", { postChunk: () => gate.then(() => void chunks++), postDownload: () => void ends++ });
    for (let start = 0; start < 5000; start++) runner.postChunk(chunk(start), "00");
    const ended = runner.postDownload(URL_A, "/x");
    open();
    await ended;
    assert.deepEqual([chunks, ends, messages().length], [1000, 1, 1]);
  });

  test("hooks of a class, and hooks that cannot even be looked at", async () => {
    const { runner } = fixture();
    class Counter {
      count = 0;
      postDownload() {
        this.count++;
      }
    }
    const counter = new Counter();
    const trap = new Proxy({}, { get: () => assert.fail("looked at") });
    runner.register("trap", trap, 1);
    runner.register("counter", counter, 2);
    await runner.preDownload(URL_A, about);
    await runner.postDownload(URL_A, "/x");
    runner.sessionEvent(created(URL_A));
    assert.equal(counter.count, 1);
  });

  test("what a hook is given is its own", async () => {
    const { runner } = fixture();
    const event = created(URL_A);
    const spoil = (session: Session) => void Object.assign(session, { url: "http://evil.test/", mirrors: ["x"] });
    const seen: string[] = [];
    runner.register("spoiler", { onCreated: spoil }, 1);
    runner.register("reader", { onCreated: ({ url }) => void seen.push(url) }, 2);
    runner.sessionEvent(event);
    await runner.settled();
    assert.deepEqual([event.event.session.url, ...seen], [URL_A, URL_A]);
  });

  test("a download that is stopped does not wait for a hook", async () => {
    const { runner } = fixture();
    runner.register("sleeper", { preDownload: never, onError: never });
    const abort = new AbortController();
    const asked = runner.preDownload(URL_A, about, abort.signal);
    const judged = runner.onError(URL_A, failure("TIMED_OUT", "slow"), 1, abort.signal);
    abort.abort(new Error("paused"));
    await assert.rejects(asked, /paused/);
    await assert.rejects(judged, /paused/);
  });

  test("the first decision about an error counts", async () => {
    const { runner } = fixture();
    runner.register("a", { onError: () => undefined }, 1);
    runner.register("b", { onError: () => ({ action: "wait", seconds: 3 }) }, 2);
    runner.register("c", { onError: () => ({ action: "fail" }) }, 3);
    const decision = await runner.onError(URL_A, failure("TIMED_OUT", "slow"), 1);
    assert.deepEqual(decision, { action: "wait", seconds: 3 });
  });

  test("nonsense about an error is named and is no decision", async () => {
    const headers = [["x", "a\r\nb"]] as const;
    const nonsense: unknown[] = [
      "wait",
      true,
      {},
      { action: "wait" },
      { action: "wait", seconds: Number.NaN },
      { action: "wait", seconds: -1 },
      { action: "wait", seconds: 1e300 },
      { action: "retry", url: "nowhere" },
      { action: "retry", headers },
      { action: "retry", headers: "x" },
      { action: "retry", headers: [["bad name", "x"]] },
      {
        get action() {
          throw new Error("a trap");
        },
      },
    ];
    for (const answer of nonsense) {
      const { runner, messages } = fixture();
      runner.register("odd", { onError: () => answer as Recovery });
      assert.equal(await runner.onError(URL_A, failure("TIMED_OUT", "slow"), 1), undefined);
      assert.deepEqual(messages(), ['hook "odd", onError: decided something that cannot be done; going on without it']);
    }
  });

  test("whatever a hook answers, nothing is thrown and a decision can be carried out", async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything({ withNullPrototype: true }), async (answer) => {
        const { runner } = fixture();
        runner.register("any", { onError: () => answer as Recovery });
        const decision = await runner.onError(URL_A, failure("TIMED_OUT", "slow"), 1);
        assert.ok(decision === undefined || ["wait", "retry", "fail"].includes(decision.action));
      }),
      { numRuns: 300 },
    );
  });
});

function created(url: string) {
  const session: Session = {
    id: "00000000-0000-4000-8000-000000000000",
    seq: 1,
    url,
    mirrors: [],
    options: {},
    status: "queued",
    createdAt: 0,
    updatedAt: 0,
    attempt: 0,
    progress: { downloadedBytes: 0 },
    metadata: {},
  };
  return { sequence: 1, time: 0, event: { type: "created", session } } as const;
}
