import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Listener, type ListenerOptions } from "../../../src/daemon/p2p/network/listener.ts";
import { callTo } from "../../../src/daemon/p2p/path/call-backs.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

async function listening(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const listener = new Listener({
    ...{ port: 0, clock: new SystemClock(), logger: new RecordLogger(), allows: () => true },
    accept: async () => undefined,
    plain: () => undefined,
    ...options,
  });
  await listener.start();
  return listener;
}

async function call(listener: Listener, bytes?: Uint8Array, host = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ port: listener.port as number, host });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  // What is not read never ends.
  socket.resume();
  if (bytes) socket.write(bytes);
  return socket;
}

async function closed(socket: Socket): Promise<void> {
  await waitFor("the connection to be closed", () => socket.closed);
}

test("a TLS hello, and a second connection, come with their first bytes put back", async () => {
  const accepted: string[] = [];
  const plain: string[] = [];
  const keep = (list: string[]) => (socket: Socket) =>
    void socket.once("data", (bytes) => list.push(bytes.toString("hex")));
  await using listener = await listening({
    accept: async (socket) => keep(accepted)(socket),
    plain: keep(plain),
  });
  const tls = await call(listener, Buffer.from("160301aabb", "hex"));
  const second = await call(listener, Buffer.from("50ccdd", "hex"), "::1");
  await waitFor("both", () => accepted.length + plain.length === 2);
  assert.deepEqual([accepted, plain], [["160301aabb"], ["50ccdd"]]);
  tls.destroy();
  second.destroy();
});

test("anything else is closed without a word", async () => {
  await using listener = await listening();
  for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\0", "SSH-2.0-x\r\n", `R${"x".repeat(40)}`]) {
    const socket = await call(listener, Buffer.from(bytes));
    let said = 0;
    socket.on("data", (data) => {
      said += data.length;
    });
    await closed(socket);
    assert.equal(said, 0);
  }
});

test("a giver that calls back is handed over once, with what followed", async () => {
  await using listener = await listening();
  const nonce = randomBytes(32);
  const proof = callTo(nonce);
  const come = Promise.withResolvers<Socket>();
  listener.expect(nonce, come.resolve);
  const socket = await call(listener, Buffer.concat([Buffer.of(0x52), proof.subarray(0, 10)]));
  socket.write(Buffer.concat([proof.subarray(10), Buffer.from("more")]));
  const [bytes] = await once(await come.promise, "data");
  assert.equal(String(bytes), "more");
  const again = await call(listener, Buffer.concat([Buffer.of(0x52), proof]));
  await closed(again);
  socket.destroy();
});

test("who says nothing is closed after ten seconds, and counts as a failure", async () => {
  const clock = new TestClock();
  await using listener = await listening({ clock });
  const silent = await call(listener);
  const partial = await call(listener, Buffer.from("Rx"));
  await waitFor("both", () => listener.counts.halfOpen === 2);
  await clock.advance(10_001);
  await Promise.all([closed(silent), closed(partial)]);
  await waitFor("room again", () => listener.counts.connections === 0);
});

test("a flood of half-open connections is cut off, and does not stay", async () => {
  await using listener = await listening({ limits: { halfOpenEach: 8 } });
  let closed = 0;
  const sockets = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const socket = await call(listener);
      socket.once("close", () => {
        closed += 1;
      });
      return socket;
    }),
  );
  await waitFor("the rest to be closed", () => closed === 192);
  assert.equal(listener.counts.halfOpen, 8);
  for (const socket of sockets) socket.destroy();
  await waitFor("room again", () => listener.counts.connections === 0);
});

test("wrong proofs are counted", async () => {
  await using listener = await listening({
    accept: async (socket) => {
      socket.destroy();
      throw new Error("no proof");
    },
  });
  const socket = await call(listener, Buffer.of(0x16, 3, 1));
  await closed(socket);
  await waitFor("it to be gone", () => listener.counts.connections === 0);
});

test("addresses that may not come in are reset", async () => {
  await using picky = await listening({ allows: (address) => address !== "127.0.0.1" });
  // Whether it hears of that while it connects or after is a matter of luck.
  const refused = connect({ port: picky.port as number, host: "127.0.0.1" });
  refused.on("error", () => undefined);
  await closed(refused);
  assert.equal(picky.counts.connections, 0);
});

test("a port that is taken is no obstacle, and the port is gone afterwards", async () => {
  const other = createServer().listen(0, "::");
  await once(other, "listening");
  const taken = (other.address() as { readonly port: number }).port;
  const listener = await listening({ port: taken });
  const { port } = listener;
  assert.ok(port !== undefined && port !== taken);
  const open = await call(listener);
  await listener[Symbol.asyncDispose]();
  await closed(open);
  const late = connect({ port, host: "127.0.0.1" });
  const [error] = await once(late, "error");
  assert.equal(error.code, "ECONNREFUSED");
  other.close();
});
