/**
 * A port that a real router (miniupnpd) opens: from outside somebody reaches a listener behind it, the mapping is renewed,
 * another port is taken where the wanted one is another machine's, and nothing is left at the end.
 */
import { join } from "node:path";
import { askAgent, type Said, startAgent } from "../p2p/agent.ts";
import { type UpnpOptions, type UpnpRig, upnpRig } from "../rigs.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** A way to ask a router. */
export type RouterKind = "IGDv1" | "IGDv2" | "NAT-PMP";

const KINDS: Readonly<Record<RouterKind, UpnpOptions & { readonly way: string }>> = {
  IGDv1: { igd: 1, natPmp: false, way: "upnp" },
  IGDv2: { igd: 2, natPmp: false, way: "upnp" },
  "NAT-PMP": { upnp: false, way: "nat-pmp" },
};

/** Seconds; a mapping is renewed when half of it is over. */
const LEASE = 4;

/** A mapping from its making to its end. Both ways are tried, as by default; the router knows one. */
export async function mappedPort(kind: RouterKind): Promise<Outcome> {
  const findings = new Findings();
  const { way, ...options } = KINDS[kind];
  await using rig = await upnpRig(options);
  const agent = startAgent(rig, "c", "map", "upnp,nat-pmp", "0", String(LEASE));
  const state = await agent.hear("the mapping", ({ started }) => started === true);
  findings.note("mapped by", `${state["mappedBy"]}, ${state["externalIp"]} port ${state["externalPort"]}`);
  findings.expect(state["mappedBy"] === way, `mapped by ${state["mappedBy"]}, not ${way}: ${state["problem"]}`);
  findings.expect(state["reachable"] === true, `not reachable: ${state["problem"]}`);
  findings.expect(state["externalIp"] === rig.outside, `told ${state["externalIp"]}, is ${rig.outside}`);
  const port = Number(state["externalPort"]);
  const before = await knock(rig, port);
  findings.note("inbound from outside", before);
  findings.expect(before === "hello from inside", "nobody answered from inside");

  const first = await expiry(rig, port);
  const renewed = await waitFor("the renewal", async () => {
    const now = await expiry(rig, port);
    return now > first && now;
  });
  findings.note("lease renewed by", `${renewed - first} s`);
  await waitFor("the end of the first lease", () => Date.now() / 1000 > first + 1);
  findings.expect(
    (await rig.rules()).length === 1,
    `after the first lease the router has ${(await rig.rules()).length} rules`,
  );
  findings.expect((await knock(rig, port)) === "hello from inside", "after the first lease nobody gets in");

  const { stdout } = await agent.stop();
  const stopped = stdout.trim().split("\n").at(-1) ?? "{}";
  const removedMs = Number((JSON.parse(stopped) as Said)["ms"]);
  findings.note("removed in", `${Math.round(removedMs)} ms`);
  findings.expect(removedMs < 1000, "the end waited for the way that did not work");
  findings.expect((await rig.rules()).length === 0, `rules are left: ${(await rig.rules()).join(", ")}`);
  findings.expect((await knock(rig, port)) !== "hello from inside", "after the stop somebody gets in");
  return findings.outcome();
}

/** The wanted port leads to another machine already: another is taken, and the other machine keeps its own. */
export async function takenPort(kind: RouterKind): Promise<Outcome> {
  const findings = new Findings();
  const { way, ...options } = KINDS[kind];
  await using rig = await upnpRig(options);
  const held = await askAgent(rig, "c2", "hold", way, "45000", "45000");
  findings.expect(held["done"] === true, `the other machine got no port: ${held["problem"]}`);
  const agent = startAgent(rig, "c", "map", way, "45000", "600");
  const state = await agent.hear("the mapping", ({ started }) => started === true);
  findings.note("port instead of 45000", String(state["externalPort"]));
  findings.expect(typeof state["externalPort"] === "number" && state["externalPort"] !== 45000, `${state["problem"]}`);
  findings.expect((await knock(rig, Number(state["externalPort"]))) === "hello from inside", "nobody gets in");
  await agent.stop();
  const rules = await rig.rules();
  findings.expect(
    rules.length === 1 && /dnat (ip )?to 10\.77\.0\.3:45000/.test(rules[0] ?? ""),
    `left: ${rules.join(", ")}`,
  );
  return findings.outcome();
}

/** The router's address outside is private: it is not called reachable. */
export async function privateOutside(kind: RouterKind): Promise<Outcome> {
  const findings = new Findings();
  const { way, ...options } = KINDS[kind];
  await using rig = await upnpRig({ ...options, private: true });
  const agent = startAgent(rig, "c", "map", way, "0", "600");
  const state = await agent.hear("the state", ({ started }) => started === true);
  findings.note("told", String(state["problem"]));
  findings.expect(state["reachable"] === false, "it is called reachable");
  const said = String(state["problem"]);
  findings.expect(/private|no connection itself/.test(said), `it does not say why: ${said}`);
  await agent.stop();
  return findings.outcome();
}

/** The router reboots, and comes back with another address: both is noticed. */
export async function movedRouter(kind: RouterKind): Promise<Outcome> {
  const findings = new Findings();
  const { way, ...options } = KINDS[kind];
  await using rig = await upnpRig(options);
  const agent = startAgent(rig, "c", "map", way, "0", String(LEASE));
  const state = await agent.hear("the mapping", ({ started }) => started === true);
  const port = Number(state["externalPort"]);
  await rig.restart();
  findings.expect((await knock(rig, port)) !== "hello from inside", "the reboot did not forget the mapping");
  await waitFor("the mapping after the reboot", async () => (await knock(rig, port)) === "hello from inside");
  const before = agent.said.length;
  await rig.readdress("100.200.1.77");
  const moved = await agent.hear("the new address", ({ externalIp }) => externalIp === "100.200.1.77", before);
  findings.note("new address", `${moved["externalIp"]} port ${moved["externalPort"]}`);
  await agent.stop();
  return findings.outcome();
}

/** Killed, it leaves its port open on the router; started again, it has that one closed, and another opened. */
export async function killedMapping(kind: RouterKind): Promise<Outcome> {
  const findings = new Findings();
  const { way, ...options } = KINDS[kind];
  await using rig = await upnpRig(options);
  const map = ["map", way, "0", "600", join(rig.folder, "mapped-ports.json")];
  const killed = startAgent(rig, "c", ...map);
  const before = await killed.hear("the mapping", ({ started }) => started === true);
  await killed.kill();
  findings.note("left open by who was killed", (await rig.rules()).length);
  findings.expect((await rig.rules()).length === 1, "nothing was left open: there is nothing to close");
  const again = startAgent(rig, "c", ...map);
  const after = await again.hear("the mapping", ({ started }) => started === true);
  const rules = await rig.rules();
  findings.note("open after the next start", rules.length);
  findings.expect(before["internal"] !== after["internal"], "both have the same port");
  findings.expect(rules.length === 1, `the router has ${rules.length} rules: ${rules.join(", ")}`);
  findings.expect((await knock(rig, Number(after["externalPort"]))) === "hello from inside", "nobody gets in");
  await again.stop();
  findings.expect((await rig.rules()).length === 0, "rules are left at the end");
  return findings.outcome();
}

/** A neighbour answers searches for a router with nonsense: the real router is found all the same, and nothing stalls. */
export async function badNeighbour(): Promise<Outcome> {
  const findings = new Findings();
  await using rig = await upnpRig({ natPmp: false });
  const neighbour = startAgent(rig, "c2", "nonsense");
  await neighbour.hear("the neighbour", ({ listens }) => listens === true);
  const agent = startAgent(rig, "c", "map", "upnp", "0", "600");
  const state = await agent.hear("the mapping", ({ started }) => started === true);
  const answers = neighbour.said.filter(({ answered }) => answered !== undefined).length;
  findings.note("answers of the neighbour", answers);
  findings.note("longest stall", `${Math.round(Number(state["stalledMs"]))} ms`);
  findings.expect(answers > 0, "the neighbour was not asked");
  findings.expect(Number(state["stalledMs"]) < 1000, "the event loop stood still");
  findings.expect(state["mappedBy"] === "upnp", `not mapped: ${state["problem"]}`);
  await agent.stop();
  await neighbour.stop();
  return findings.outcome();
}

/** Connects from outside. @returns what was said; "" if nobody answers */
async function knock(rig: UpnpRig, port: number): Promise<string> {
  const script = `exec 3<>/dev/tcp/${rig.outside}/${port} && cat <&3`;
  return (await rig.run("x", "timeout", ["1", "bash", "-c", script]).finished).stdout.trim();
}

/** When the router forgets a port, in seconds since the epoch, by its lease file; 0: it is not there. */
async function expiry(rig: UpnpRig, port: number): Promise<number> {
  const line = (await rig.leases()).find((lease) => lease.startsWith(`TCP:${port}:`));
  return Number(line?.split(":")[4] ?? 0);
}
