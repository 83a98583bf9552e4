/** Chunks in the clear: only where both want it, after the proofs, in order with what goes over TLS, by a token used once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { PeerChannel } from "../../../src/daemon/p2p/channel/channel.ts";
import { isLocal } from "../../../src/daemon/p2p/channel/plain.ts";
import { type Channel, FRAME } from "../../../src/daemon/p2p/types.ts";
import { encodeFrame } from "../../support/arbitrary-frames.ts";
import { hostileGiver, hostileTaker } from "../../support/hostile-peer.ts";
import { type Giving, give, Heard, manager, openShare, someKeys, streamOf, take } from "../../support/peer-pair.ts";

const id = Buffer.from([0, 0, 0, 9]);
const other = Buffer.from([0, 0, 0, 10]);

async function pair(giving: Giving, keys: ReturnType<typeof someKeys>, plain: boolean) {
  const here = await take(manager("taker"), giving.port, keys, { plain });
  return { here, there: await giving.next() };
}

/** Sends until the taker's system has seen a connection for chunks, and a while longer. */
async function sendMany(there: Channel, until: () => boolean): Promise<number> {
  let sent = 0;
  for (let after = 0; after < 50; after += until() ? 1 : 0, sent++) {
    const block = Buffer.alloc(60_000, sent % 251);
    block.writeUInt32BE(sent);
    await there.send(FRAME.data, id, block);
    await new Promise((resolve) => void setImmediate(resolve));
  }
  void there.send(FRAME.refuse, other, Buffer.from(JSON.stringify({ code: "SHARE_CHANGED", message: "secret words" })));
  void there.send(FRAME.end, id);
  return sent;
}

test("both want it: chunks change over in the middle, and everything comes in order; words stay in TLS", async () => {
  const keys = someKeys();
  await using giving = await give(manager("giver"), [openShare(keys, false)]);
  const { here, there } = await pair(giving, keys, true);
  assert.ok(here.mayBePlain && there.mayBePlain);
  const heard = new Heard();
  here.start(heard);
  there.start(new Heard());
  // The giver says in TLS that it changes over; what has been sent in the clear by then is what its listener has counted.
  const sent = await sendMany(there, () => giving.plain().some(({ bytesWritten }) => bytesWritten > 0));
  const frames = [await heard.next(), await heard.next()];
  const bytes = heard.bytes(9);
  assert.equal(bytes.length, sent * 60_000);
  for (let block = 0; block < sent; block++) assert.equal(bytes.readUInt32BE(block * 60_000), block);
  assert.deepEqual(new Set(frames.map(({ type }) => type)), new Set([FRAME.refuse, FRAME.end]));
  const refused = frames.find(({ type }) => type === FRAME.refuse);
  assert.match(refused?.payload.subarray(4).toString() ?? "", /secret words/);
  const inTheClear = giving.plain().reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
  assert.ok(inTheClear > 0 && inTheClear < sent * 60_009 + 1000, `${inTheClear} bytes in the clear`);
  here.close();
  await heard.ended;
});

for (const [name, encryption, wanted] of [
  ["the share wants encryption", true, true],
  ["the taker does not want it", false, false],
] as const) {
  test(`${name}: nothing goes in the clear`, async () => {
    const keys = someKeys();
    await using giving = await give(manager("giver"), [openShare(keys, encryption)]);
    const { here, there } = await pair(giving, keys, wanted);
    assert.ok(!here.mayBePlain && !there.mayBePlain);
    const heard = new Heard();
    here.start(heard);
    there.start(new Heard());
    await there.send(FRAME.data, id, Buffer.alloc(100_000));
    void there.send(FRAME.end, id);
    assert.equal((await heard.next()).type, FRAME.end);
    assert.equal(giving.plain().length, 0);
    here.close();
  });
}

test("a token is good for one connection; a guessed one, and none, end it", async () => {
  const keys = someKeys();
  await using giving = await give(manager("giver"), [openShare(keys, false)]);
  const taker = await hostileTaker(giving.port, keys, { plain: true });
  (await giving.next()).start(new Heard());
  const [frame] = (await once(taker, "data")) as [Buffer];
  assert.equal(frame[4], FRAME.plain);
  assert.equal(frame.readUInt16BE(5), giving.port);
  const token = frame.subarray(7, 39);
  const call = async (words: Buffer) => {
    const socket = connect({ host: "127.0.0.1", port: giving.port });
    await once(socket, "connect");
    socket.on("error", () => {}).write(words);
    return socket;
  };
  const guessed = await call(Buffer.concat([Buffer.from("P"), Buffer.alloc(32, 7)]));
  await once(guessed, "close");
  const right = await call(Buffer.concat([Buffer.from("P"), token]));
  // It changes over: a frame of the same type, with port 0.
  const [change] = (await once(taker, "data")) as [Buffer];
  assert.deepEqual(change, encodeFrame(FRAME.plain, Buffer.alloc(34)));
  const again = await call(Buffer.concat([Buffer.from("P"), token]));
  await once(again, "close");
  assert.equal(right.destroyed, false);
  right.destroy();
  // Without its second connection the channel is of no use.
  await once(taker, "close");
});

/** What a giver says of where chunks could be had in the clear. */
function offerOf(port: number): Buffer {
  const where = Buffer.alloc(34, 7);
  where.writeUInt16BE(port);
  return encodeFrame(FRAME.plain, where);
}

test("a taker calls once for chunks in the clear, however often it is told where", async () => {
  const keys = someKeys();
  const called = new Set<Socket>();
  await using other = createServer((socket) => void called.add(socket.on("error", () => {})));
  await once(other.listen(0, "127.0.0.1"), "listening");
  await using first = createServer((socket) => {
    called.add(socket);
    void hostileGiver(
      socket.on("error", () => {}),
      keys,
      { plain: true },
    ).then((tls) => {
      tls.on("error", () => {});
      const { port } = other.address() as AddressInfo;
      for (let n = 0; n < 100; n++) tls.write(offerOf(port));
    });
  });
  await once(first.listen(0, "127.0.0.1"), "listening");
  const socket = connect({ host: "127.0.0.1", port: (first.address() as AddressInfo).port });
  await once(socket, "connect");
  const channel = await manager("taker").connect(streamOf(socket), keys, {
    signal: AbortSignal.timeout(9000),
    plain: true,
  });
  const heard = new Heard();
  channel.start(heard);
  const { code, message } = await heard.ended;
  socket.destroy();
  assert.equal(code, "PEER_MISBEHAVED");
  assert.match(message, /twice/);
  assert.ok(called.size <= 2, `${called.size - 1} connections for chunks`);
  for (const one of called) one.destroy();
});

test("a giver cannot have its taker call a port of the system's own services", async () => {
  for (const [port, calls] of [
    [22, []],
    [1023, []],
    [1024, [1024]],
  ] as const) {
    const [here, there] = duplexPair();
    const called: number[] = [];
    const channel = new PeerChannel({
      socket: here,
      role: "taker",
      publicId: "",
      peerId: "",
      publicKey: new Uint8Array(),
      path: "lan",
      remoteAddress: "127.0.0.1",
      suite: "",
      mayBePlain: true,
      clock: new SystemClock(),
      dialPlain: (_channel, at) => void called.push(at),
    });
    const heard = new Heard();
    channel.start(heard);
    there.write(offerOf(port));
    there.write(encodeFrame(FRAME.end, id));
    assert.equal((await heard.next()).type, FRAME.end, "the channel goes on");
    assert.deepEqual(called, calls);
    channel.close();
    there.destroy();
  }
});

test("local is what stays on the machine or its network", () => {
  assert.ok(isLocal("lan", "192.168.1.7"));
  assert.ok(isLocal("direct", "127.0.0.1") && isLocal("direct", "::1") && isLocal("direct", "::ffff:127.0.0.1"));
  assert.ok(
    !isLocal("direct", "192.168.1.7") && !isLocal("relay-udp", "10.0.0.1") && !isLocal("direct", "127.evil.example"),
  );
});
