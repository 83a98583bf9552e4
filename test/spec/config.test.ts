/** The examples of the specification's config section, against the package by its name. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { initializeConfig, loadConfig } from "snatch";

const options = {
  max_concurrent_downloads: 3,
  chunk_size: 8388608,
  max_retries: 5,
  retry_delay: 2.0,
  memory_limit_percent: 80,
  enable_resume: true,
  verify_chunks: true,
};

describe("spec: config", () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), "snatch-config-"));
  });
  after(() => rm(home, { recursive: true, force: true }));

  const load = (path?: string, more: { env?: Record<string, string>; argv?: string[] } = {}) =>
    loadConfig(path, { home, env: {}, ...more });

  test("the options and their defaults, without any file", async () => {
    const config: Readonly<Record<string, unknown>> = await load();
    for (const [key, value] of Object.entries(options)) assert.equal(config[key], value, key);
  });

  test("defaults < JSON file < environment < command line", async () => {
    const file = join(home, "options.json");
    await writeFile(file, JSON.stringify({ ...options, max_retries: 6, retry_delay: 3, chunk_size: 65536 }));
    const config = await load(file, {
      env: { SNATCH_RETRY_DELAY: "4", SNATCH_CHUNK_SIZE: "131072" },
      argv: ["--chunk-size=262144"],
    });
    assert.deepEqual(
      [config.max_concurrent_downloads, config.max_retries, config.retry_delay, config.chunk_size],
      [3, 6, 4, 262144],
    );
  });

  test("plugin blocks are validated and keep their own options", async () => {
    const file = join(home, "plugins.json");
    const block = { enabled: true, priority: 10, config: { plugin_specific_options: "values" } };
    await writeFile(file, JSON.stringify({ plugins: { plugin_name: block } }));
    const { plugins } = await load(file);
    assert.deepEqual({ ...plugins["plugin_name"] }, block);
    await writeFile(file, JSON.stringify({ plugins: { plugin_name: { ...block, priority: "high" } } }));
    await assert.rejects(load(file), { code: "CONFIG_INVALID", message: /plugins\.plugin_name\.priority/ });
  });

  test("initializeConfig: a typed report of checks that ran side by side", async () => {
    const report = await initializeConfig({ home, env: { PATH: process.env["PATH"] } });
    assert.equal(report.config?.max_concurrent_downloads, 3);
    const found = new Map(report.checks.map(({ id, status }) => [id, status]));
    for (const id of ["config", "ffmpeg", "plugins", "network", "profile"]) assert.ok(found.has(id), id);
    for (const id of ["folders", "download_folder", "store"]) assert.equal(found.get(id), "ok", id);
  });
});
