/** Channels between two ends on loopback: what each may send arrives, in both suites, over TLS and in the clear. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { PeerSuite } from "../../../src/daemon/core/peers.ts";
import { FRAME } from "../../../src/daemon/p2p/types.ts";
import { give, Heard, manager, openShare, someKeys, take } from "../../support/peer-pair.ts";

const SUITES = { modern: "TLS_AES_256_GCM_SHA384", classic: "DHE-RSA-AES256-SHA256" } as const;

const number = (...values: number[]) => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
};

for (const suite of Object.keys(SUITES) as PeerSuite[]) {
  test(`${suite}: both prove the code and know each other; frames go both ways`, async () => {
    const [giver, taker, keys] = [manager("giver", suite), manager("taker", suite), someKeys()];
    await using giving = await give(giver, [openShare(someKeys()), openShare(keys)]);
    const here = await take(taker, giving.port, keys);
    const there = await giving.next();
    assert.equal(here.suite, SUITES[suite]);
    assert.equal(there.suite, SUITES[suite]);
    assert.equal(here.peerId, giver.peerId);
    assert.equal(there.peerId, taker.peerId);
    assert.deepEqual(Buffer.from(there.publicKey), Buffer.from(taker.publicKey));
    assert.equal(there.publicId, keys.publicId);
    assert.equal(here.mayBePlain, false);
    const [heardHere, heardThere] = [new Heard(), new Heard()];
    here.start(heardHere);
    there.start(heardThere);

    void here.send(FRAME.cancel, number(7));
    assert.deepEqual(await heardThere.next(), { type: FRAME.cancel, payload: number(7) });
    const ping = randomBytes(8);
    void here.send(FRAME.ping, ping);
    assert.deepEqual(await heardHere.next(), { type: FRAME.pong, payload: ping });
    const chunk = randomBytes(256 * 1024);
    for (let part = 0; part < 8; part++) await there.send(FRAME.data, number(3), chunk);
    void there.send(FRAME.end, number(3));
    assert.deepEqual(await heardHere.next(), { type: FRAME.end, payload: number(3) });
    assert.ok(heardHere.bytes(3).equals(Buffer.concat(Array.from({ length: 8 }, () => chunk))));

    there.close(failure("PEER_REFUSED", "enough"));
    const reason = await heardHere.ended;
    assert.equal(reason.code, "PEER_REFUSED");
    assert.match(reason.message, /enough/);
    assert.equal(here.closed, true);
    assert.equal((await heardThere.ended).code, "PEER_REFUSED");
    assert.equal(here.send(FRAME.cancel, number(7)), undefined);
  });
}

test("chunks over TLS come in memory that is used again and again, whole and in order", async () => {
  const [giver, taker, keys] = [manager("giver"), manager("taker"), someKeys()];
  await using giving = await give(giver, [openShare(keys)]);
  const here = await take(taker, giving.port, keys);
  const there = await giving.next();
  const heard = new Heard();
  const memories = new Set<ArrayBufferLike>();
  let pieces = 0;
  here.start({
    frame: (type, payload) => heard.frame(type, payload),
    data: (id, bytes) => {
      memories.add(bytes.buffer);
      pieces++;
      heard.data(id, bytes);
    },
    closed: (reason) => heard.closed(reason),
  });
  there.start(new Heard());
  const sent = randomBytes(1024 * 1024);
  for (let at = 0; at < sent.length; at += 200_000)
    await there.send(FRAME.data, number(3), sent.subarray(at, at + 200_000));
  void there.send(FRAME.end, number(3));
  assert.deepEqual(await heard.next(), { type: FRAME.end, payload: number(3) });
  assert.ok(heard.bytes(3).equals(sent));
  assert.ok(pieces >= 64, `${pieces} pieces`);
  // What had come before it was known that it can be done is the exception.
  assert.ok(memories.size < 16, `${memories.size} memories for ${pieces} pieces`);
  there.close(failure("PEER_REFUSED", "enough"));
  assert.equal((await heard.ended).code, "PEER_REFUSED");
});
