import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, readlink, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parse } from "smol-toml";
import { loadConfig } from "../../../src/daemon/config/load.ts";
import { editToml } from "../../../src/daemon/config/toml-edit.ts";
import { scanToml } from "../../../src/daemon/config/toml-scan.ts";
import { diffConfig } from "../../../src/daemon/config/values.ts";
import { writeConfig } from "../../../src/daemon/config/write.ts";
import { sandbox } from "./places.ts";

const COMMENTED = `# Snatch on the attic machine
max_retries = 7     # the line is bad

# How loud
[log]
level = "warn" # not more
# rotated here, not by logrotate
max_size = "1M"
`;

describe("one value changes, the rest stays", () => {
  for (const [name, before, key, value, after] of [
    ["a new file", "", "max_retries", 3, "max_retries = 3\n"],
    ["a new section", "", "log.level", "debug", '[log]\nlevel = "debug"\n'],
    ["replaced, with its comment", COMMENTED, "max_retries", 9, COMMENTED.replace("= 7 ", "= 9 ")],
    ["replaced in a section", COMMENTED, "log.level", "info", COMMENTED.replace('"warn"', '"info"')],
    ["added to a section", COMMENTED, "log.keep", 2, `${COMMENTED}keep = 2\n`],
    ["added to the root", COMMENTED, "limit", "5M", COMMENTED.replace("bad\n", 'bad\nlimit = "5M"\n')],
    ["a section added", COMMENTED, "events.keep", 500, `${COMMENTED}\n[events]\nkeep = 500\n`],
    ["taken out", COMMENTED, "log.level", null, COMMENTED.replace('level = "warn" # not more\n', "")],
    ["taken out where it is not", COMMENTED, "limit", null, COMMENTED],
    ["root key before the first section", "[log]\nkeep = 1\n", "limit", 0, "limit = 0\n\n[log]\nkeep = 1\n"],
    ["... and before its comment", "# loud\n[log]\n", "limit", 0, "limit = 0\n\n# loud\n[log]\n"],
    ["dotted keys", "log.level = 'warn'\n", "log.keep", 1, "log.level = 'warn'\nlog.keep = 1\n"],
    ["in an inline table", "log = { level = 'warn' }\n", "log.keep", 1, 'log = { level = "warn", keep = 1 }\n'],
    ["out of an inline table", "log = { level = 'warn', keep = 1 }\n", "log.level", null, "log = { keep = 1 }\n"],
    ["no line break at the end", "limit = 1", "timeout", 5, "limit = 1\ntimeout = 5\n"],
    [
      "a list over several lines",
      'allowed_dirs = [\n  "/a", # ] first\n  "/b",\n]\n# end\n',
      "allowed_dirs",
      ["/c"],
      'allowed_dirs = ["/c"]\n# end\n',
    ],
    [
      "an array of tables",
      'limit = 1\n[[watch.folders]]\npath = "/a"\n[[watch.folders]]\npath = "/b"\n[log]\n',
      "watch.folders",
      ["/c"],
      'limit = 1\n[log]\n\n[watch]\nfolders = ["/c"]\n',
    ],
    [
      "a table where there were dotted tables",
      "[plugins.x]\npriority = 1\n[plugins.x.config]\na = 1\n[log]\n",
      "plugins.x.config",
      { b: [1, { c: "d e" }], "f g": true },
      '[plugins.x]\npriority = 1\nconfig = { b = [1, { c = "d e" }], "f g" = true }\n[log]\n',
    ],
  ] as const) {
    test(name, () => assert.equal(editToml(before, key.split("."), value), after));
  }

  test("whatever the file looks like, the edit means what was asked for", () => {
    const scalar = fc.oneof(
      fc.integer(),
      fc.boolean(),
      fc.string({ unit: "grapheme" }),
      fc.constantFrom("'''", '"""', "# no comment", "a\nb", "\x7f", "]", "\\"),
    );
    const name = fc.constantFrom("a", "b", "c", "d e", '"', "ü");
    const quote = (text: string) => (/^\w+$/.test(text) && /^[a-z]+$/.test(text) ? text : JSON.stringify(text));
    const literal = (value: string | number | boolean) =>
      typeof value === "string" ? JSON.stringify(value).replaceAll("\x7f", "\\u007f") : String(value);
    const section = fc.tuple(name, fc.dictionary(name, scalar, { noNullPrototype: true, maxKeys: 4 }));
    fc.assert(
      fc.property(
        fc.uniqueArray(section, { selector: ([key]) => key, maxLength: 4 }),
        fc.array(fc.tuple(name, name), { minLength: 1, maxLength: 4 }),
        fc.option(
          fc.oneof(scalar, fc.array(scalar), fc.dictionary(name, scalar, { noNullPrototype: true, minKeys: 1 })),
        ),
        (sections, keys, value) => {
          let text = sections
            .map(([key, pairs]) =>
              [
                `# about ${JSON.stringify(key)} [x] = "`,
                `[${quote(key)}] # head`,
                ...Object.entries(pairs).map(([inner, content]) => `  ${quote(inner)} = ${literal(content)} # tail`),
              ].join("\n"),
            )
            .join("\n\n");
          for (const [section, key] of keys) {
            text = editToml(text, [section, key], value);
            const table = parse(text)[section];
            const found = table === undefined ? undefined : (table as Record<string, unknown>)[key];
            assert.equal(JSON.stringify(found), value === null ? undefined : JSON.stringify(value));
          }
          for (const [key] of sections) assert.ok(text.includes(`# about ${JSON.stringify(key)} [x] = "\n`), text);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("statements are found with their lines", () => {
  const text = 'a.b = """\n[no]\n"""""\n"c.d" = [ # x ]\n 1,\n]\r\n[[e]]\nf = \'#\' # y\n[ g . "h" ]\ni = { j = "}" }';
  assert.deepEqual(
    scanToml(text).map(({ kind, path, line, valueStart, valueEnd }) => [
      kind,
      path.join("/"),
      line,
      text.slice(valueStart, valueEnd),
    ]),
    [
      ["pair", "a/b", 1, '"""\n[no]\n"""""'],
      ["pair", "c.d", 4, "[ # x ]\n 1,\n]"],
      ["array", "e", 7, ""],
      ["pair", "e/f", 8, "'#'"],
      ["table", "g/h", 9, ""],
      ["pair", "g/h/i", 10, '{ j = "}" }'],
    ],
  );
});

describe("writing the file", () => {
  test("several values in one go; the mode stays, nothing else is left behind", async (context) => {
    const { root, env, file } = await sandbox(context);
    const path = await file("config.toml", COMMENTED);
    await chmod(path, 0o640);
    await writeConfig(path, { "log.level": "debug", max_retries: null, plugins: { x: { priority: 3 } } }, { env });
    const config = await loadConfig(path, { env });
    assert.deepEqual([config.log.level, config.max_retries, config.plugins["x"]?.priority], ["debug", 5, 3]);
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.match(await readFile(path, "utf8"), /^# Snatch on the attic machine\n/);
    assert.deepEqual(await readdir(root), ["config.toml"]);
  });

  test("a file in a folder that is not there yet, and one that is a link", async (context) => {
    const { root, env } = await sandbox(context);
    const path = join(root, "a/b/config.toml");
    await writeConfig(path, { "sessions.keep_days": 5 }, { env });
    assert.equal(await readFile(path, "utf8"), "[sessions]\nkeep_days = 5\n");
    const link = join(root, "link.toml");
    await symlink(path, link);
    await writeConfig(link, { "sessions.keep_days": 6 }, { env });
    assert.equal(await readlink(link), path);
    assert.equal((await loadConfig(path, { env })).sessions.keep_days, 6);
  });

  test("JSON", async (context) => {
    const { root, env } = await sandbox(context);
    const path = join(root, "config.json");
    await writeConfig(path, { "log.level": "warn", limit: "1M", "plugins.x.enabled": false }, { env });
    await writeConfig(path, { limit: null, "plugins.x": null, "checks.url": null }, { env });
    assert.deepEqual(JSON.parse(await readFile(path, "utf8")), { log: { level: "warn" }, plugins: {} });
  });

  test("changes at the same time are all kept", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file("config.toml", "");
    const keys = ["max_retries", "max_concurrent_downloads", "connections_per_host", "log.keep", "watch.settle"];
    await Promise.all(keys.map((key, index) => writeConfig(path, { [key]: index + 1 }, { env })));
    const config = await loadConfig(path, { env });
    assert.deepEqual(
      [
        config.max_retries,
        config.max_concurrent_downloads,
        config.connections_per_host,
        config.log.keep,
        config.watch.settle,
      ],
      [1, 2, 3, 4, 5],
    );
  });

  for (const [name, values, message] of [
    ["an unknown key", { max_retrys: 1 }, "max_retrys: there is no such key; did you mean max_retries?"],
    ["a wrong value beside a right one", { max_retries: 1, chunk_size: 1 }, /^chunk_size: 1 is too small/],
    ["a section for a key", { log: "debug" }, "log: is a section: name a key in it"],
    ["an unknown key in a section", { log: { levle: 1 } }, "log.levle: there is no such key; did you mean log.level?"],
    ["a preset without its format", { "formats.x.quality": "1" }, /^formats.x.format: is missing/],
    ["what TOML cannot hold", { "plugins.x.config": { a: null } }, /^plugins.x.config: TOML cannot hold this value/],
  ] as const) {
    test(`refused, the file untouched: ${name}`, async (context) => {
      const { env, file } = await sandbox(context);
      const path = await file("config.toml", COMMENTED);
      await assert.rejects(writeConfig(path, values, { env }), { code: "CONFIG_INVALID", message });
      assert.equal(await readFile(path, "utf8"), COMMENTED);
    });
  }

  test("an environment that overrides the key does not hide a wrong value", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file("config.toml", "");
    const options = { env: { ...env, SNATCH_MAX_RETRIES: "1" } };
    await assert.rejects(writeConfig(path, { max_retries: "x" }, options), { code: "CONFIG_INVALID" });
  });

  test("a folder in the file's place", async (context) => {
    const { root, env } = await sandbox(context);
    await mkdir(join(root, "config.toml"));
    await assert.rejects(writeConfig(join(root, "config.toml"), { limit: 1 }, { env }), /EISDIR/);
  });
});

test("a reload says what changed, and what of it needs a restart", async (context) => {
  const { env, file } = await sandbox(context);
  const path = await file("config.toml", "[plugins.x.config]\ntoken = 'a'\n");
  const before = await loadConfig(path, { env });
  await file("config.toml", 'limit = "1K"\n[log]\nformat = "json"\n[plugins.x.config]\ntoken = "b"\n[plugins.y]\n');
  assert.deepEqual(diffConfig(before, await loadConfig(path, { env })), [
    { key: "limit", before: "0", after: "1024", needsRestart: false },
    { key: "log.format", before: '"auto"', after: '"json"', needsRestart: true },
    { key: "plugins.x.config", before: '{"token":"***"}', after: '{"token":"***"}', needsRestart: true },
    { key: "plugins.y.enabled", before: "null", after: "true", needsRestart: true },
    { key: "plugins.y.priority", before: "null", after: "10", needsRestart: true },
    { key: "plugins.y.config", before: "null", after: "{}", needsRestart: true },
  ]);
  assert.deepEqual(diffConfig(before, before), []);
});
