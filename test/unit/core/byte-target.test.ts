import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { copyInto } from "../../../src/daemon/core/byte-target.ts";

test("a piece that fills two rooms: whoever held back for the first is not forgotten when the second breaks off", async () => {
  const rooms = [new Uint8Array(3), new Uint8Array(3)];
  let filled = 0;
  const unhandled: unknown[] = [];
  const listen = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", listen);
  const sink = copyInto({
    space: () => rooms[filled] ?? new Uint8Array(1),
    filled: () => {
      if (filled++ === 0) return Promise.reject(new Error("called off"));
      throw new Error("taken over");
    },
  });
  assert.throws(() => sink(new Uint8Array(6)), /taken over/);
  await new Promise((resolve) => void setImmediate(resolve));
  process.off("unhandledRejection", listen);
  assert.deepEqual(unhandled, []);
});

test("pieces of any length land in shared memory as they came, wherever rooms begin and end", () => {
  const came = randomBytes(10_000);
  const memory = Buffer.from(new SharedArrayBuffer(came.length));
  let at = 0;
  const sink = copyInto({
    space: () => new Uint8Array(memory.buffer, at, Math.min(777, memory.length - at)),
    filled: (count) => {
      at += count;
    },
  });
  for (let from = 0, length = 1; from < came.length; from += length++)
    assert.equal(sink(came.subarray(from, from + length)), undefined);
  assert.ok(memory.equals(came));
});
