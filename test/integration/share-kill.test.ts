/** A daemon that is killed while it makes and ends shares: what it said is so, and nothing half is left. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Store } from "../../src/daemon/store/store.ts";
import { shareFixture } from "../support/p2p/share-fixture.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { startProgram } from "../support/run-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const PROGRAM = fileURLToPath(import.meta.resolve("../support/p2p/endless-sharing.ts"));

interface Said {
  readonly made?: string;
  readonly code?: string;
  readonly ending?: string;
  readonly ended?: string;
}

test("killed at any moment: every share that was answered is there with its code, none that had ended, nothing half", async () => {
  await using folder = await temporaryFolder();
  const [files, database, state] = ["files", "db", "state"].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  // Of several files each: their entries are written before the share's own record.
  for (let number = 0; number < 3; number++) {
    await mkdir(join(files, `${number}`), { recursive: true });
    for (let file = 0; file < 40; file++) await writeFile(join(files, `${number}`, `${file}`), randomBytes(100));
  }
  const codes = new Map<string, string>();
  const maybe = new Set<string>();
  for (let round = 0; round < 4; round++) {
    const { child, finished } = startProgram(process.execPath, [PROGRAM, files, database, state]);
    let lines = 0;
    // At a place that differs from round to round.
    child.stdout?.on("data", (bytes: Buffer) => {
      lines += bytes.toString().split("\n").length - 1;
      if (lines > 3 + round * 2) setTimeout(() => child.kill("SIGKILL"), round * 7);
    });
    const { stdout, stderr, signal } = await finished;
    assert.equal(signal, "SIGKILL", stderr);
    for (const line of stdout.split("\n").filter((text) => text.endsWith("}"))) {
      const said = JSON.parse(line) as Said;
      if (said.made !== undefined) codes.set(said.made, said.code ?? "");
      if (said.ending !== undefined) maybe.add(said.ending);
      if (said.ended !== undefined) {
        maybe.delete(said.ended);
        codes.delete(said.ended);
      }
    }
  }
  await using store = new Store({ directory: database, logger: new RecordLogger() });
  await store.start();
  await using fixture = shareFixture(state, { keyValue: store.keyValue });
  await fixture.shares.start();
  const states = await fixture.shares.shares();
  const there = new Set(states.map(({ id }) => id));
  for (const [id, code] of codes) {
    if (maybe.has(id)) continue;
    assert.equal(await fixture.shares.codeOf(id), code);
    const { peer } = fixture.network.call(id);
    assert.equal((await peer.take(39, 0, 100)).length, 100);
  }
  // One in each round was being made, and its answer did not come out any more.
  assert.ok(there.size <= codes.size + 4, `${there.size} shares, ${codes.size} were answered`);
  for (const space of ["share-file", "share-catalogue"])
    for await (const [key] of store.keyValue.entries(space)) assert.ok(there.has(key.slice(0, 32)), `${space} ${key}`);
  for await (const [id] of store.keyValue.entries("share")) assert.ok(there.has(id));
  assert.ok((await readdir(join(state, "codes"))).length >= there.size);
});
