/** Manners of the whole engine: a host that bears one connection, and Retry-After over jobs and restarts. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { libraryHome } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1024 * 1024;

/**
 * An origin that closes every connection but one as soon as it is opened, and sends slowly enough that more of them would
 * be of use.
 */
async function single(bytes: Buffer) {
  let open = 0;
  let connections = 0;
  let refused = 0;
  const server = createServer((request, response) => {
    const [, first = "0", last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const end = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    const start = Number(first);
    response.writeHead(206, {
      etag: '"one"',
      "content-length": end - start,
      "content-range": `bytes ${start}-${end - 1}/${bytes.length}`,
    });
    slowly(response, bytes, start, end);
  });
  server.on("connection", (socket) => {
    connections++;
    if (open >= 1) {
      refused++;
      socket.resetAndDestroy();
      return;
    }
    open++;
    socket.on("close", () => open--);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.bin`,
    counts: () => ({ connections, refused }),
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** 64 KiB every 20 ms. */
function slowly(response: ServerResponse, bytes: Buffer, from: number, end: number): void {
  if (response.destroyed) return;
  if (from >= end) {
    response.end();
    return;
  }
  const to = Math.min(from + 64 * 1024, end);
  response.write(bytes.subarray(from, to));
  setTimeout(() => slowly(response, bytes, to, end), 20).unref();
}

describe("a host that bears one connection", () => {
  test("gets one, and is not stormed", async () => {
    const bytes = randomBytes(12 * MIB);
    using origin = await single(bytes);
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 5 });
    const [result] = await manager.download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), bytes);
    const { connections, refused } = origin.counts();
    assert.ok(refused >= 1, "it was never asked for a second connection");
    assert.ok(connections <= 12, `${connections} connections, ${refused} of them refused`);
  });
});

test("a description that the host gives only over a second connection is not waited for without end", async () => {
  const link = '</file.meta4>; rel=describedby; type="application/metalink4+xml"';
  await using origin = await serve(resourceOf(randomBytes(2 * MIB)), (call) => call.answer({ link }));
  await using home = await libraryHome();
  const [result] = await home.manager({ connections_per_host: 1, timeout: 0.3 }).download([origin.url]);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(origin.requests.every(({ path }) => path === "/file.bin"));
});

describe("Retry-After", () => {
  test("holds for the whole host, over jobs and a restart", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) =>
      call.send(429, { "retry-after": "3600" }, "later"),
    );
    await using home = await libraryHome();
    const held = async (path: string) => {
      const manager = home.manager({ max_retries: 0 });
      const [session] = await manager.enqueue([origin.base + path]);
      const ended = await waitFor("the session waits or failed", async () => {
        const now = await manager.sessions.get(session?.id ?? "");
        return now?.error !== undefined && now.status !== "active" && now;
      });
      await manager[Symbol.asyncDispose]();
      return ended;
    };
    const first = await held("/one");
    assert.equal(first.error?.code, "HTTP_TOO_MANY_REQUESTS");
    assert.equal(first.error?.metadata?.["held"], undefined);
    for (const path of ["/two", "/three"]) {
      const later = await held(path);
      assert.equal(later.status, "waiting");
      assert.equal(later.error?.code, "HTTP_TOO_MANY_REQUESTS");
      assert.equal(later.error?.metadata?.["held"], "true");
      const wait = (later.nextAttemptAt ?? 0) - Date.now();
      assert.ok(wait > 3_500_000 && wait <= 3_600_000, `${wait} ms`);
    }
    assert.deepEqual(
      origin.requests.map(({ path }) => path),
      ["/one"],
    );
  });

  test("is believed up to http.max_retry_after", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) =>
      call.seen.number === 1 ? call.send(503, { "retry-after": "86400" }) : call.answer(),
    );
    await using home = await libraryHome();
    const [result] = await home.manager({ http: { max_retry_after: 0.5 } }).download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
  });
});
