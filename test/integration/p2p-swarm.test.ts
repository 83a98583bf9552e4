/** Swarms and givers over real sockets, TLS and proofs. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { Plan } from "../../src/daemon/core/plan.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { makeCode, readCode } from "../../src/daemon/p2p/code.ts";
import { Seeder } from "../../src/daemon/p2p/give/seeder.ts";
import { deriveKeys } from "../../src/daemon/p2p/keys.ts";
import { PeerResolver } from "../../src/daemon/p2p/take/peer-resolver.ts";
import { Swarms } from "../../src/daemon/p2p/take/swarms.ts";
import type { Servable } from "../../src/daemon/p2p/types.ts";
import { type Content, makeContent, scriptGiver } from "../support/p2p/script-giver.ts";
import { SmallEngine } from "../support/p2p/small-engine.ts";
import { SocketNetwork } from "../support/p2p/socket-network.ts";
import { give, manager, openShare } from "../support/peer-pair.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { waitFor } from "../support/wait.ts";

const secret = readCode(makeCode());
const keys = deriveKeys(secret);
const url = `snatch:share/${keys.publicId}`;
const content = makeContent([["film.mkv", randomBytes(24 * 1024 * 1024 + 5)]], { chunkSize: 1024 * 1024 });

function servable({ offer, catalogue, files }: Content, onFetched: () => void): Servable {
  return {
    keys,
    offer: () => offer,
    catalogue: async () => catalogue,
    held: () => "all",
    onGained: () => () => undefined,
    read: async (file, position, length) => files[file]?.subarray(position, position + length) ?? Buffer.alloc(0),
    maxPeers: 10,
    encryption: true,
    sent: () => undefined,
    fetched: () => {
      onFetched();
      return true;
    },
  };
}

test("a file over TLS from two givers, one of whom lies: right bytes, and the honest one counts a fetch", async () => {
  const logger = new RecordLogger();
  const clock = new SystemClock();
  const share = openShare(keys);
  await using honest = await give(manager("honest"), [share]);
  await using lying = await give(manager("lying"), [share]);
  await using seeder = new Seeder({ clock, logger, uploadLimit: 0 });
  let fetched = 0;
  const given = servable(content, () => void fetched++);
  const liar = scriptGiver(content, { lies: (chunk) => chunk % 3 === 0 });
  void honest.next().then((channel) => seeder.serve(channel, given));
  void lying.next().then((channel) => liar.give(channel, { cut: () => channel.close() } as never));
  const secrets = { get: () => secret, keep: () => undefined };
  const network = new SocketNetwork(manager("taker"), [honest.port, lying.port]);
  await using swarms = new Swarms({ network, secrets, clock, logger, maxPeers: () => 10, give: () => undefined });
  const resolver = new PeerResolver({
    swarms: () => Promise.resolve(swarms),
    secrets,
    settings: () => ({ enabled: true, allowRemote: false }),
  });
  const plan = (await resolver.resolve({ url, mirrors: [], options: {} }, new AbortController().signal)) as Plan;
  assert.ok(plan.manifest);
  await waitFor("both", () => honest.counts.accepted === 1 && lying.counts.accepted === 1);
  const engine = new SmallEngine(swarms.peer(`${url}/0`), plan.manifest, { lanes: 4, holdEvery: 50 });
  assert.ok((await engine.all()).equals(content.files[0] ?? Buffer.alloc(0)));
  await waitFor("the fetch was counted", () => fetched === 1);
  assert.equal(fetched, 1);
  assert.ok(engine.rejected === 0 || liar.saw.reasons.length > 0, "who was caught is told, and let go");
});
