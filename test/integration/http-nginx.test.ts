/** The HTTP room against a real nginx: ranges, TLS, basic auth, limits, a file that changes, connections that are kept. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { RangeStream } from "../../src/daemon/core/ports/sources.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { NGINX_BINARY, NGINX_CREDENTIALS, type Nginx, needsNginx, startNginx } from "../support/nginx.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";

const SIZE = 1024 * 1024;
const BYTES = Buffer.from(Uint32Array.from({ length: SIZE / 4 }, (_, index) => Math.imul(index, 0x9e3779b1)).buffer);
const clock = new SystemClock();
const signal = AbortSignal.timeout(20_000);

async function collect(stream: RangeStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await stream.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

describe("a real nginx", needsNginx, () => {
  let folder: TemporaryFolder;
  let nginx: Nginx;
  let client: UndiciClient;
  let factory: HttpSourceFactory;

  before(async () => {
    if (NGINX_BINARY === undefined) return;
    folder = await temporaryFolder();
    await writeFile(join(folder.path, "file.bin"), BYTES);
    await writeFile(join(folder.path, "empty.bin"), "");
    nginx = await startNginx({ root: folder.path, slowRate: 64 * 1024 });
    client = new UndiciClient(
      { userAgent: "snatch-test", certificateAuthorities: readFileSync(nginx.certificate) },
      { clock, logger: new RecordLogger() },
    );
    factory = new HttpSourceFactory({ client, clock });
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await nginx?.stop();
    await folder?.[Symbol.asyncDispose]();
  });

  for (const scheme of ["http", "https"] as const)
    test(`${scheme}: a file in ranges over kept connections`, async () => {
      await nginx.clearRequests();
      const source = factory.http(`${nginx[scheme]}/file.bin`, {});
      const parts: Buffer[] = [];
      let expected = undefined as RangeStream["resource"] | undefined;
      for (let start = 0; start < SIZE; start += 300_000) {
        const stream = await source.open({ start, end: start + 300_000, signal, ...(expected && { expected }) });
        expected ??= stream.resource;
        parts.push(await collect(stream));
      }
      assert.ok(Buffer.concat(parts).equals(BYTES));
      assert.equal(expected?.size, SIZE);
      assert.match(expected?.strongValidator ?? "", /^"/);
      const log = await nginx.waitForRequests((all) => all.length === 4);
      assert.deepEqual(
        log.map((line) => [line.status, line.range, line.bytes]),
        [
          [206, "bytes=0-299999", 300_000],
          [206, "bytes=300000-599999", 300_000],
          [206, "bytes=600000-899999", 300_000],
          [206, "bytes=900000-1199999", SIZE - 900_000],
        ],
      );
      assert.equal(new Set(log.map((line) => line.connection)).size, 1);
      assert.equal(log[1]?.ifRange, expected?.strongValidator);
    });

  test("https without the authority: TLS_FAILED", async () => {
    await using stranger = new UndiciClient({ userAgent: "t" }, { clock, logger: new RecordLogger() });
    await assert.rejects(stranger.request({ url: `${nginx.https}/file.bin` }), {
      code: "TLS_FAILED",
      retryable: false,
      message: /self-signed/,
    });
  });

  test("a location without ranges gives the whole", async () => {
    const stream = await factory.http(`${nginx.http}/no-ranges/file.bin`, {}).open({ start: 0, end: 1000, signal });
    assert.deepEqual([stream.start, stream.end, stream.resource.ranges], [0, SIZE, false]);
    assert.ok((await collect(stream)).equals(BYTES));
  });

  test("basic auth, from the URL and from a field", async () => {
    const url = `${nginx.http}/auth/file.bin`;
    await assert.rejects(factory.http(url, {}).open({ start: 0, signal }), { code: "HTTP_UNAUTHORIZED" });
    const { user, password } = NGINX_CREDENTIALS;
    const source = factory.http(url.replace("://", `://${user}:${password}@`), {});
    assert.doesNotMatch(source.id, new RegExp(password));
    const stream = await source.open({ start: 0, end: 5, signal });
    assert.equal(stream.resource.finalUrl, url);
    assert.ok((await collect(stream)).equals(BYTES.subarray(0, 5)));
    const field = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    (await factory.http(url, { headers: [["authorization", field]] }).open({ start: 0, end: 5, signal })).cancel();
  });

  test("a slow answer is no stall", async () => {
    const source = factory.http(`${nginx.http}/slow/file.bin`, { timeoutMs: 1500 });
    const began = performance.now();
    assert.equal((await collect(await source.open({ start: 0, end: 150_000, signal }))).length, 150_000);
    assert.ok(performance.now() - began > 900, "64 KiB a second");
  });

  test("breaking off reaches the server", async () => {
    await nginx.clearRequests();
    const controller = new AbortController();
    const stream = await factory.http(`${nginx.http}/slow/file.bin`, {}).open({ start: 0, signal: controller.signal });
    const piped = assert.rejects(
      stream.pipe(() => controller.abort(new Error("paused"))),
      /^Error: paused$/,
    );
    await piped;
    const [line] = await nginx.waitForRequests((all) => all.length === 1);
    assert.ok((line?.bytes ?? SIZE) < SIZE);
  });

  test("a file that changes is noticed", async () => {
    const path = join(folder.path, "changing.bin");
    await writeFile(path, BYTES);
    const source = factory.http(`${nginx.http}/changing.bin`, {});
    const first = await source.open({ start: 0, end: 1000, signal });
    first.cancel();
    await writeFile(path, Buffer.from(BYTES).reverse());
    await utimes(path, 1e9, 1e9);
    const again = source.open({ start: 1000, end: 2000, signal, expected: first.resource });
    await assert.rejects(again, { code: "RESOURCE_CHANGED", message: /its ETag was/ });
  });

  test("an empty file", async () => {
    const stream = await factory.http(`${nginx.http}/empty.bin`, {}).open({ start: 0, end: 1000, signal });
    assert.equal(stream.resource.size, 0);
    assert.equal((await collect(stream)).length, 0);
  });

  test("500 requests, 16 at a time, over no more connections than that", async () => {
    await nginx.clearRequests();
    let left = 500;
    const work = async () => {
      while (left-- > 0) {
        const response = await client.request({ url: `${nginx.http}/file.bin`, headers: [["range", "bytes=0-99"]] });
        assert.equal((await response.text(100)).length > 0, true);
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
    const log = await nginx.waitForRequests((all) => all.length === 500);
    assert.ok(new Set(log.map((line) => line.connection)).size <= 16);
  });
});
