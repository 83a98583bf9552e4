/** Files that are too large to be kept in memory: they go past the page cache, and are as right and as resumable as any. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { DownloadManager } from "../../src/daemon/library.ts";
import { type Way, waysTo } from "../support/descriptors.ts";
import { makeFile, sha256Of } from "../support/files.ts";
import { type LibraryHome, libraryHome } from "../support/library.ts";
import { type Nginx, needsNginx, startNginx } from "../support/nginx.ts";
import { needsDirect } from "../support/takes-direct.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const MIB = 1024 * 1024;
const CONFIG = { chunk_size: 8 * MIB };

/** Just large enough, with a last chunk of a length that no disk has blocks of. */
const SIZE = 128 * MIB + 12_345;

/** Notes how the part file is open whenever a chunk is recorded. */
function watchWays(manager: DownloadManager, home: LibraryHome): Set<Way> {
  const seen = new Set<Way>();
  manager.registerHooks("witness", {
    postChunk: () => {
      for (const way of waysTo((path) => path.startsWith(`${home.downloads}/`))) seen.add(way);
    },
  });
  return seen;
}

describe("large files", { skip: needsNginx.skip || needsDirect.skip }, () => {
  let www: Awaited<ReturnType<typeof temporaryFolder>>;
  let nginx: Nginx;
  let digest: string;

  before(async () => {
    www = await temporaryFolder();
    digest = await makeFile(join(www.path, "large.bin"), SIZE);
    nginx = await startNginx({ root: www.path });
  });

  after(async () => {
    await nginx?.stop();
    await www?.[Symbol.asyncDispose]();
  });

  test("go past the page cache", async () => {
    await using home = await libraryHome();
    const manager = home.manager(CONFIG);
    const ways = watchWays(manager, home);
    const [result] = await manager.download([`${nginx.http}/large.bin`]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(await sha256Of(result.path ?? ""), digest);
    assert.deepEqual([...ways].sort(), ["cached", "direct"]);
    assert.deepEqual(
      waysTo((path) => path.startsWith(`${home.downloads}/`)),
      [],
      "nothing is left open",
    );
  });

  test("but through it where they are read back for a digest", async () => {
    await using home = await libraryHome();
    const manager = home.manager(CONFIG);
    const ways = watchWays(manager, home);
    const checksum = { algorithm: "sha-256", value: digest } as const;
    const [result] = await manager.download([`${nginx.http}/large.bin`], { checksum });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual([...ways], ["cached"]);
  });

  test("and are gone on with from what was recorded", async () => {
    await using home = await libraryHome();
    const first = home.manager(CONFIG);
    const enough = Promise.withResolvers<void>();
    let recorded = 0;
    first.registerHooks("witness", { postChunk: () => void (++recorded >= 5 && enough.resolve()) });
    const options = { limit: 200 * MIB };
    const begun = first.download([`${nginx.http}/large.bin`], options).catch(() => undefined);
    await enough.promise;
    await first[Symbol.asyncDispose]();
    await begun;
    await nginx.clearRequests();
    const [result] = await home.manager(CONFIG).download([`${nginx.http}/large.bin`]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(await sha256Of(result.path ?? ""), digest);
    const requests = await nginx.waitForRequests((all) => all.length > 0);
    const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
    assert.ok(bytes <= SIZE - 5 * 8 * MIB + 2 * MIB * requests.length, `${bytes} bytes were sent again`);
  });
});
