/** What others name is not called because they name it: a code may have been given away, and who has it is no friend. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import type { PeerMode } from "../../../src/daemon/core/peers.ts";
import { isLocal } from "../../../src/daemon/p2p/channel/plain.ts";
import {
  allowsTcp,
  mayBeAskedByIce,
  mayBeCalled,
  pathFrom,
  pathTo,
} from "../../../src/daemon/p2p/network/reach-policy.ts";
import { packMessage } from "../../../src/daemon/p2p/path/knock.ts";
import type { Presence } from "../../../src/daemon/p2p/types.ts";
import { MemorySignalling } from "../../support/p2p/memory-signalling.ts";
import { someKeys, somePeerId } from "../../support/p2p/share-keys.ts";
import { emptyServable, TestTaker, testNetwork } from "../../support/p2p/test-network.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { waitFor } from "../../support/wait.ts";

const NEVER = new AbortController().signal;
const own = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4");

/** A service that nobody of ours is to call. */
async function victim(host: string) {
  let calls = 0;
  const server = createServer((socket) => {
    calls += 1;
    socket.on("error", () => undefined).destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    calls: () => calls,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

for (const host of ["100.64.9.9", "10.231.7.9", "192.168.213.9", "172.29.200.1"])
  test(`${host}, which is in none of our networks, is not the local network`, () => {
    assert.ok(!isLocal(pathTo({ host, port: 1, kind: "direct" }), host));
    assert.ok(!isLocal(pathFrom(host, "172.16.0.2"), host));
    assert.ok(!allowsTcp("lan-only", host));
    assert.ok(!mayBeCalled({ host, port: 50_000 }));
  });

test("addresses under which clouds tell secrets, and other machines' own, are not called", () => {
  for (const host of ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200", "0.0.0.0", "::"]) {
    assert.ok(!mayBeCalled({ host, port: 80 }), host);
    assert.ok(!mayBeAskedByIce(host), host);
  }
  assert.ok(mayBeCalled({ host: "198.41.0.4", port: 443 }));
});

test("a taker calls no service of its own machine because a presence names it", { skip: !own }, async () => {
  await using service = await victim("127.0.0.1");
  const signalling = new MemorySignalling();
  const keys = someKeys();
  const presence: Presence = {
    ...{ peerId: somePeerId(), shares: true, natType: "unknown", capabilities: [], time: Date.now() },
    endpoints: [{ host: "127.0.0.1", port: service.port, kind: "direct" }],
  };
  signalling.announce(keys, () => presence);
  await using taker = await testNetwork({ signalling });
  await using _seek = await taker.network.seek(new TestTaker(keys));
  // It has been called where it may be by then, and asked to call.
  await waitFor("a knock", () => signalling.sent[0]);
  assert.equal(service.calls(), 0);
});

test("a giver that is asked to call back does not call services of its own machine", { skip: !own }, async () => {
  await using service = await victim(own?.address ?? "");
  const signalling = new MemorySignalling();
  const logger = new RecordLogger();
  const keys = someKeys();
  await using giver = await testNetwork({ signalling, logger });
  await using _share = await giver.network.publish(emptyServable(keys), (channel) => channel.close());
  const peerId = somePeerId();
  const presence: Presence = {
    ...{ peerId, shares: false, natType: "unknown", capabilities: ["reverse"], time: Date.now() },
    endpoints: [{ host: own?.address ?? "", port: service.port, kind: "lan" }],
  };
  signalling.announce(keys, () => presence);
  const nonce = Buffer.alloc(32, "\r\nFLUSHALL");
  await signalling.send(keys, peerId, giver.peerId, packMessage({ knock: { nonce, reverse: true, punch: [] } }), NEVER);
  await waitFor("the end of the try", () => logger.lines.find(({ message }) => /could not be met/.test(message)));
  assert.equal(service.calls(), 0);
});

test("relay-only asks no STUN server", async () => {
  const servers = new Map<PeerMode, number>();
  const ask = async (mode: PeerMode) => {
    const stun = createSocket("udp4");
    stun.bind(0, "127.0.0.1");
    await once(stun, "listening");
    const first = new Promise<void>((resolve) =>
      stun.on("message", () => {
        servers.set(mode, (servers.get(mode) ?? 0) + 1);
        resolve();
      }),
    );
    const network = await testNetwork({ mode, stunServers: [`127.0.0.1:${stun.address().port}`] });
    const share = await network.network.publish(emptyServable(someKeys()), (channel) => channel.close());
    const end = async () => {
      await share[Symbol.asyncDispose]();
      await network[Symbol.asyncDispose]();
      stun.close();
    };
    return { first, end };
  };
  const relay = await ask("relay-only");
  const auto = await ask("auto");
  // Who asks does so at once: by then the other one had long done so.
  await auto.first;
  await Promise.all([relay.end(), auto.end()]);
  assert.equal(servers.get("relay-only"), undefined);
});
