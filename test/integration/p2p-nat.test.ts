/** Real routers and NATs in network namespaces, small: `npm run accept p2p` has every kind. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { askAgent, type Said, startAgent } from "../support/p2p/agent.ts";
import { natRig, noNatRig, noUpnpRig } from "../support/rigs.ts";
import type { Outcome } from "../support/scenarios/outcome.ts";
import { natTypes } from "../support/scenarios/p2p-nat-type.ts";
import {
  badNeighbour,
  killedMapping,
  mappedPort,
  movedRouter,
  privateOutside,
  takenPort,
} from "../support/scenarios/p2p-upnp.ts";
import { missing } from "../support/tools.ts";

function met(outcome: Outcome): void {
  assert.ok(outcome.ok, JSON.stringify(outcome.values, undefined, 2));
}

suite("behind real NATs", { concurrency: true, skip: noNatRig() || missing("turnutils_natdiscovery") }, () => {
  test("the kind is the one that coturn's natdiscovery tells", async () => met(await natTypes([["full", "sym"]])));

  test("a host tells its own addresses, and the rig comes down", async () => {
    let namespace = "";
    {
      await using rig = await natRig("cone", "none", { ipv6: true });
      namespace = rig.namespace("A");
      assert.deepEqual((await askAgent(rig, "A", "addresses"))["addresses"], [
        { address: "10.1.0.2", kind: "lan" },
        { address: "2a00:db8:1::2", kind: "ipv6" },
      ]);
      assert.deepEqual((await askAgent(rig, "B2", "addresses"))["addresses"], [
        { address: "2a00:db8:2::3", kind: "ipv6" },
        { address: "100.200.21.3", kind: "direct" },
      ]);
    }
    await using other = await natRig("cone", "cone");
    const { stdout } = await other.run("srv", "ip", ["netns", "list"]).finished;
    assert.ok(!stdout.includes(`${namespace} `) && stdout.includes(other.namespace("A")), stdout);
  });
});

suite("a real TURN server, from where UDP is blocked", { skip: noNatRig() }, () => {
  test("datagrams go out from the relay and come back, over TCP and TLS; what is refused is said", async () => {
    await using rig = await natRig("udpblock", "cone");
    const { username, credential } = rig.turn;
    const [host = "", port = ""] = rig.otherStun.split(":");
    const stun = [host, port];
    const ca = join(rig.folder, "turn-cert.pem");
    const tls = "turns:100.200.0.10:5349";
    const agents = [
      startAgent(rig, "A", "turn", rig.turn.url, username, credential, ...stun),
      startAgent(rig, "A", "turn", tls, username, credential, ...stun, ca),
    ];
    const isSeen = (line: Said) => "mapped" in line || "refused" in line;
    for (const agent of agents) {
      const { mapped } = await agent.hear("the STUN server's answer", isSeen);
      assert.deepEqual(mapped, agent.said[0]?.["relayed"]);
    }
    const [wrong, untrusted] = await Promise.all([
      askAgent(rig, "A2", "turn", rig.turn.url, username, "wrong", ...stun),
      askAgent(rig, "A2", "turn", tls, username, credential, ...stun),
    ]);
    assert.match(String(wrong["refused"]), /username and credential are not right/);
    assert.match(String(untrusted["refused"]), /cannot be reached: self-signed certificate/);
    await rig.stopTurn();
    for (const agent of agents) await agent.hear("the end", (line) => "ended" in line);
  });
});

suite("behind a real router", { concurrency: true, skip: noUpnpRig() }, () => {
  test("a port is mapped, renewed, reached from outside and removed (IGDv2)", async () =>
    met(await mappedPort("IGDv2")));
  test("a port is mapped, renewed, reached from outside and removed (NAT-PMP)", async () =>
    met(await mappedPort("NAT-PMP")));
  test("what a killed run has left open is closed by the next (IGDv2)", async () => met(await killedMapping("IGDv2")));
  test("what a killed run has left open is closed by the next (NAT-PMP)", async () =>
    met(await killedMapping("NAT-PMP")));
  test("another port is taken where one is taken (IGDv1)", async () => met(await takenPort("IGDv1")));
  test("a private address outside is not called reachable (IGDv2)", async () => met(await privateOutside("IGDv2")));
  test("a neighbour who pretends to be a router does no harm", async () => met(await badNeighbour()));
  test("a router that reboots and moves is noticed (NAT-PMP)", async () => met(await movedRouter("NAT-PMP")));
});
