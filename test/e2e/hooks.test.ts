import assert from "node:assert/strict";
import { test } from "node:test";
import { hooksAndPlugins } from "../support/scenarios/hooks-and-plugins.ts";

test("two plugins, a broken one, a command and a webhook on real downloads of the real daemon", async () => {
  const { ok, values } = await hooksAndPlugins({ size: 1_000_000 });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});
