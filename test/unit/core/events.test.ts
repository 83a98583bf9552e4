import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EventLog } from "../../../src/daemon/core/events.ts";
import type { Session } from "../../../src/daemon/core/session.ts";

const created = (id: string) => ({ type: "created", session: { id } as Session }) as const;

describe("event log", () => {
  test("gives what came after a number, in order and once", () => {
    const log = new EventLog(100, 10);
    for (const id of ["a", "b", "c"]) log.emit(created(id));
    const { events, gap } = log.after(100);
    assert.equal(gap, false);
    assert.deepEqual(
      events.map(({ sequence, event }) => [sequence, event.session.id]),
      [
        [101, "b"],
        [102, "c"],
      ],
    );
    assert.deepEqual(log.after(102), { gap: false, events: [] });
  });

  test("says so when what came after is gone, or was never here", () => {
    const log = new EventLog(1, 4);
    for (let n = 0; n < 20; n++) log.emit(created(String(n)));
    assert.equal(log.after(3).gap, true);
    assert.equal(log.after(999).gap, true, "a number of another daemon");
    assert.equal(log.after(log.oldest - 1).gap, false);
    assert.ok(log.newest - log.oldest < 5 * 1.25);
  });

  test("nothing has been missed before the first event", () => {
    const log = new EventLog(50, 4);
    assert.deepEqual(log.after(49), { gap: false, events: [] });
    assert.equal(log.after(10).gap, true);
  });

  test("a listener hears everything until it leaves", () => {
    const log = new EventLog(1, 4);
    const heard: number[] = [];
    const leave = log.subscribe(({ sequence }) => heard.push(sequence));
    log.emit(created("a"));
    leave();
    log.emit(created("b"));
    assert.deepEqual(heard, [1]);
  });
});
