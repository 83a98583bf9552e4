/** Shares over real channels: memory that is used again never holds bytes that are still on their way. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { shareFixture, unbroken } from "../support/p2p/share-fixture.ts";
import { Taking } from "../support/p2p/taking.ts";
import { give, manager, openShare, streamOf } from "../support/peer-pair.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SIZE = 48 * 1024 * 1024;
const PEERS = 3;

for (const encryption of [true, false])
  test(`${PEERS} peers, of which each stops now and then, get right bytes ${encryption ? "over TLS" : "in the clear"}`, async () => {
    await using folder = await temporaryFolder();
    await using fixture = shareFixture(folder.path);
    const path = join(folder.path, "f");
    const whole = randomBytes(SIZE);
    await writeFile(path, whole);
    const { state } = await fixture.shares.share([path], { encryption }, unbroken());
    const publication = fixture.network.published.get(state.id) ?? assert.fail();
    const { keys } = publication.servable;
    await using giving = await give(manager("giver"), [openShare(keys, encryption)]);
    const takers = Array.from({ length: PEERS }, async (_, index) => {
      const socket = connect({ port: giving.port, host: "127.0.0.1", noDelay: true });
      const { signal } = new AbortController();
      const channel = await manager(`taker ${index}`).connect(streamOf(socket), keys, { signal, plain: !encryption });
      publication.give(await giving.next());
      const peer = new Taking(channel);
      // Buffers at the giver's end fill, and drain again.
      const pauses = setInterval(() => (socket.isPaused() ? socket.resume() : socket.pause()), 7 + index);
      try {
        const part = SIZE / 4;
        const parts = await Promise.all([0, 1, 2, 3].map((number) => peer.take(0, number * part, part)));
        assert.ok(Buffer.concat(parts).equals(whole));
      } finally {
        clearInterval(pauses);
        channel.close();
      }
    });
    await Promise.all(takers);
    assert.equal((await fixture.shares.shares())[0]?.sentBytes, PEERS * SIZE);
  });
