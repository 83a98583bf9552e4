/** Plugins as real files: loaded, refused, broken in every way, stopped. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, chown, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import * as z from "zod";
import type { DownloadHooks } from "../../../src/daemon/core/hooks.ts";
import type { PeerDiscovery } from "../../../src/daemon/core/peers.ts";
import { definePlugin } from "../../../src/daemon/core/plugin.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { pluginsCheck } from "../../../src/daemon/plugins/check.ts";
import type { PluginSettings } from "../../../src/daemon/plugins/find.ts";
import { examinePlugins, Plugins } from "../../../src/daemon/plugins/plugins.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TestClock } from "../../support/test-clock.ts";

const SETTINGS: PluginSettings = { enabled: true, priority: 10, config: {} };

async function fixture(
  files: Readonly<Record<string, string>>,
  sections: Readonly<Record<string, Partial<PluginSettings>>> = {},
) {
  const root = await temporaryFolder();
  const folder = join(root.path, "plugins");
  await mkdir(folder, { mode: 0o755 });
  for (const [name, text] of Object.entries(files)) {
    const path = join(root.path, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeFile(path, text, { mode: 0o644 });
  }
  const logger = new RecordLogger();
  const registered = new Map<string, { hooks: DownloadHooks; priority: number | undefined }>();
  const plugins = Object.fromEntries(
    Object.entries(sections).map(([name, section]) => {
      const module = section.module === undefined ? {} : { module: join(root.path, section.module) };
      return [name, { ...SETTINGS, ...section, ...module }];
    }),
  );
  const filters = new Map<string, { readonly filter: string }>();
  const discoveries = new Set<PeerDiscovery>();
  const config = { folder, plugins };
  const clock = new SystemClock();
  const host = new Plugins({
    config,
    clock,
    logger,
    filters: { registerFilter: async (name, definition) => void filters.set(name, definition) },
    peers: {
      registerDiscoveryMethod(discovery) {
        discoveries.add(discovery);
        return () => void discoveries.delete(discovery);
      },
    },
    hooks: {
      registerHooks(name, hooks, options) {
        registered.set(name, { hooks, priority: options?.priority });
        return () => void registered.delete(name);
      },
    },
  });
  return {
    root: root.path,
    folder,
    config,
    host,
    logger,
    registered,
    filters,
    discoveries,
    start: () => host.start(),
    problems: () => Object.fromEntries(host.states.map(({ name, status, problem }) => [name, problem ?? status])),
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      await root[Symbol.asyncDispose]();
    },
  };
}

const good = (name: string, more = "") =>
  `export default { name: "${name}", setup(api) { api.registerHooks({ postDownload() {} }); ${more} } };`;

describe("plugins", () => {
  test("are found in the folder or by their section, as files and folders, and stopped in the end", async () => {
    await using it = await fixture(
      {
        "plugins/one.js": good("one", 'api.onStop(() => api.logger.info({}, "one stops"));'),
        "plugins/two/index.mjs": good("two", "api.registerHooks({ preDownload() {} });"),
        "plugins/three.ts": `const name: string = "three"; export default { name, setup() {} };`,
        "plugins/off.js": "this is not even read",
        "plugins/README.md": "nor is this",
        "plugins/types.d.ts": "export {};",
        "plugins/_helper.js": "nor this",
        "elsewhere/four.js": good("four"),
      },
      { off: { enabled: false }, four: { module: "elsewhere/four.js", priority: 3 } },
    );
    await it.start();
    assert.deepEqual(it.problems(), {
      four: "loaded",
      off: "disabled",
      one: "loaded",
      three: "loaded",
      two: "loaded",
    });
    assert.deepEqual([...it.registered.keys()].sort(), ["four", "one", "two", "two#2"]);
    assert.equal(it.registered.get("four")?.priority, 3);
    await it.host[Symbol.asyncDispose]();
    assert.equal(it.registered.size, 0);
    assert.deepEqual(it.logger.lines.at(-1), { level: "info", fields: { plugin: "one" }, message: "one stops" });
  });

  test("add ways to find peers, which are gone with them, or before", async () => {
    await using it = await fixture({
      "plugins/board.js": `export default { name: "board", setup(api) {
        globalThis.board = api;
        api.registerDiscoveryMethod({ name: "board", discoverPeers: async (hash) => [{ peerId: hash }] });
        api.registerDiscoveryMethod({ name: "brief", discoverPeers: async () => [] })();
      } };`,
      "plugins/wrong.js": `export default { name: "wrong", setup: (api) => void api.registerDiscoveryMethod({ name: "x" }) };`,
    });
    await it.start();
    assert.deepEqual(
      [...it.discoveries].map(({ name }) => name),
      ["board"],
    );
    assert.match(it.problems()["wrong"] ?? "", /registerDiscoveryMethod wants/);
    await it.host[Symbol.asyncDispose]();
    assert.equal(it.discoveries.size, 0);
    const { board } = globalThis as { board?: { registerDiscoveryMethod(discovery: object): void } };
    assert.throws(() => board?.registerDiscoveryMethod({ name: "late", discoverPeers: () => [] }), /was stopped/);
  });

  test("add filters for audio, as long as they run", async () => {
    await using it = await fixture({
      "plugins/eq.js": `export default { name: "eq", async setup(api) {
        globalThis.eq = api;
        await api.registerFilter("custom_eq", { filter: "equalizer=f=1000:t=h:w=200:g=3", description: "Boost" });
      } };`,
      "plugins/wrong.js": `export default { name: "wrong", setup: (api) => api.registerFilter("x") };`,
    });
    await it.start();
    assert.deepEqual([...it.filters.keys()], ["custom_eq"]);
    assert.match(it.problems()["wrong"] ?? "", /registerFilter wants a name/);
    await it.host[Symbol.asyncDispose]();
    const { eq } = globalThis as { eq?: { registerFilter(name: string, definition: object): Promise<void> } };
    await assert.rejects(async () => eq?.registerFilter("late", { filter: "volume=1" }), /was stopped/);
  });

  test("broken in every way: named, and the others work", async () => {
    await using it = await fixture(
      {
        "plugins/good.js": good("good"),
        "plugins/syntax.js": "export default {\n  name: ;\n};",
        "plugins/imports.js": 'import "./not-there.js";',
        "plugins/throws.js": 'throw new Error("at once");',
        "plugins/empty.js": "",
        "plugins/shape.js": 'export default { name: "shape" };',
        "plugins/schema.js": 'export default { name: "schema", setup() {}, config: 7 };',
        "plugins/misnamed.js": good("another"),
        "plugins/setup.js": 'export default { name: "setup", setup() { throw "no" } };',
        "plugins/rejects.js": 'export default { name: "rejects", async setup() { throw new TypeError("no") } };',
        "plugins/hooks.js": 'export default { name: "hooks", setup: (api) => api.registerHooks("x") };',
        "plugins/twin.js": good("twin"),
        "plugins/twin/index.js": good("twin"),
        "plugins/folder/other.js": "",
        "plugins/bad name.js": "",
      },
      { absent: {} },
    );
    await it.start();
    const problems = it.problems();
    const why = (name: string) => /is left out: (.*)/.exec(problems[name] ?? "")?.[1] ?? problems[name];
    assert.equal(why("good"), "loaded");
    assert.equal(why("syntax"), "SyntaxError: Unexpected token ';' (node --check shows where)");
    assert.match(why("imports") ?? "", /Cannot find module/);
    assert.equal(why("throws"), "Error: at once");
    for (const name of ["empty", "shape", "schema"]) assert.match(why(name) ?? "", /^it has no default export with/);
    assert.equal(why("misnamed"), 'it calls itself "another": a plugin bears the name of its file');
    assert.equal(why("setup"), "it threw no");
    assert.equal(why("rejects"), "TypeError: no");
    assert.equal(why("hooks"), "TypeError: registerHooks wants an object of hooks");
    assert.match(why("twin") ?? "", /^there is another plugin of this name, .*\/twin\/index\.js, which counts/);
    assert.equal(why("folder"), "the folder has no index.js, index.mjs, index.ts, index.mts");
    assert.match(why("bad name") ?? "", /^a plugin's name has letters/);
    assert.match(why("absent") ?? "", /^the plugin absent is not in /);
    assert.deepEqual([...it.registered.keys()].sort(), ["good", "twin"]);
    const report = await pluginsCheck(it.folder, () => it.host.states).run(new AbortController().signal);
    assert.equal(report.status, "failed");
    for (const problem of Object.values(problems))
      if (problem !== "loaded") assert.ok(report.message.includes(problem), problem);
  });

  test("one that hangs is left out in time, and what it does later is in vain", async () => {
    await using it = await fixture({
      "plugins/loads.js": 'await new Promise(() => {}); export default { name: "loads", setup() {} };',
      "plugins/sets.js": `export default { name: "sets", async setup(api) {
        await new Promise((resolve) => (globalThis.goOn = resolve));
        try { api.registerHooks({}); } catch (error) { globalThis.refused = error.message; }
      } };`,
    });
    const clock = new TestClock();
    const host = new Plugins({
      config: it.config,
      clock,
      logger: it.logger,
      hooks: { registerHooks: () => assert.fail("nothing is registered") },
      filters: { registerFilter: () => assert.fail("nothing is registered") },
      peers: { registerDiscoveryMethod: () => assert.fail("nothing is registered") },
    });
    const started = host.start();
    const state = globalThis as { goOn?: () => void; refused?: string };
    while (state.goOn === undefined) await new Promise(setImmediate);
    await clock.advance(10_000);
    await started;
    assert.deepEqual(
      host.states.map(({ problem }) => /it took longer .*/.exec(problem ?? "")?.[0]),
      ["it took longer than 10 s to be loaded", "it took longer than 10 s to be set up"],
    );
    state.goOn();
    await new Promise(setImmediate);
    assert.equal(state.refused, "the plugin sets was stopped");
  });

  test("options: a schema or a function looks at them; the configuration is not the plugin's to change", async () => {
    const schema = (body: string) => `{ "~standard": { version: 1, vendor: "test", validate: ${body} } }`;
    const plugin = (name: string, config: string) =>
      `export default { name: "${name}", config: ${config}, setup({ config, logger }) { config.level = 9; logger.info({ config }, "set"); } };`;
    const config = { level: 3 };
    await using it = await fixture(
      {
        "plugins/schema.js": plugin("schema", schema("async (value) => ({ value: { level: value.level * 2 } })")),
        "plugins/refuses.js": plugin(
          "refuses",
          schema('() => ({ issues: [{ message: "too low", path: ["level"] }] })'),
        ),
        "plugins/takes.js": plugin("takes", "(value) => { value.level = 0; return { level: 5 }; }"),
        "plugins/throws.js": plugin("throws", '() => { throw new Error("a level is 1 to 3") }'),
      },
      { schema: { config }, refuses: { config }, takes: { config }, throws: { config } },
    );
    await it.start();
    assert.deepEqual(config, { level: 3 });
    assert.match(it.problems()["refuses"] ?? "", /is left out: plugins\.refuses\.config\.level: too low$/);
    assert.match(it.problems()["throws"] ?? "", /is left out: Error: a level is 1 to 3$/);
    assert.deepEqual([it.problems()["schema"], it.problems()["takes"]], ["loaded", "loaded"]);
  });

  test("definePlugin: a schema of zod gives the options their type", async () => {
    const seen: number[] = [];
    const plugin = definePlugin({
      name: "typed",
      config: z.strictObject({ level: z.int().default(3) }),
      setup({ config }) {
        const level: number = config.level;
        seen.push(level);
      },
    });
    (globalThis as { typed?: unknown }).typed = plugin;
    await using it = await fixture({ "plugins/typed.js": "export default globalThis.typed;" });
    await it.start();
    assert.deepEqual(seen, [3]);
    const wrong = { ...it.config, plugins: { typed: { ...SETTINGS, config: { level: "high", depth: 1 } } } };
    const [state] = await examinePlugins(wrong, new SystemClock());
    assert.match(
      state?.problem ?? "",
      /plugins\.typed\.config\.level: .*expected number.*; plugins\.typed\.config: .*depth/,
    );
  });

  test("where others may write, nothing is loaded", async () => {
    const files = { "plugins/one.js": good("one"), "elsewhere/two.js": good("two") };
    const two = { two: { module: "elsewhere/two.js" } };
    await using it = await fixture(files, two);
    const states = async () =>
      Object.fromEntries(
        (await examinePlugins(it.config, new SystemClock())).map(({ name, problem }) => [name, problem]),
      );
    assert.deepEqual(await states(), { one: undefined, two: undefined });
    await chmod(it.folder, 0o777);
    assert.deepEqual(await states(), {
      two: undefined,
      "": `no plugin is loaded from there: ${it.folder} can be written by others (mode 0777): chmod go-w '${it.folder}'`,
    });
    await chmod(it.folder, 0o755);
    await chmod(join(it.folder, "one.js"), 0o664);
    assert.match((await states())["one"] ?? "", /one\.js can be written by others \(mode 0664\)/);
    await chmod(join(it.folder, "one.js"), 0o644);
    await chmod(join(it.root, "elsewhere"), 0o775);
    assert.match((await states())["two"] ?? "", /elsewhere can be written by others/);
    await symlink(join(it.root, "elsewhere/two.js"), join(it.folder, "linked.js"));
    assert.match((await states())["linked"] ?? "", /elsewhere can be written by others/);
  });

  test("a folder is looked at as a whole: what its file imports runs with the same rights", async () => {
    await using it = await fixture({
      "plugins/three/index.js": good("three"),
      "plugins/three/lib/helper.js": "",
      "elsewhere/shared.js": "",
      "other/deep/far.js": "",
    });
    const problem = async () => (await examinePlugins(it.config, new SystemClock()))[0]?.problem;
    const inside = join(it.folder, "three");
    await symlink("nowhere", join(inside, "dangling.js"));
    await symlink(join(it.root, "elsewhere/shared.js"), join(inside, "shared.js"));
    await symlink("..", join(inside, "lib/round"));
    await symlink(join(it.root, "other"), join(inside, "other"));
    assert.equal(await problem(), undefined);
    await chmod(join(inside, "lib/helper.js"), 0o664);
    assert.match((await problem()) ?? "", /helper\.js can be written by others \(mode 0664\)/);
    await chmod(join(inside, "lib/helper.js"), 0o644);
    await chmod(join(inside, "lib"), 0o777);
    assert.match((await problem()) ?? "", /three\/lib can be written by others/);
    await chmod(join(inside, "lib"), 0o755);
    await chmod(join(it.root, "other/deep/far.js"), 0o666);
    assert.match((await problem()) ?? "", /far\.js can be written by others/);
    await chmod(join(it.root, "other/deep/far.js"), 0o644);
    await chmod(join(it.root, "elsewhere/shared.js"), 0o666);
    assert.match((await problem()) ?? "", /shared\.js can be written by others/);
  });

  test("what belongs to somebody else is not loaded", {
    skip: process.getuid?.() !== 0 && "needs root: did NOT run",
  }, async () => {
    await using it = await fixture({ "plugins/one.js": good("one") });
    await chown(join(it.folder, "one.js"), 12345, 12345);
    await it.start();
    assert.match(it.problems()["one"] ?? "", /one\.js belongs to user 12345, who is neither root nor/);
  });

  test("none, or no folder at all", async () => {
    await using it = await fixture({});
    await it.start();
    assert.deepEqual(it.host.states, []);
    const check = pluginsCheck("/nowhere", () =>
      examinePlugins({ folder: "/nowhere", plugins: {} }, new SystemClock()),
    );
    assert.deepEqual((await check.run(new AbortController().signal)).message, "none found");
  });

  test("what a plugin throws behind its own back does not end the process; what others throw does", async () => {
    await using it = await fixture({
      "plugins/later.js": good(
        "later",
        'setTimeout(() => { throw new Error("late"); }); Promise.reject(new Error("lost"));',
      ),
    });
    const program = (more: string) => `
      import { Plugins } from "${join(import.meta.dirname, "../../../src/daemon/plugins/plugins.ts")}";
      import { SystemClock } from "${join(import.meta.dirname, "../../../src/daemon/os/clock.ts")}";
      const log = (fields, message) => console.log(message);
      const logger = { debug() {}, info() {}, warn: log, error: log, child: () => logger };
      const config = ${JSON.stringify(it.config)};
      await new Plugins({ config, logger, clock: new SystemClock(), hooks: { registerHooks: () => () => {} }, filters: { registerFilter: async () => {} }, peers: { registerDiscoveryMethod: () => () => {} } }).start();
      setTimeout(() => { ${more}; console.log("alive"); }, 50);`;
    const run = (more: string) =>
      promisify(execFile)(process.execPath, ["--input-type=module", "-e", program(more)]).catch(
        (error: unknown) => error,
      );
    const complaint = "plugin later threw where nobody could catch it";
    assert.deepEqual(await run(""), { stdout: `${complaint}\n${complaint}\nalive\n`, stderr: "" });
    const ended = (await run('throw new Error("ours")')) as { code: number; stderr: string };
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /Uncaught Error: ours/);
  });
});
