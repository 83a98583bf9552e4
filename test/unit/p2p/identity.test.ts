/** The identity: made once, by whoever comes first, for its owner alone; what is not as it was left is told and kept. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { loadIdentity } from "../../../src/daemon/p2p/channel/identity.ts";
import { selfSignedRsa } from "../../support/rsa-certificate.ts";
import { runProgram } from "../../support/run-program.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const MODULE = join(import.meta.dirname, "../../../src/daemon/p2p/channel/identity.ts");

async function refuses(directory: string, why: RegExp): Promise<void> {
  const before = await readFile(join(directory, "identity.pem"), "utf8").catch(() => undefined);
  await assert.rejects(loadIdentity(directory), (error) => {
    assert.ok(error instanceof DownloadError);
    assert.equal(error.code, "IDENTITY_INVALID");
    assert.match(error.message, why);
    assert.match(error.message, /identity\.pem|folder/);
    return true;
  });
  assert.equal(await readFile(join(directory, "identity.pem"), "utf8").catch(() => undefined), before);
}

test("is made once: RSA, in a file of 0600 in a folder of 0700, and the same the next time", async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "deep/p2p");
  const made = await loadIdentity(directory);
  assert.deepEqual(await loadIdentity(directory), made);
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  assert.equal((await stat(join(directory, "identity.pem"))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory), ["identity.pem"]);
  const certificate = new X509Certificate(made.certificate);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 3072);
  assert.match(made.peerId, /^[0-9a-f]{64}$/);
});

test("eight processes that begin at once have the same one", async () => {
  await using folder = await temporaryFolder();
  const program = `
    const { loadIdentity } = await import(${JSON.stringify(MODULE)});
    console.log((await loadIdentity(${JSON.stringify(join(folder.path, "p2p"))})).peerId);`;
  const runs = await Promise.all(
    Array.from({ length: 8 }, () => runProgram(process.execPath, ["--input-type=module", "-e", program])),
  );
  assert.deepEqual(new Set(runs.map(({ code }) => code)), new Set([0]), runs[0]?.stderr ?? "");
  assert.equal(new Set(runs.map(({ stdout }) => stdout)).size, 1);
  assert.deepEqual(await readdir(join(folder.path, "p2p")), ["identity.pem"]);
});

test("a file that others may read, a damaged one and one of another key are told, and kept", async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "p2p");
  const file = join(directory, "identity.pem");
  await loadIdentity(directory);
  const right = await readFile(file, "utf8");

  await chmod(file, 0o640);
  await refuses(directory, /others may read.*640.*chmod 600/);
  await chmod(file, 0o600);
  await writeFile(file, right.slice(0, 700));
  await refuses(directory, /no certificate/);
  await writeFile(file, right.replace(/\n.{20}/, "\n"));
  await refuses(directory, /damaged/);
  await writeFile(file, "");
  await refuses(directory, /no certificate/);
  await writeFile(file, right.slice(0, right.indexOf("-----BEGIN CERT")) + selfSignedRsa().cert);
  await refuses(directory, /not that of its key/);
  const weak = selfSignedRsa("rsa:1024");
  await writeFile(file, weak.key + weak.cert);
  await refuses(directory, /1024 bits/);
  await writeFile(file, "x".repeat(100_000));
  await refuses(directory, /100000 bytes/);
  await writeFile(file, right);
  await rename(file, join(folder.path, "elsewhere.pem"));
  await symlink(join(folder.path, "elsewhere.pem"), file);
  await refuses(directory, /symbolic link/);
});

test("a folder that others may write into is not used", async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "p2p");
  await mkdir(directory);
  await chmod(directory, 0o777);
  await refuses(directory, /others may write/);
  assert.deepEqual(await readdir(directory), []);
});
