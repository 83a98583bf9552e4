import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Span, Spans } from "../../../src/daemon/download/spans.ts";

describe("spans", () => {
  test("whatever the connections do, every missing chunk is fetched once, none that is here", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(300)),
        fc.infiniteStream(fc.nat(99)),
        (count, workers, here, dice) => {
          const done = new Set(here);
          const spans = new Spans(count, done);
          const fetched: number[] = [];
          const lanes: (Span | undefined)[] = Array.from({ length: workers }, () => undefined);
          const roll = () => dice.next().value ?? 0;
          for (let idle = 0; idle < workers * 3; ) {
            const lane = roll() % workers;
            const span = lanes[lane] ?? spans.take(workers);
            lanes[lane] = span;
            if (!span) {
              idle++;
              continue;
            }
            idle = 0;
            // A connection may break at any chunk; what it did not fetch must come back.
            if (span.next < span.end && roll() > 10) fetched.push(span.next++);
            if (span.next >= span.end || roll() < 10) {
              spans.release(span);
              lanes[lane] = undefined;
            }
          }
          for (const span of lanes) if (span) spans.release(span);
          const rest: number[] = [];
          for (let span = spans.take(1); span; span = spans.take(1)) {
            while (span.next < span.end) rest.push(span.next++);
            spans.release(span);
          }
          const expected = Array.from({ length: count }, (_, index) => index).filter((index) => !done.has(index));
          assert.deepEqual(
            [...fetched, ...rest].sort((a, b) => a - b),
            expected,
          );
          assert.equal(spans.finished, true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("the probe takes the first missing chunk alone", () => {
    const spans = new Spans(10, new Set([0, 1]));
    assert.deepEqual(spans.takeFirst(), { next: 2, end: 3 });
    assert.equal(spans.waiting, 7);
  });

  test("an idle connection takes the second half of the longest rest; the chunk under way stays", () => {
    const spans = new Spans(8, new Set());
    const first = spans.take(1);
    const second = spans.take(1);
    assert.deepEqual(
      [first, second],
      [
        { next: 0, end: 4 },
        { next: 4, end: 6 },
      ],
    );
    spans.take(1);
    spans.take(1);
    assert.deepEqual(spans.take(1), { next: 2, end: 4 });
    assert.deepEqual(first, { next: 0, end: 2 });
  });

  test("a single chunk under way is not stolen", () => {
    const spans = new Spans(1, new Set());
    spans.take(4);
    assert.equal(spans.take(4), undefined);
    assert.equal(spans.finished, false);
  });
});
