/** Names: by the system where it alone knows them, and never for longer than somebody waits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveHost } from "../../../src/daemon/p2p/resolve-host.ts";

const signal = new AbortController().signal;

test("addresses are themselves, and this machine's own names are known", async () => {
  assert.deepEqual(await resolveHost("192.0.2.7", { signal }), ["192.0.2.7"]);
  assert.deepEqual(await resolveHost("::1", { signal }), ["::1"]);
  assert.deepEqual(await resolveHost("localhost", { signal, family: 4 }), ["127.0.0.1"]);
  assert.deepEqual(await resolveHost("a.localhost", { signal }), ["127.0.0.1", "::1"]);
});

test("whoever does not wait any more is let go at once", async () => {
  const stop = new AbortController();
  const asked = resolveHost("name.example.invalid", { signal: stop.signal });
  stop.abort(new Error("enough"));
  const started = performance.now();
  await assert.rejects(asked, /enough/);
  assert.ok(performance.now() - started < 1000);
  await assert.rejects(resolveHost("name.example.invalid", { signal: stop.signal }), /enough/);
});
