/** What callers over TCP may have asked: whose request it is goes with it, from the call to every question to a host. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { credentials, Metadata } from "@grpc/grpc-js";
import type { DownloadOptions } from "../../src/daemon/core/session.ts";
import { type AddListResponse, DownloadServiceClient } from "../../src/gen/snatch/v1/download_service.ts";
import { libraryHome } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { answer, call, rpcFixture } from "../support/rpc-server.ts";

test("what comes over TCP bears that mark, also in lists; what comes over the Unix socket does not", async () => {
  await using fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  await fixture.server.start();
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${(await readFile(fixture.tokenFile, "utf8")).trim()}`);
  for (const [address = "", remote] of [
    [fixture.tcp()[0], true],
    [`unix:${fixture.socket}`, undefined],
  ] as const) {
    const downloads = new DownloadServiceClient(address, credentials.createInsecure());
    const wanted = { urls: [`https://a.test/one-${remote}`], options: undefined };
    await call(downloads.addDownloads.bind(downloads, { downloads: [wanted] }), { metadata });
    await answer<AddListResponse>((done) => {
      const stream = downloads.addList(metadata, done);
      stream.write({ part: { $case: "header", value: { name: "", options: undefined } } });
      stream.write({ part: { $case: "data", value: Buffer.from(`https://a.test/list-${remote}\n`) } });
      stream.end();
    });
    downloads.close();
    for (const kind of ["one", "list"]) {
      const { sessions } = await fixture.daemon.list({}, { size: 10 });
      const session = sessions.find(({ url }) => url === `https://a.test/${kind}-${remote}`);
      assert.ok(session);
      assert.equal(session.options.remote, remote);
    }
  }
});

describe("a download for a caller over TCP", () => {
  const remote: DownloadOptions = { remote: true };

  test("reaches nothing inside: no file, no mirror, no checksum file, and no retry changes that", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (message) => message.answer());
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 0 });
    for (const [url, options] of [
      [origin.url, remote],
      [["http://127.0.0.1:1/x", origin.url], remote],
      [`${origin.base}/list.meta4`, remote],
      [origin.url, { ...remote, checksumFile: "auto" }],
    ] as const) {
      const [result] = await manager.download([url], options);
      assert.equal(result?.error?.code, "ADDRESS_NOT_ALLOWED");
    }
    const { sessions } = await manager.sessions.list({}, { size: 10 });
    for (const { id } of sessions) assert.equal((await manager.resumeDownload(id)).error?.code, "ADDRESS_NOT_ALLOWED");
    assert.equal(origin.requests.length, 0);
    // The owner gets what he asks for, whoever asked for it before.
    const [own] = await manager.download([origin.url]);
    assert.equal(own?.status, "completed");
  });

  test("reaches what the owner allows", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (message) => message.answer());
    await using home = await libraryHome();
    const manager = home.manager({ http: { allow_remote_hosts: ["127.0.0.0/8"] } });
    const [result] = await manager.download([origin.url], remote);
    assert.equal(result?.status, "completed");
    // What is here is here, whoever asked for it.
    const before = origin.requests.length;
    const [own] = await manager.download([origin.url]);
    assert.equal(own?.path, result.path);
    assert.equal(origin.requests.length, before);
  });
});
