import assert from "node:assert/strict";
import { test } from "node:test";
import { p2pLibtorrent, withoutLibtorrent } from "../support/scenarios/p2p-libtorrent.ts";

test("libtorrent sees our announcement, keeps our signals and reads them", { skip: withoutLibtorrent }, async () => {
  const { ok, values } = await p2pLibtorrent();
  assert.ok(ok, JSON.stringify(values));
});
