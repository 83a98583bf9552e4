/** Some of the catalogue through the real programs: what `snatchctl get` exits with, what it says, and what is on disk then. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ERRORS } from "../../src/shared/errors.ts";
import { GROUPS, startFault } from "../support/origins/catalogue.ts";
import type { Fault } from "../support/origins/fault.ts";
import { Home } from "../support/program.ts";

/** At least one of each exit code that an origin can bring about. */
const NAMES = [
  "well-behaved",
  "range-ignored",
  "content-range-start",
  "changes-ignoring-if-range",
  "start-lies-later",
  "no-length-close",
  "empty",
  "close-early",
  "stall-before-head",
  "not-http",
  "huge-header",
  "redirect-loop",
  "redirect-file",
  "unauthorized",
  "not-found",
  "login-page",
  "never-the-same",
  "repr-digest-wrong",
];

describe("snatchctl get and the catalogue", { concurrency: 8 }, () => {
  const catalogue = new Map<string, Fault>(Object.values(GROUPS).flatMap((faults) => Object.entries(faults)));
  let home: Home;

  before(async () => {
    home = await Home.create({
      config: "chunk_size = 65536\ntimeout = 0.4\nmax_retries = 1\nretry_delay = 0.01\nmin_free_space = 0\n",
    });
    await home.start();
  });
  after(() => home[Symbol.asyncDispose]());

  for (const name of NAMES) {
    const fault = catalogue.get(name) ?? assert.fail(`there is no ${name}`);
    const { code, version = 1, name: saved = "file.bin" } = fault.outcome;
    const exit = code === undefined ? 0 : ERRORS[code].exit;
    test(`${name}: exits ${exit}${code === undefined ? "" : `, ${code}`}`, async () => {
      await using origin = await startFault(fault);
      const folder = join(home.path, name);
      const { code: exited, stderr } = await home.ctl(["get", origin.url, "-d", folder, "--quiet"]);
      assert.equal(exited, exit, stderr);
      const names = await readdir(folder).catch((): string[] => []);
      if (code === undefined) {
        assert.deepEqual(names, [saved]);
        const right = origin.versions[version - 1]?.bytes ?? assert.fail("the version was never there");
        assert.ok((await readFile(join(folder, saved))).equals(right), "wrong bytes");
      } else {
        assert.match(stderr, new RegExp(`\\b${code}\\b`));
        assert.equal(names.includes(saved), false, "there is a file");
      }
    });
  }
});
