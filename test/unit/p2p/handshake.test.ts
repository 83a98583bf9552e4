/** Those who come and do nothing, or too slowly, or something else: each ends, in time, and alone. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { failure } from "../../../src/daemon/core/errors.ts";
import { publicKeyOf } from "../../../src/daemon/p2p/channel/certificate.ts";
import { FRAME } from "../../../src/daemon/p2p/types.ts";
import { encodeFrame } from "../../support/arbitrary-frames.ts";
import { selfSigned } from "../../support/certificate.ts";
import { hostileTaker } from "../../support/hostile-peer.ts";
import { give, Heard, manager, openShare, someKeys, take } from "../../support/peer-pair.ts";
import { selfSignedRsa, TLS_OPTIONS } from "../../support/rsa-certificate.ts";
import { TestClock } from "../../support/test-clock.ts";

const codeOf = (error: Error) => (error as { code?: string }).code;

async function caller(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  await once(
    socket.on("error", () => {}),
    "connect",
  );
  return socket.resume();
}

async function tls(port: number, options: ConnectionOptions) {
  const socket = connectTls({ ...TLS_OPTIONS.modern, rejectUnauthorized: false, ...options, host: "127.0.0.1", port });
  await once(
    socket.on("error", () => {}),
    "secureConnect",
  );
  return socket.resume();
}

/** Waits until so many handshakes have set their limit. */
async function pending(clock: TestClock, count: number): Promise<void> {
  while (clock.pending < count) await new Promise((resolve) => void setImmediate(resolve));
}

test("half a hello, TLS without a proof, half a proof: after 10 s they are gone; meanwhile others are let in", async () => {
  const [clock, keys] = [new TestClock(), someKeys()];
  const giver = manager("giver", "modern", clock);
  await giver.start();
  await using giving = await give(giver, [openShare(keys)]);
  const half = await caller(giving.port);
  half.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
  const silent = await tls(giving.port, selfSignedRsa());
  const slow = await tls(giving.port, selfSignedRsa());
  slow.write(Buffer.from("snatch\x01\0 and half of"));
  await pending(clock, 3);
  const honest = await take(manager("taker"), giving.port, keys);
  await giving.next();
  const ends = [half, silent, slow].map((socket) => once(socket, "close"));
  await clock.advance(9_999);
  assert.equal(giving.counts.refused, 0);
  await clock.advance(1);
  await Promise.all(ends);
  for (let nth = 0; nth < 3; nth++) assert.equal(codeOf(await giving.nextRefusal()), "TIMED_OUT");
  assert.equal(honest.closed, false);
  honest.close();
});

test("a key that is none: refused before anything is said", async () => {
  await using giving = await give(manager("giver"), [openShare(someKeys())]);
  for (const own of [selfSigned(), selfSignedRsa("ed25519")]) {
    await tls(giving.port, own);
    const refusal = await giving.nextRefusal();
    assert.equal(codeOf(refusal), "TLS_FAILED");
    assert.match(refusal.message, /not RSA/);
  }
  await tls(giving.port, {});
  assert.match((await giving.nextRefusal()).message, /no certificate/);
  // OpenSSL does not even begin with a shorter one.
  assert.match(`${publicKeyOf(new X509Certificate(selfSignedRsa("rsa:1024").cert))}`, /1024 bits; 2048 to 8192/);
});

test("who is refused after a right proof is told why", async () => {
  const keys = someKeys();
  const full = failure("PEER_REFUSED", "3 peers fetch it already");
  const seen: string[] = [];
  const admit = (peerId: string) => {
    seen.push(peerId);
    return full;
  };
  const share = { keys, encryption: true, admit };
  await using giving = await give(manager("giver"), [share]);
  const taker = manager("taker");
  const heard = new Heard();
  (await take(taker, giving.port, keys)).start(heard);
  const reason = await heard.ended;
  assert.equal(reason.code, "PEER_REFUSED");
  assert.match(reason.message, /3 peers fetch it already/);
  assert.equal(await giving.nextRefusal(), full);
  assert.deepEqual(seen, [taker.peerId]);
});

test("a signal ends a handshake, and the stream with it", async () => {
  const stop = new AbortController();
  const [socket, server] = await silentPair();
  const reason = new Error("not wanted any more");
  const done = manager("taker").connect({ stream: socket, path: "lan", remoteAddress: "127.0.0.1" }, someKeys(), {
    signal: stop.signal,
    plain: false,
  });
  stop.abort(reason);
  await assert.rejects(done, reason);
  assert.ok(socket.destroyed);
  server.close();
});

test("a frame of 4 GiB ends the channel at its fifth byte; a byte at a time costs no more than the bytes", async () => {
  const keys = someKeys();
  await using giving = await give(manager("giver"), [openShare(keys)]);
  const large = await hostileTaker(giving.port, keys);
  const heard = new Heard();
  (await giving.next()).start(heard);
  large.write(Buffer.from([0xff, 0xff, 0xff, 0xff, FRAME.request]));
  const reason = await heard.ended;
  assert.equal(reason.code, "PEER_MISBEHAVED");
  assert.match(reason.message, /4294967295 bytes/);

  const slow = await hostileTaker(giving.port, keys);
  const patient = new Heard();
  (await giving.next()).start(patient);
  const frame = encodeFrame(FRAME.request, Buffer.alloc(28, 5));
  for (const byte of frame) slow.write(Buffer.of(byte));
  assert.deepEqual(await patient.next(), { type: FRAME.request, payload: Buffer.alloc(28, 5) });
  slow.destroy();
});

test("a peer that pings and does not read is answered once, and holds nobody up; one that is sent much is let go", async () => {
  const keys = someKeys();
  await using giving = await give(manager("giver"), [openShare(keys)]);
  const taker = await hostileTaker(giving.port, keys);
  taker.pause();
  const there = await giving.next();
  const heard = new Heard();
  there.start(heard);
  const block = Buffer.alloc(256 * 1024);
  // Whoever heeds the promise stops here.
  while (there.send(FRAME.data, Buffer.alloc(4), block) === undefined);
  for (let nth = 0; nth < 1000; nth++) taker.write(encodeFrame(FRAME.ping, Buffer.alloc(8, nth)));
  for (let nth = 0; nth < 1000; nth++) await heard.next();
  assert.equal(there.closed, false);
  // Whoever does not heed it is stopped.
  while (!there.closed) void there.send(FRAME.data, Buffer.alloc(4), block);
  const waiting = /does not read: (\d+) bytes/.exec((await heard.ended).message)?.[1];
  assert.ok(Number(waiting) < 3 * 1024 * 1024, `${waiting} bytes were kept for it`);
  taker.destroy();
});

async function silentPair() {
  const { createServer } = await import("node:net");
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const socket = await caller((server.address() as { port: number }).port);
  return [socket.pause(), server] as const;
}
