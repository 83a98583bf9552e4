/** A taker that sends anything at all: the giver neither breaks nor grows, and serves the next one. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { FRAME, type FrameType } from "../../src/daemon/p2p/types.ts";
import { shareFixture, unbroken } from "../support/p2p/share-fixture.ts";
import { numbers, requestOf } from "../support/p2p/taking.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SIZE = 3_000_000;

const id = fc.integer({ min: 0, max: 5 });
const number = fc.oneof(id, fc.integer({ min: 0, max: SIZE + 10 }), fc.constantFrom(0xffff_ffff, 0x8000_0000));
const frame: fc.Arbitrary<readonly [FrameType, Uint8Array]> = fc.oneof(
  fc.tuple(id, id, number, number, number).map(([...all]) => [FRAME.request, requestOf(...all)] as const),
  fc.tuple(id, number).map(([...all]) => [FRAME.credit, numbers(...all)] as const),
  id.map((one) => [FRAME.cancel, numbers(one)] as const),
  number.map((from) => [FRAME.catalogueRequest, numbers(from)] as const),
  fc.constantFrom([FRAME.complete, new Uint8Array()] as const, [FRAME.ping, new Uint8Array(8)] as const),
  fc.tuple(fc.constantFrom(...Object.values(FRAME)), fc.uint8Array({ minLength: 4, maxLength: 40 })),
);

test("whatever a taker sends, others are served and nothing is left of it", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "f");
  await writeFile(path, Buffer.alloc(SIZE, 7));
  const { state } = await fixture.shares.share([path], {}, unbroken());
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 40 }), fc.boolean(), async (frames, cut) => {
      const bad = fixture.network.call(state.id, `bad ${run++}`);
      // It counts what comes, and believes nothing.
      bad.peer.data = () => {};
      bad.peer.frame = () => {};
      for (const [type, payload] of frames) void bad.pair.taker.send(type, payload);
      const good = fixture.network.call(state.id, "good");
      const taken = await good.peer.take(0, 1000, 300_000);
      assert.ok(taken.equals(Buffer.alloc(300_000, 7)));
      good.peer.channel.close();
      if (cut) bad.pair.cut();
      else bad.pair.taker.close();
      await Promise.all([bad.peer.untilClosed(), good.peer.untilClosed()]);
      while (fixture.seeder.peerCount(state.id) > 0) await new Promise((done) => void setImmediate(done));
    }),
    { numRuns: 150 },
  );
  const [after] = await fixture.shares.shares();
  assert.equal(after?.problem, undefined);
});
