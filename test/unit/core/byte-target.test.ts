import assert from "node:assert/strict";
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
