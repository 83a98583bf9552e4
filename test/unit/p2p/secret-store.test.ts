import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SecretStore } from "../../../src/daemon/p2p/secret-store.ts";
import { hasProgram } from "../../support/has-program.ts";
import { parseStrace, STRACE_FLAGS } from "../../support/strace.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const ID = "0123456789abcdef0123456789abcdef";
const OTHER = "f".repeat(32);
const SECRET = Buffer.from("00ff10203040506070", "hex");
const HOUR_MS = 3_600_000;

test("a secret is kept for its owner alone, and found again by another store", async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "p2p", "codes");
  const store = new SecretStore(directory);
  assert.equal(existsSync(directory), false, "the constructor makes nothing");
  assert.equal(store.get(ID), undefined);
  store.keep(ID, SECRET);
  assert.deepEqual(readdirSync(directory), [ID]);
  assert.equal(statSync(join(directory, ID)).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(new SecretStore(directory).get(ID), SECRET);
  store.keep(ID, SECRET);
  const other = Buffer.from("0102", "hex");
  store.keep(ID, other);
  assert.deepEqual(store.get(ID), other);
  store.remove(ID);
  store.remove(ID);
  assert.equal(store.get(ID), undefined);
});

test("what is no public id names no file, and what is no secret is none", async () => {
  await using folder = await temporaryFolder();
  const store = new SecretStore(folder.path);
  for (const id of ["../x", "", ID.toUpperCase(), `${ID}0`, `${ID}\n`])
    assert.throws(() => store.keep(id, SECRET), { code: "INVALID_ARGUMENT" });
  assert.throws(() => store.get("../../etc/passwd"), { code: "INVALID_ARGUMENT" });
  writeFileSync(join(folder.path, ID), "zz");
  assert.equal(store.get(ID), undefined);
  store.keep(ID, SECRET);
  assert.deepEqual(store.get(ID), SECRET);
});

test("prune removes what nobody needs, when it is an hour old, and what was never finished", async () => {
  await using folder = await temporaryFolder();
  const store = new SecretStore(folder.path);
  store.keep(ID, SECRET);
  store.keep(OTHER, SECRET);
  const draft = `${ID}.17.draft`;
  writeFileSync(join(folder.path, draft), "00");
  writeFileSync(join(folder.path, "notes.txt"), "not ours");
  const now = Date.now();
  assert.equal(await store.prune(() => false, now), 0, "too young");
  assert.equal(readdirSync(folder.path).length, 4);
  assert.equal(await store.prune((id) => id === OTHER, now + HOUR_MS + 1000), 1);
  assert.deepEqual(readdirSync(folder.path).sort(), [OTHER, "notes.txt"].sort());
  // Kept anew: what is to refer to it is yet to be written.
  const old = new Date(now - 2 * HOUR_MS);
  utimesSync(join(folder.path, OTHER), old, old);
  store.keep(OTHER, SECRET);
  assert.equal(await store.prune(() => false, now), 0);
  // Kept anew just while it was looked up.
  utimesSync(join(folder.path, OTHER), old, old);
  const removed = await store.prune((id) => {
    store.keep(id, SECRET);
    return false;
  }, now);
  assert.equal(removed, 0);
  assert.deepEqual(store.get(OTHER), SECRET);
  assert.equal(await new SecretStore(join(folder.path, "none")).prune(() => false, now), 0);
});

test("a secret is synced before it has its name, and its folder after", hasProgram("strace"), async () => {
  await using folder = await temporaryFolder();
  const trace = join(folder.path, "trace");
  const directory = join(folder.path, "codes");
  const module = join(import.meta.dirname, "../../../src/daemon/p2p/secret-store.ts");
  const program = `import { SecretStore } from ${JSON.stringify(module)};
    new SecretStore(${JSON.stringify(directory)}).keep(${JSON.stringify(ID)}, Buffer.from("aa", "hex"));`;
  execFileSync("strace", [...STRACE_FLAGS, "-o", trace, process.execPath, "--input-type=module", "-e", program]);
  const calls = parseStrace(readFileSync(trace, "utf8")).filter(({ paths }) =>
    paths.some((path) => path.startsWith(directory)),
  );
  assert.deepEqual(
    calls.map(({ name, paths }) => `${name.replace(/at2?$|64$/g, "")} ${paths.at(-1)?.slice(directory.length)}`),
    [`write /${ID}.PID.draft`, `fsync /${ID}.PID.draft`, `rename /${ID}`, "fsync "].map((line) =>
      line.replace("PID", /\.(\d+)\.draft/.exec(calls[0]?.text ?? "")?.[1] ?? "?"),
    ),
  );
});
