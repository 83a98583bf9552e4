/**
 * The wire beside undici: whatever an origin sends, both say the same, byte for byte and error for error. Then what only the
 * wire does: bytes straight into a target's memory, and not one of them where or when it must not be.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { copyInto } from "../../src/daemon/core/byte-target.ts";
import { DownloadError } from "../../src/daemon/core/errors.ts";
import type { ByteTarget, HttpResponse } from "../../src/daemon/core/ports/http.ts";
import type { ResourceInfo } from "../../src/daemon/core/session.ts";
import { type HttpClientOptions, UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { makeFile, temporaryFolder } from "../support/files.ts";
import { needsNginx, startNginx } from "../support/nginx.ts";
import { ORIGINS, type OriginName, startOrigin } from "../support/origins/catalogue.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const make = (options: Partial<HttpClientOptions> = {}) =>
  new UndiciClient({ userAgent: "snatch-test", ...options }, { clock, logger: new RecordLogger() });
const wire = make();
const undici = make({ wire: false });
after(() => Promise.all([wire[Symbol.asyncDispose](), undici[Symbol.asyncDispose]()]));

const UNTOUCHED = Buffer.alloc(4 * 1024 * 1024, 0xee);

/** Lends rooms of these sizes in turn out of memory whose other bytes must stay as they are. */
class Memory implements ByteTarget {
  readonly bytes: Buffer;
  readonly #sizes: readonly number[];
  #calls = 0;
  length = 0;
  #room = 0;

  constructor(sizes: readonly number[] = [64 * 1024], size = UNTOUCHED.length) {
    this.bytes = Buffer.from(UNTOUCHED.subarray(0, size));
    this.#sizes = sizes;
  }

  space(): Uint8Array {
    const size = this.#sizes[this.#calls++ % this.#sizes.length] ?? 1;
    const room = this.bytes.subarray(this.length, this.length + size);
    assert.ok(room.length > 0);
    this.#room = room.length;
    return room;
  }

  filled(count: number): void | Promise<void> {
    assert.ok(count > 0 && count <= this.#room, "more than there was room for");
    this.length += count;
    this.#room = 0;
  }

  get received(): Buffer {
    const rest = this.bytes.subarray(this.length);
    assert.ok(rest.equals(UNTOUCHED.subarray(0, rest.length)), "bytes where nobody said that there are any");
    return this.bytes.subarray(0, this.length);
  }
}

/** Whether it was told so, or not: an answer's body, whole. */
async function receive(response: HttpResponse, sizes?: readonly number[]): Promise<Buffer> {
  const memory = new Memory(sizes);
  await (response.receive?.(memory) ?? assert.fail("it cannot be received"));
  return memory.received;
}

/** A TCP server. `onSocket` is called with each connection. */
async function tcp(onSocket: (socket: Socket, number: number) => void) {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    onSocket(socket, ++connections);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/file.bin`,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

const codeOf = (error: unknown): string => {
  assert.ok(error instanceof DownloadError, String(error));
  return error.code;
};

describe("every origin of the catalogue", () => {
  /** What two requests bring, the second going on with what the first one told. The weak ETag's bytes are never the same. */
  async function outcomes(client: UndiciClient, name: OriginName): Promise<unknown[]> {
    await using origin = await startOrigin(name);
    const source = new HttpSourceFactory({ client, clock }).http(origin.url, { timeoutMs: 250 });
    const found: unknown[] = [];
    let expected: ResourceInfo | undefined;
    for (const range of [
      { start: 0, end: 10_000 },
      { start: 10_000, end: 30_000 },
    ]) {
      const signal = AbortSignal.timeout(5000);
      try {
        const stream = await source.open({ ...range, signal, ...(expected && { expected }) });
        const memory = new Memory([1, 1000, 16 * 1024], 256 * 1024);
        await (stream.receive?.(memory) ?? stream.pipe(copyInto(memory)));
        const { answer: _, finalUrl: __, ...told } = stream.resource;
        found.push({
          start: stream.start,
          end: stream.end,
          told,
          bytes: name === "weak-etag" ? memory.length : sha256(memory.received),
        });
        expected = stream.resource;
      } catch (error) {
        found.push(codeOf(error));
      }
    }
    return [...found, origin.requests.length];
  }

  const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

  for (const name of Object.keys(ORIGINS) as OriginName[]) {
    if (name === "drip") continue; // has no end
    test(name, async () => {
      const [found, wanted] = await Promise.all([outcomes(wire, name), outcomes(undici, name)]);
      assert.deepEqual(found, wanted);
    });
  }
});

describe("answers at random", () => {
  const ok = 'HTTP/1.1 206 Partial Content\r\nETag: "v1"\r\n';
  const line = fc.constantFrom(
    "Content-Length: 20",
    "Content-Length: 20",
    "content-length:20",
    "Content-Length: 5",
    "Content-Length: 020",
    "Content-Length: 20 ",
    "Content-Length: 20, 20",
    "Content-Length: -1",
    "Content-Range: bytes 0-19/100",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Connection: close",
    "Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "Upgrade: h2c",
    "X-A: b",
    "X-A: c",
    "X-A:",
    "X-\xe9: \xe9",
    "X-A: \xe9\xff",
    "X-A: a\tb ",
    " folded",
    "X A: b",
    "no colon",
    "Set-Cookie: a=b",
    "Set-Cookie: c=d",
  );
  const status = fc.constantFrom(
    ok,
    ok,
    ok,
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 404 Not Found\r\n",
    "HTTP/1.1 503 \r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 200\r\n",
    "http/1.1 200 OK\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/2 200\r\n",
    "",
  );
  /** Mostly with a length at first, so that most get as far as the rest. */
  const lines = fc
    .tuple(fc.constantFrom(["Content-Length: 20"], ["Content-Length: 20"], []), fc.array(line, { maxLength: 3 }))
    .map(([length, more]) => [...length, ...more]);
  const body = fc.constantFrom(
    "01234567890123456789",
    "0123",
    "5\r\nhello\r\n0\r\n\r\n",
    "",
    "01234567890123456789HTTP/1.1 200 OK\r\n\r\n",
  );
  const answer = fc.record({
    head: fc.tuple(status, lines).map(([first, lines]) => `${first}${lines.join("\r\n")}\r\n\r\n`),
    body,
    /** Bytes that are changed: where, and to what. */
    noise: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 2 }),
    ),
    cuts: fc.array(fc.nat(250), { maxLength: 3 }),
    end: fc.constantFrom("close", "close", "close", "reset"),
  });
  type Answer = typeof answer extends fc.Arbitrary<infer T> ? T : never;

  let current: Answer | undefined;
  async function say(socket: Socket): Promise<void> {
    const { head, body, noise, cuts, end } = current ?? assert.fail();
    const bytes = Buffer.from(head + body, "latin1");
    for (const [at, byte] of noise) if (at < bytes.length) bytes[at] = byte;
    socket.setNoDelay(true);
    let from = 0;
    for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
      const piece = bytes.subarray(from, cut);
      from = Math.max(from, cut);
      if (piece.length > 0) await new Promise((resolve) => socket.write(piece, resolve));
      await new Promise(setImmediate);
    }
    if (end === "close") socket.end();
    else socket.resetAndDestroy();
  }

  async function hear(client: UndiciClient, url: string): Promise<unknown> {
    try {
      const response = await client.request({
        url,
        follow: false,
        timeoutMs: 1000,
        headers: [["Range", "bytes=0-19"]],
      });
      const { status, headers } = response;
      const pieces: Buffer[] = [];
      const error = await response.pipe((bytes) => void pieces.push(Buffer.from(bytes))).then(() => undefined, codeOf);
      return { status, headers: [...headers], body: Buffer.concat(pieces).toString("latin1"), error };
    } catch (error) {
      return codeOf(error);
    }
  }

  test("are heard alike", async () => {
    let plain = 0;
    const property = fc.asyncProperty(answer, async (next) => {
      current = next;
      await using server = await tcp((socket) => socket.once("data", () => void say(socket)));
      // Each with a client of its own: no host is left alone because of what another answer said.
      await using one = make();
      await using other = make({ wire: false });
      const [found, wanted] = [await hear(one, server.url), await hear(other, server.url)];
      // What a reset throws away is the system's choice, from one time to the next.
      if (next.end === "reset") return;
      assert.deepEqual(found, wanted);
      if (typeof found === "object") plain++;
    });
    await fc.assert(property, { numRuns: 400 });
    assert.ok(plain > 50, `only ${plain} were answers at all`);
  });
});

const enough = new Error("enough");
/** Breaks off in one of the three ways. */
class Breaking extends Memory {
  readonly #how: string;
  readonly #at: number;

  constructor(how: string, at: number) {
    super([64 * 1024]);
    this.#how = how;
    this.#at = at;
  }

  override space(): Uint8Array {
    if (this.#how === "space" && this.length > this.#at) throw enough;
    return super.space();
  }

  override filled(count: number): void | Promise<void> {
    void super.filled(count);
    if (this.length <= this.#at || this.#how === "space") return;
    if (this.#how === "filled") throw enough;
    return Promise.reject(enough);
  }
}

describe("a target", () => {
  const bytes = Buffer.from(
    Uint32Array.from({ length: 1 << 19 }, (_, index) => Math.imul(index + 1, 2_654_435_761)).buffer,
  );
  const resource = resourceOf(bytes);
  const big = 4 * 1024 * 1024;

  test("gets every byte in order, however little room it gives", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    for (const sizes of [[1 << 20], [16 * 1024], [1, 7, 100_000], [64 * 1024 - 1]])
      assert.ok((await receive(await wire.request({ url: origin.url }), sizes)).equals(bytes), `${sizes}`);
  });

  test("that holds back gets nothing until it is ready, and no timeout runs", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    const response = await wire.request({ url: origin.url, timeoutMs: 250 });
    let held = false;
    let holds = 0;
    const memory = new (class extends Memory {
      override space(): Uint8Array {
        assert.ok(!held, "room was asked for while it held back");
        return super.space();
      }
      override filled(count: number): void | Promise<void> {
        super.filled(count);
        if (++holds > 3) return;
        held = true;
        const before = Buffer.from(this.received);
        return clock.sleep(holds === 1 ? 400 : 1).then(() => {
          held = false;
          assert.ok(this.received.equals(before));
        });
      }
    })([1 << 20]);
    await response.receive?.(memory);
    assert.ok(memory.received.equals(bytes));
    assert.ok(holds > 3);
  });

  for (const how of ["space", "filled", "a promise of filled"])
    for (const at of [0, 200_000])
      test(`whose ${how} throws after ${at} bytes ends it with just that, and closes the connection`, async () => {
        const closed = Promise.withResolvers<void>();
        await using server = await tcp((socket) => {
          socket.on("close", () => closed.resolve());
          socket.once("data", () => {
            socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * big}\r\n\r\n`, () => socket.write(bytes));
          });
        });
        const response = await wire.request({ url: server.url });
        const memory = new Breaking(how, at);
        const thrown = await response.receive?.(memory).then(
          () => assert.fail("it ended well"),
          (error: unknown) => error,
        );
        assert.equal(thrown, enough);
        const { length } = memory;
        await closed.promise;
        assert.equal(memory.length, length);
        assert.ok(memory.received.equals(bytes.subarray(0, length)));
      });

  for (const way of ["abort", "cancel"] as const)
    test(`is not written to any more after ${way}`, async () => {
      const halves = Promise.withResolvers<Socket>();
      await using server = await tcp((socket) => {
        socket.once("data", () => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * big}\r\n\r\n`);
          socket.write(bytes.subarray(0, big / 4), () => halves.resolve(socket));
        });
      });
      const controller = new AbortController();
      const response = await wire.request({ url: server.url }, controller.signal);
      const memory = new Memory([256 * 1024]);
      const received = response.receive?.(memory);
      const sender = await halves.promise;
      while (memory.length < big / 4) await new Promise(setImmediate);
      sender.write(bytes.subarray(big / 4, big / 2));
      if (way === "abort") controller.abort(enough);
      else response.cancel();
      await assert.rejects(received ?? assert.fail(), way === "abort" ? /^Error: enough$/ : { code: "CANCELLED" });
      const { length } = memory;
      if (!sender.closed) await new Promise((resolve) => sender.on("close", resolve));
      assert.equal(memory.length, length);
      assert.ok(memory.received.equals(bytes.subarray(0, length)));
    });

  for (const [name, rest, code] of [
    ["ends early", (socket: Socket) => socket.end(), "TRUNCATED"],
    ["breaks", (socket: Socket) => socket.resetAndDestroy(), "CONNECTION_LOST"],
    ["stalls", () => undefined, "TIMED_OUT"],
  ] as const)
    test(`keeps what came before a body that ${name}: ${code}`, async () => {
      await using server = await tcp((socket) => {
        socket.once("data", () => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${big}\r\n\r\n`);
          socket.write(bytes.subarray(0, 300_000), () => clock.sleep(50).then(() => void rest(socket)));
        });
      });
      const response = await wire.request({ url: server.url, timeoutMs: 200 });
      const memory = new Memory([64 * 1024]);
      await assert.rejects(response.receive?.(memory) ?? assert.fail(), { code });
      assert.ok(memory.received.equals(bytes.subarray(0, 300_000)));
    });
});

describe("connections", () => {
  const answer = (body: string, fields = "") => `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${fields}\r\n${body}`;
  const ask = async (client: UndiciClient, url: string) => (await client.request({ url, timeoutMs: 2000 })).text(100);

  test("are kept, but not behind a body that goes on, nor where the origin says so", async () => {
    const bodies = ["ok", "ok", "ok, and more", "ok", "ok", "ok"];
    await using server = await tcp((socket) =>
      socket.on("data", () =>
        socket.write(answer(bodies.shift() ?? "", bodies.length === 1 ? "Connection: close\r\n" : "")),
      ),
    );
    await using own = make();
    const connections: number[] = [];
    for (let i = 0; i < 6; i++) {
      assert.equal(await ask(own, server.url), "ok");
      connections.push(server.connections);
    }
    assert.deepEqual(connections, [1, 1, 1, 2, 2, 3]);
  });

  test("on which bytes come that nobody asked for are closed", async () => {
    const closed = Promise.withResolvers<void>();
    const more = Promise.withResolvers<void>();
    await using server = await tcp((socket, number) => {
      socket.on("data", () => socket.write(answer("ok")));
      if (number > 1) return;
      socket.on("close", () => closed.resolve());
      more.promise.then(() => socket.write(answer("no")));
    });
    await using own = make();
    assert.equal(await ask(own, server.url), "ok");
    more.resolve();
    await closed.promise;
    assert.equal(await ask(own, server.url), "ok");
    assert.equal(server.connections, 2);
  });

  test("do not become more because an origin is left to undici, and nothing is asked twice", async () => {
    let requests = 0;
    let most = 0;
    let chunked = false;
    await using server = await tcp((socket) => {
      socket.on("data", () => {
        requests++;
        most = Math.max(most, server.open);
        socket.write(
          chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" : answer("ok"),
        );
      });
    });
    await using own = make();
    for (const next of [false, true, false, true, true, false]) {
      chunked = next;
      assert.equal(await ask(own, server.url), "ok");
    }
    assert.equal(requests, 6);
    assert.equal(server.connections, 2, "one of the wire, handed over to the end; one of undici, kept");
    assert.equal(most, 1);
  });

  test("are closed when they are not used", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await tcp((socket) => {
      socket.on("data", () => socket.write(answer("ok"))).on("close", () => closed.resolve());
    });
    await using own = make({ keepAliveMs: 50 });
    assert.equal(await ask(own, server.url), "ok");
    await closed.promise;
  });
});

test("over TLS the same bytes come the same way", needsNginx, async () => {
  await using folder = await temporaryFolder();
  const root = folder.path;
  await makeFile(join(root, "large.bin"), 3_000_000);
  await using nginx = await startNginx({ root });
  const certificateAuthorities = await readFile(nginx.certificate);
  await using own = make({ certificateAuthorities });
  const url = `${nginx.https.replace("127.0.0.1", "localhost")}/large.bin`;
  for (let i = 0; i < 2; i++) {
    const response = await own.request({ url });
    assert.ok((await receive(response, [1 << 20])).equals(await readFile(join(root, "large.bin"))));
    assert.match(response.certificate ?? "", /^[0-9a-f]{64}$/);
  }
  assert.equal(new Set((await nginx.requests()).map(({ connection }) => connection)).size, 1);
  await assert.rejects(wire.request({ url }), { code: "TLS_FAILED" });

  // What was deciphered already when the target holds back, or breaks off, is not lost and not written.
  const bytes = await readFile(join(root, "large.bin"));
  const memory = new (class extends Memory {
    #held = false;
    override space(): Uint8Array {
      assert.ok(!this.#held);
      return super.space();
    }
    override filled(count: number): Promise<void> {
      void super.filled(count);
      this.#held = true;
      return new Promise((resolve) => setImmediate(resolve)).then(() => {
        this.#held = false;
      });
    }
  })([100_000]);
  // A connection of its own, over a session that is resumed: its certificate is known from the first time.
  await using other = make({ certificateAuthorities, keepAliveMs: 1, wire: false });
  for (const client of [other, other, own]) {
    const { certificate } = await client.request({ url, method: "HEAD" });
    assert.match(certificate ?? "", /^[0-9a-f]{64}$/);
  }
  await ((await own.request({ url })).receive?.(memory) ?? assert.fail());
  assert.ok(memory.received.equals(bytes));
  for (const how of ["space", "filled", "a promise of filled"]) {
    const broken = new Breaking(how, 500_000);
    await assert.rejects((await own.request({ url })).receive?.(broken) ?? assert.fail(), enough);
    const { length } = broken;
    await clock.sleep(5);
    assert.equal(broken.length, length);
    assert.ok(broken.received.equals(bytes.subarray(0, length)));
  }
});
