import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { examinePlugins } from "../../src/daemon/plugins/plugins.ts";
import { hooksAndPlugins } from "../support/scenarios/hooks-and-plugins.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("two plugins, a broken one, a command and a webhook on real downloads of the real daemon", async () => {
  const { ok, values } = await hooksAndPlugins({ size: 1_000_000 });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});

test("the plugin in docs/PLUGINS.md can be loaded as it stands, far from any node_modules", async () => {
  const text = await readFile(new URL("../../docs/PLUGINS.md", import.meta.url), "utf8");
  const [, code = ""] = /```js\n([\s\S]*?)```/.exec(text) ?? [];
  await using home = await temporaryFolder();
  const folder = join(home.path, "plugins");
  await mkdir(folder, { mode: 0o755 });
  await writeFile(join(folder, "no-monsters.js"), code, { mode: 0o644 });
  const [state] = await examinePlugins({ folder, plugins: {} }, new SystemClock());
  assert.deepEqual([state?.status, state?.problem], ["loaded", undefined]);
});
