/** `snatchctl verify` and `receipt` as a person types them, with the real programs. */
import assert from "node:assert/strict";
import { copyFile, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeFile, sha256Of, temporaryFolder } from "../support/files.ts";
import { startNginx } from "../support/nginx.ts";
import { Home } from "../support/program.ts";
import { missing } from "../support/tools.ts";

const KIB = 1024;
const skip = missing("nginx");

test("receipt, verify, repair, forget", { skip }, async () => {
  await using www = await temporaryFolder();
  const digest = await makeFile(join(www.path, "a.bin"), 200 * KIB);
  await using nginx = await startNginx({ root: www.path });
  // A receipt that was carried here is a stranger's: it may lead to this machine only where that is allowed.
  const http = "[http]\nallow_private_redirects = true\n";
  await using home = await Home.create({ config: `chunk_size = ${64 * KIB}\n${http}` });
  await home.start();
  const path = join(home.path, "a.bin");
  const url = `${nginx.http}/a.bin?token=geheim`;
  const got = await home.ctl(["get", url, "-o", "a.bin", "--checksum", `sha-256=${digest}`]);
  assert.equal(got.code, 0, got.stderr);

  const shown = await home.ctl(["receipt", "a.bin"]);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`^file +${path}$`, "m"));
  assert.match(shown.stdout, /^url +\S+token=\*\*\*$/m);
  assert.match(shown.stdout, /^etag +"/m);
  assert.match(shown.stdout, new RegExp(`^digest +sha-256=${digest} \\(the request\\), compared$`, "m"));
  assert.match(shown.stdout, /^manifest +[0-9a-f]{64} \(200 KiB, 4 chunks of 64\.0 KiB\)$/m);
  assert.doesNotMatch(shown.stdout, /geheim/);
  const [json] = (await home.ctl(["receipt", path, "--json"])).json();
  const receipt = json as { session_id: string; chunks: string[]; chunk_sources: unknown };
  assert.equal(receipt.chunks.length, 4);
  assert.deepEqual(receipt.chunk_sources, [[4, [0]]]);

  const whole = await home.ctl(["verify", receipt.session_id.slice(0, 8)]);
  assert.deepEqual([whole.code, whole.stdout], [0, `whole ${path} (200 KiB)\n`]);
  const { mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[70_000] = (bytes[70_000] ?? 0) ^ 1;
  await writeFile(path, bytes);
  await utimes(path, mtime, mtime);
  const found = await home.ctl(["verify", "--all"]);
  const damaged = `damaged ${path} chunk 1 (bytes 65536-131071): it has other bytes\n`;
  assert.deepEqual([found.code, found.stdout], [7, `${damaged}DAMAGED ${path}: 1 chunk damaged\n`]);
  const quiet = await home.ctl(["verify", path, "--quiet"]);
  assert.deepEqual([quiet.code, quiet.stdout], [7, `DAMAGED ${path}: 1 chunk damaged\n`]);

  const carried = join(home.path, "a.json");
  await writeFile(carried, (await home.ctl(["receipt", path, "--json", "--secrets"])).stdout);
  const copy = join(home.path, "copy.bin");
  await copyFile(path, copy);
  const elsewhere = await home.ctl(["verify", "--receipt", "a.json", "copy.bin", "--repair"]);
  assert.equal(elsewhere.code, 0, elsewhere.stdout);
  assert.equal(await sha256Of(copy), digest);

  const mended = await home.ctl(["verify", "a.bin", "--repair"]);
  assert.equal(mended.code, 0, mended.stdout);
  assert.match(mended.stdout, /^repaired \S+ chunk 1 \(bytes 65536-131071\) from \S+token=\*\*\*$/m);
  assert.match(mended.stdout, /^REPAIRED \S+ \(1 chunk fetched again\)$/m);
  assert.equal(await sha256Of(path), digest);

  await rm(path);
  const gone = await home.ctl(["verify", "a.bin"]);
  assert.deepEqual([gone.code, gone.stdout], [7, `MISSING ${path}\n`]);
  const forgotten = await home.ctl(["receipt", path, "--forget"]);
  assert.deepEqual([forgotten.code, forgotten.stdout], [0, `forgot the receipt of ${path}; the file stays\n`]);
  const unknown = await home.ctl(["verify", "a.bin"]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /RECEIPT_NOT_FOUND: there is no receipt for \S+, and no such file/);
  for (const misuse of [["verify"], ["verify", "--all", "a"], ["verify", "--receipt", "x", "a", "b"]])
    assert.equal((await home.ctl(misuse)).code, 2, misuse.join(" "));
  assert.equal((await home.ctl(["verify", "--all"])).stdout, "0 of 0 files are whole\n");
});
