import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { ByteRange } from "../../../src/daemon/core/ports/sources.ts";
import { type Span, Spans } from "../../../src/daemon/download/spans.ts";

const CHUNK = 64 * 1024;
const rate = (): number => 1000;

const none = new Set<number>();
const bounds = (span: Span | undefined): readonly [number, number] | undefined => span && [span.next, span.end];

describe("spans", () => {
  test("whatever the connections do, every missing byte is fetched once, none that is here", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 * CHUNK }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(40)),
        fc.infiniteStream(fc.nat(99)),
        (size, workers, here, dice) => {
          const roll = () => dice.next().value ?? 0;
          const count = Math.ceil(size / CHUNK);
          const done = new Set(here.filter((index) => index < count));
          const spans = new Spans(size, CHUNK, done);
          const fetched: [number, number][] = [];
          const lanes: (Span | undefined)[] = Array.from({ length: workers }, () => undefined);
          for (let idle = 0; idle < workers * 3; ) {
            const lane = roll() % workers;
            const span = lanes[lane] ?? spans.take(workers, () => (roll() < 20 ? undefined : roll() * 1000));
            lanes[lane] = span;
            if (!span) {
              idle++;
              continue;
            }
            idle = 0;
            // What is lent may be filled, wholly or not; a connection may break anywhere, or be told to end.
            span.reserved = Math.min(span.end, span.next + (roll() + 1) * 1024);
            if (roll() < 5) spans.shorten(span);
            if (roll() < 30) spans.take(workers, rate) && assert.ok(span.end >= span.reserved);
            const came = Math.min(span.reserved - span.next, (roll() + 1) * 1024);
            if (came > 0) fetched.push([span.next, span.next + came]);
            span.next += came;
            if (span.next >= span.end || roll() < 10) {
              spans.release(span);
              lanes[lane] = undefined;
            }
          }
          for (const span of lanes) if (span) spans.release(span);
          fetched.sort(([a], [b]) => a - b);
          for (const [at, [start]] of fetched.entries())
            if (at > 0) assert.ok((fetched[at - 1]?.[1] ?? 0) <= start, "no byte twice");
          const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !done.has(index));
          const wanted = missing.reduce((sum, index) => sum + Math.min(CHUNK, size - index * CHUNK), 0);
          const came = fetched.reduce((sum, [start, end]) => sum + end - start, 0);
          assert.equal(came + spans.left, wanted, "what did not come is still wanted");
        },
      ),
      { numRuns: 300 },
    );
  });

  test("the probe takes what it asked for, and no more than the first gap", () => {
    const spans = new Spans(10 * CHUNK, CHUNK, new Set([0, 1, 3]));
    assert.deepEqual(bounds(spans.takeAt(2 * CHUNK, 7 * CHUNK, rate)), [2 * CHUNK, 3 * CHUNK]);
    assert.equal(spans.waiting, 6 * CHUNK);
  });

  test("spans get shorter towards the end, and end where chunks do", () => {
    const spans = new Spans(16 * CHUNK + 5, CHUNK, none);
    assert.deepEqual(bounds(spans.take(2, rate)), [0, 5 * CHUNK]);
    assert.deepEqual(bounds(spans.take(2, rate)), [5 * CHUNK, 8 * CHUNK]);
  });

  test("a chunk that was left half full is taken first, alone", () => {
    const spans = new Spans(16 * CHUNK, CHUNK, none);
    const first = spans.take(1, rate) as Span;
    first.next = 3 * CHUNK + 7;
    spans.release(first);
    assert.deepEqual(bounds(spans.take(1, rate)), [3 * CHUNK + 7, 4 * CHUNK]);
  });

  test("with nothing waiting, the slowest is relieved of as much as the other does meanwhile; not of what is lent", () => {
    const spans = new Spans(10 * CHUNK, CHUNK, none);
    const slow = spans.takeAt(0, 10 * CHUNK, () => 10_000) as Span;
    slow.reserved = CHUNK;
    const quick = spans.take(4, () => 90_000) as Span;
    const kept = Math.floor((9 * CHUNK) / 10);
    assert.deepEqual(
      [bounds(slow), bounds(quick)],
      [
        [0, CHUNK + kept],
        [CHUNK + kept, 10 * CHUNK],
      ],
    );
    assert.equal(spans.left, 10 * CHUNK);
  });

  test("nobody takes all that another has: the two would take it from each other for ever, and no byte would come", () => {
    for (const speeds of [
      [undefined, undefined],
      [30_000, 30_000],
      [30_000, 40_000],
      [undefined, 40_000],
    ] as const) {
      const [first, second] = speeds.map((speed) => (): number | undefined => speed);
      const spans = new Spans(20 * 1024, CHUNK, none);
      assert.ok(first && second && spans.take(2, first));
      assert.equal(spans.take(2, second), undefined, String(speeds));
    }
    // One that is much slower cannot take it back.
    const spans = new Spans(20 * 1024, CHUNK, none);
    const slow = spans.take(2, () => 10_000);
    assert.deepEqual(bounds(spans.take(2, () => 40_000)), [4 * 1024, 20 * 1024]);
    assert.deepEqual(bounds(slow), [0, 4 * 1024]);
  });

  test("what is done in a moment is not worth a request", () => {
    const spans = new Spans(CHUNK, CHUNK, none);
    spans.takeAt(0, CHUNK, () => 100_000_000);
    assert.equal(spans.take(4, rate), undefined);
    assert.equal(spans.finished, false);
  });

  test("whatever is chosen and put back, every byte comes once more than it was wrong", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 * CHUNK }),
        fc.integer({ min: 1, max: 5 }),
        fc.infiniteStream(fc.nat(99)),
        (size, workers, dice) => {
          const roll = () => dice.next().value ?? 0;
          const count = Math.ceil(size / CHUNK);
          const spans = new Spans(size, CHUNK, none);
          const came = new Array<number>(count).fill(0);
          const wrong = new Array<number>(count).fill(0);
          const lengthOf = (chunk: number) => Math.min(CHUNK, size - chunk * CHUNK);
          // Now and then nonsense: another file's bytes, ranges the wrong way round.
          const choose = (gaps: readonly ByteRange[]): ByteRange | undefined => {
            const gap = gaps[roll() % gaps.length];
            const start = (gap?.start ?? 0) + roll() * 997;
            return roll() < 30
              ? undefined
              : { start: roll() < 5 ? start * 100 : start, end: start + (roll() - 10) * 5000 };
          };
          for (let turn = 0; turn < 10_000 && !spans.finished; turn++) {
            const span = spans.takeChosen(workers, rate, choose) ?? spans.take(workers, rate);
            if (!span) continue;
            const to = roll() < 20 ? span.next + roll() * 500 : span.end;
            for (; span.next < Math.min(to, span.end); ) {
              const chunk = Math.floor(span.next / CHUNK);
              const step = Math.min(span.end, to, (chunk + 1) * CHUNK) - span.next;
              came[chunk] = (came[chunk] ?? 0) + step;
              span.next += step;
              const whole = came[chunk] === (1 + (wrong[chunk] ?? 0)) * lengthOf(chunk);
              if (!whole || roll() > 10) continue;
              wrong[chunk] = (wrong[chunk] ?? 0) + 1;
              spans.putBack(chunk * CHUNK, chunk * CHUNK + lengthOf(chunk));
            }
            spans.release(span);
          }
          assert.ok(spans.finished);
          assert.equal(spans.left, 0);
          for (const [chunk, bytes] of came.entries())
            assert.equal(bytes, (1 + (wrong[chunk] ?? 0)) * lengthOf(chunk), `chunk ${chunk}`);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("what is chosen is taken first, on the grid; of torn chunks the one that can be had", () => {
    const spans = new Spans(16 * CHUNK, CHUNK, none);
    const at = (start: number) => () => ({ start, end: start + 1 });
    assert.deepEqual(bounds(spans.takeChosen(1, rate, at(9 * CHUNK + 5))), [9 * CHUNK, 10 * CHUNK]);
    assert.equal(spans.takeChosen(1, rate, at(9 * CHUNK)), undefined, "taken already");
    assert.equal(
      spans.takeChosen(1, rate, () => undefined),
      undefined,
      "it does not matter",
    );
    const torn = spans.takeChosen(1, rate, at(3 * CHUNK)) as Span;
    torn.next += 7;
    spans.release(torn);
    const asked: (readonly ByteRange[])[] = [];
    const span = spans.takeChosen(1, rate, (gaps) => {
      asked.push(gaps.map((gap) => ({ ...gap })));
      return gaps.length === 1 ? undefined : gaps.at(-1);
    });
    assert.deepEqual(asked[0], [{ start: 3 * CHUNK + 7, end: 4 * CHUNK }]);
    assert.equal(span?.next, 10 * CHUNK);
  });

  test("who is to end keeps the chunk under way", () => {
    const spans = new Spans(10 * CHUNK, CHUNK, none);
    const span = spans.takeAt(0, 10 * CHUNK, rate) as Span;
    span.next = CHUNK + 1;
    spans.shorten(span);
    assert.deepEqual(bounds(span), [CHUNK + 1, 2 * CHUNK]);
    assert.equal(spans.waiting, 8 * CHUNK);
  });
});
