/** The support itself: every location of the nginx that other tests rely on answers as it says. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { NGINX_CREDENTIALS, needsNginx, startNginx } from "../support/nginx.ts";

const run = promisify(execFile);

test("nginx serves its folder in each of its ways, and its log tells", needsNginx, async () => {
  const root = await mkdtemp(join(tmpdir(), "snatch-root-"));
  try {
    await writeFile(join(root, "file.bin"), Buffer.alloc(1000, 7));
    await using nginx = await startNginx({ root, locations: { "/gone/": "return 410;" } });
    const range = { headers: { range: "bytes=10-19" } };
    const status = async (path: string, init?: RequestInit) => {
      const response = await fetch(`${nginx.http}${path}`, init);
      await response.arrayBuffer();
      return response.status;
    };
    assert.equal(await status("/file.bin"), 200);
    assert.equal(await status("/file.bin", range), 206);
    assert.equal(await status("/limited/file.bin", range), 206);
    assert.equal(await status("/slow/file.bin", range), 206);
    assert.equal(await status("/no-ranges/file.bin", range), 200);
    assert.equal(await status("/gone/file.bin"), 410);
    assert.equal(await status("/auth/file.bin"), 401);
    const basic = Buffer.from(`${NGINX_CREDENTIALS.user}:${NGINX_CREDENTIALS.password}`).toString("base64");
    assert.equal(await status("/auth/file.bin", { headers: { authorization: `Basic ${basic}` } }), 200);

    const tls = await run("curl", ["-sS", "--cacert", nginx.certificate, `${nginx.https}/file.bin`], {
      encoding: "buffer",
    });
    assert.equal(tls.stdout.length, 1000);

    const log = await nginx.waitForRequests((all) => all.length === 9);
    const ranged = log.find((line) => line.uri === "/file.bin" && line.status === 206);
    assert.equal(ranged?.range, "bytes=10-19");
    assert.equal(ranged?.bytes, 10);
    await nginx.clearRequests();
    assert.deepEqual(await nginx.requests(), []);
  } finally {
    await rm(root, { recursive: true });
  }
});
