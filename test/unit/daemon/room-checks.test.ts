/** The rooms' checks as they are gathered: each thing is examined once. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { initializeConfig } from "../../../src/daemon/config/initialize.ts";
import { roomChecks } from "../../../src/daemon/room-checks.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const ids = ["folders", "download_folder"];

describe("the checks of all rooms", () => {
  test("no id comes twice", async () => {
    await using home = await temporaryFolder();
    const { checks } = await initializeConfig({
      home: home.path,
      env: {},
      checks: (config, paths) =>
        roomChecks(config, paths).map((check) => ({
          ...check,
          run: async () => ({ status: "ok" as const, message: "" }),
        })),
    });
    const found = checks.map(({ id }) => id);
    assert.deepEqual(found, [...new Set(found)]);
    assert.ok(found.includes("download_folder"));
  });

  test("a download folder that cannot be is found by one of them only", async () => {
    await using home = await temporaryFolder();
    await writeFile(join(home.path, "downloads"), "a file");
    const { checks } = await initializeConfig({ home: home.path, env: {}, checks: roomChecks, ids });
    assert.deepEqual(
      checks.map(({ id, status }) => [id, status]),
      [
        ["folders", "ok"],
        ["download_folder", "failed"],
      ],
    );
    assert.match(checks[1]?.message ?? "", /downloads is a file, not a folder/);
  });

  test("too little room for min_free_space is a warning", async () => {
    await using home = await temporaryFolder();
    const argv = ["--min-free-space=8000T"];
    const { checks } = await initializeConfig({ home: home.path, env: {}, argv, checks: roomChecks, ids });
    assert.equal(checks[1]?.status, "warning", checks[1]?.message);
  });
});
