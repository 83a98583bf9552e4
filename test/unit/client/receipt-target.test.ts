import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { receiptTarget } from "../../../src/client/receipt-target.ts";

for (const id of ["3f2a9c1e", "3f2a", "3f2a9c1e-", "3F2A9C1E-0000-4000", "3f2a9c1e-0000-4000-8000-000000000000"])
  test(`${id} is a session`, () => assert.deepEqual(receiptTarget(id), { $case: "sessionId", value: id }));

for (const path of [
  "a.iso",
  "./3f2a9c1e",
  "/3f2a9c1e",
  "3f2",
  "3f2a9c1e.bin",
  "src",
  "3f2a9c1e-0000-4000-8000-0000000000000",
])
  test(`${path} is a path`, () => assert.deepEqual(receiptTarget(path), { $case: "path", value: resolve(path) }));
