import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FIELDS } from "../../../src/daemon/config/fields.ts";
import { loadConfig } from "../../../src/daemon/config/load.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { sandbox } from "./places.ts";

/** Loads, or fails as it should. */
async function survives(...args: Parameters<typeof loadConfig>): Promise<void> {
  try {
    const config = await loadConfig(...args);
    // What was accepted is in range.
    assert.ok(config.max_retries >= 0 && config.chunk_size >= 65_536 && config.download_dir.startsWith("/"));
  } catch (error) {
    assert.ok(error instanceof DownloadError && error.code === "CONFIG_INVALID", `${(error as Error).stack}`);
    assert.ok(
      error.message.length > 0 && !/undefined|\[object/.test(error.message.replace(/"[^"]*"/g, "")),
      error.message,
    );
  }
}

const keys = FIELDS.flatMap(({ path }) => path.map((_, index) => path.slice(0, index + 1)));
const hostileName = fc.constantFrom("__proto__", "constructor", "toString", "hasOwnProperty", "", "NAME", "0");

/** Tables with the right names in the right places, more often than not, and any values. */
const table = fc
  .array(
    fc.tuple(fc.constantFrom(...keys), fc.oneof(fc.jsonValue(), hostileName), fc.option(hostileName, { freq: 6 })),
    { maxLength: 6 },
  )
  .map((changes) => {
    const root: Record<string, unknown> = Object.create(null);
    for (const [path, value, name] of changes) {
      let inner = root;
      for (const part of path.slice(0, -1)) {
        const next = inner[part];
        inner[part] = typeof next === "object" && next !== null && !Array.isArray(next) ? next : Object.create(null);
        inner = inner[part] as Record<string, unknown>;
      }
      inner[name ?? path.at(-1) ?? ""] = value;
    }
    return JSON.stringify(root);
  });

test("any JSON loads or is refused as CONFIG_INVALID", async (context) => {
  const { env, file } = await sandbox(context);
  await fc.assert(
    fc.asyncProperty(fc.oneof(table, fc.json(), fc.string()), async (text) => {
      await survives(await file("config.json", text), { env });
    }),
    { numRuns: 250 },
  );
});

test("any text as TOML, any variables, any command line", async (context) => {
  const { env, file } = await sandbox(context);
  const words = fc.constantFrom(
    "[",
    "]",
    "=",
    '"',
    "'",
    "\n",
    ".",
    "#",
    "{",
    "}",
    ",",
    "log",
    "level",
    "1",
    "plugins",
    " ",
  );
  const toml = fc.oneof(
    fc.string(),
    fc.array(words).map((parts) => parts.join("")),
  );
  const variables = fc.dictionary(
    fc.constantFrom(...FIELDS.map((field) => field.environment), "SNATCH_", "SNATCH___"),
    fc.string(),
  );
  const flags = fc.array(
    fc.oneof(fc.constantFrom(...FIELDS.map((field) => field.flag), "--", "--no-", "--="), fc.string()),
  );
  await fc.assert(
    fc.asyncProperty(toml, variables, flags, async (text, vars, argv) => {
      await survives(await file("config.toml", text), { env: { ...env, ...vars } });
      await survives(undefined, { env, argv });
    }),
    { numRuns: 150 },
  );
});

test("nesting without end", async (context) => {
  const { env, file } = await sandbox(context);
  const deep = `{"plugins":{"x":{"config":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}}}`;
  await assert.rejects(loadConfig(await file("deep.json", deep), { env }), { code: "CONFIG_INVALID" });
  const toml = `plugins.x.config.a = ${"[".repeat(100_000)}`;
  await assert.rejects(loadConfig(await file("deep.toml", toml), { env }), { code: "CONFIG_INVALID" });
  await assert.rejects(loadConfig(await file("long.toml", `${"a".repeat(100_000)} = 1`), { env }), {
    code: "CONFIG_INVALID",
  });
});
