import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { dialAll } from "../../../../src/daemon/p2p/path/dial.ts";
import type { DataChannel } from "../../../../src/daemon/p2p/path/ice-library.ts";
import { IceStream } from "../../../../src/daemon/p2p/path/ice-stream.ts";
import { type PunchPort, punch } from "../../../../src/daemon/p2p/path/punch.ts";
import type { Endpoint } from "../../../../src/daemon/p2p/types.ts";
import { waitFor } from "../../../support/wait.ts";

const NEVER = new AbortController().signal;

/** One end of a data channel in memory. */
class MemoryDataChannel implements DataChannel {
  binaryType = "";
  bufferedAmountLowThreshold = 0;
  bufferedAmount = 0;
  readyState: DataChannel["readyState"] = "open";
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  onmessage: DataChannel["onmessage"] = null;
  other: MemoryDataChannel | undefined;
  sent = 0;

  send(data: Uint8Array | string): void {
    if (this.readyState !== "open") throw new Error("it is not open");
    if (typeof data !== "string") this.sent += data.length;
    const kept = typeof data === "string" ? data : Uint8Array.from(data).buffer;
    setImmediate(() => this.other?.onmessage?.({ data: kept }));
  }

  close(): void {
    this.readyState = "closed";
  }
}

function pair(): [MemoryDataChannel, MemoryDataChannel] {
  const [one, two] = [new MemoryDataChannel(), new MemoryDataChannel()];
  one.other = two;
  two.other = one;
  return [one, two];
}

const quiet = { onWord: () => undefined, release: () => undefined };

const clock = new SystemClock();

test("a data channel carries a stream whole, both ways, and to its end", async () => {
  const [a, b] = pair();
  let released = 0;
  const release = () => {
    released += 1;
  };
  const [one, two] = [new IceStream(a, { ...quiet, release }), new IceStream(b, { ...quiet, release })];
  const bytes = randomBytes(20 * 1024 * 1024 + 7);
  one.end(bytes);
  two.end("hello");
  const hash = createHash("sha256");
  for await (const chunk of two) hash.update(chunk);
  assert.equal(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"));
  let said = "";
  for await (const chunk of one) said += chunk;
  assert.equal(said, "hello");
  await waitFor("both connections to be closed", () => released === 2);
});

test("what nobody reads is not sent, and goes on when it is read", async () => {
  const [a, b] = pair();
  const [one, two] = [new IceStream(a, quiet), new IceStream(b, quiet)];
  one.end(Buffer.alloc(16 * 1024 * 1024));
  await waitFor("the window to be full", () => a.sent >= 2 * 1024 * 1024);
  for (let n = 0; n < 100; n++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(a.sent <= 2.5 * 1024 * 1024, `${a.sent} bytes were sent`);
  let read = 0;
  for await (const chunk of two) read += chunk.length;
  assert.equal(read, 16 * 1024 * 1024);
  two.end();
  one.resume();
});

test("whoever sends more than the window is cut off", async () => {
  const [a, b] = pair();
  const two = new IceStream(b, quiet);
  for (let n = 0; n < 100; n++) a.send(new Uint8Array(64 * 1024));
  const [error] = await once(two, "error");
  assert.equal(error.code, "PEER_MISBEHAVED");
  assert.ok(two.readableLength <= 3 * 1024 * 1024);
});

test("a peer that falls silent is noticed", { timeout: 20_000 }, async () => {
  const [a, b] = pair();
  const one = new IceStream(a, quiet);
  b.onmessage = () => undefined;
  const started = performance.now();
  // The stream's own timers do not keep the process alive.
  const keep = setInterval(() => undefined, 1000);
  const [error] = await once(one, "error");
  clearInterval(keep);
  assert.equal(error.code, "CONNECTION_LOST");
  assert.ok(performance.now() - started < 12_000);
});

test("a port is called from again and again, until there is a connection", async () => {
  // Where calls cross is for real NATs to show (test/integration/p2p-paths.test.ts): on loopback each is refused at once.
  const server = createServer((socket) => socket.end("ping")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  await new Promise((resolve) => server.close(resolve));
  const localPort = 30_000 + Math.floor(Math.random() * 2000);
  const own: PunchPort = { localPort, outer: [], [Symbol.dispose]: () => undefined };
  const endpoint: Endpoint = { host: "127.0.0.1", port, kind: "direct" };
  // The clock's timers do not keep the process alive.
  const keep = setInterval(() => undefined, 1000);
  const punched = punch(own, [endpoint], { clock, durationMs: 10_000, signal: NEVER });
  await new Promise((resolve) => setTimeout(resolve, 300));
  server.listen(port, "127.0.0.1");
  const { socket } = await punched;
  assert.equal(socket.localPort, localPort);
  const [bytes] = await once(socket, "data");
  assert.equal(String(bytes), "ping");
  socket.destroy();
  server.close();
  await assert.rejects(punch(own, [endpoint], { clock, durationMs: 200, signal: NEVER }), { code: "ECONNREFUSED" });
  clearInterval(keep);
});

test("the first endpoint that is of use wins, and the others are given up", async () => {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const failures: string[] = [];
  const endpoints: Endpoint[] = [
    { host: "127.0.0.1", port: 1, kind: "direct" },
    { host: "127.0.0.2", port, kind: "explicit" },
    { host: "127.0.0.1", port, kind: "direct" },
  ];
  const used: string[] = [];
  const group = {
    ...{
      clock,
      endpoints,
      signal: NEVER,
      pathOf: () => "lan" as const,
      allows: (address: string) => address !== "127.0.0.2",
    },
    use: async ({
      stream,
      remoteAddress,
    }: {
      readonly stream: { destroy(): void };
      readonly remoteAddress: string;
    }) => {
      used.push(remoteAddress);
      stream.destroy();
    },
  };
  assert.equal(await dialAll(group, (where) => failures.push(where)), true);
  assert.deepEqual(used, ["127.0.0.1"]);
  assert.deepEqual(failures, ["127.0.0.1 port 1", `127.0.0.2 port ${port}`]);
  assert.equal(await dialAll({ ...group, endpoints: [] }, () => undefined), false);
  server.close();
});
