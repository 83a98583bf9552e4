/**
 * The kind of NAT as it is found out here, and by coturn's turnutils_natdiscovery, which is another's implementation of the
 * same tests (RFC 5780), behind each kind of NAT of the rig; and how well an outer TCP port can be foretold there.
 */
import type { NatBehaviour, NatType } from "../../../src/daemon/core/peers.ts";
import { askAgent } from "../p2p/agent.ts";
import { type NatHost, type NatKind, type NatRig, natRig } from "../rigs.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** The kinds, two at a time since the rig has two sides, and their names. */
const PAIRS: readonly (readonly [NatKind, NatKind])[] = [
  ["cone", "sym"],
  ["full", "restricted"],
  ["none", "firewall"],
  ["udpblock", "cgn"],
];

const NAMES: Readonly<Record<NatKind, NatType>> = {
  cone: "port-restricted-cone",
  restricted: "restricted-cone",
  full: "full-cone",
  sym: "symmetric",
  udpblock: "udp-blocked",
  cgn: "port-restricted-cone",
  none: "none",
  firewall: "firewall",
};

/** Every kind, or those pairs that are asked for. */
export async function natTypes(pairs: readonly (readonly [NatKind, NatKind])[] = PAIRS): Promise<Outcome> {
  const findings = new Findings();
  const [first = ["cone", "sym"] as const] = pairs;
  await using rig = await natRig(...first);
  for (const pair of pairs) {
    if (pair !== first) await rig.flip(...pair);
    await Promise.all([examine(rig, "A", pair[0], findings), examine(rig, "B", pair[1], findings)]);
  }
  return findings.outcome();
}

async function examine(rig: NatRig, host: "A" | "B", kind: NatKind, findings: Findings): Promise<void> {
  const [ours, alone, theirs] = await Promise.all([
    askAgent(rig, host, "classify", rig.stun),
    // The same of the other addresses and ports of the server, two of them at once.
    askAgent(rig, host, "classify", "100.200.0.10:3479", rig.otherStun),
    discovered(rig, host),
  ]);
  const { natType, mapping, filtering } = ours;
  findings.note(
    kind,
    `${natType}, mapping ${mapping}, filtering ${filtering}; natdiscovery: ${theirs.mapping}, ${theirs.filtering}`,
  );
  findings.expect(natType === NAMES[kind], `${kind}: told ${natType}, is ${NAMES[kind]}`);
  findings.expect(mapping === theirs.mapping, `${kind}: mapping ${mapping}, natdiscovery says ${theirs.mapping}`);
  findings.expect(
    filtering === theirs.filtering,
    `${kind}: filtering ${filtering}, natdiscovery says ${theirs.filtering}`,
  );
  findings.expect(alone["natType"] === natType, `${kind}: two servers tell ${alone["natType"]}, one ${natType}`);
  const address = (ours["external"] as { address?: string } | undefined)?.address;
  const outside = kind === "udpblock" ? undefined : rig.outside(host);
  findings.expect(address === outside, `${kind}: seen from ${address}, is ${outside}`);

  // Three connections at once from one local port: what simultaneous open stands on.
  const servers = [rig.stun, rig.otherStun, "100.200.0.11:3479"];
  const { ports } = await askAgent(rig, host, "tcp", "0", ...servers);
  const seen = ports as readonly { readonly port: number; readonly localPort: number }[];
  const foretold =
    seen.length === 3 && seen.every(({ port, localPort }) => port === localPort && port === seen[0]?.port);
  findings.note(`${kind}: local TCP port ${seen[0]?.localPort} is seen as`, seen.map(({ port }) => port).join(", "));
  findings.expect(foretold === (kind !== "sym"), `${kind}: TCP ports ${JSON.stringify(seen)}`);
}

/** What turnutils_natdiscovery says, in the words of core/peers.ts. Nothing comes back: nothing is told. */
async function discovered(
  rig: NatRig,
  host: NatHost,
): Promise<{ readonly mapping: NatBehaviour | undefined; readonly filtering: NatBehaviour | undefined }> {
  const [address = ""] = rig.stun.split(":");
  const ask = async (flag: "-m" | "-f"): Promise<NatBehaviour | undefined> => {
    const { stdout } = await rig.run(host, "turnutils_natdiscovery", [flag, address], { timeoutMs: 60_000 }).finished;
    const [, words] = /NAT with (.+) Dependent (?:Mapping|Filtering)!/.exec(stdout) ?? [];
    if (/Endpoint Independent (?:Mapping|Filtering)!/.test(stdout)) return "endpoint-independent";
    if (words === "Address and Port") return "address-and-port-dependent";
    return words === "Address" ? "address-dependent" : undefined;
  };
  const [mapping, filtering] = await Promise.all([ask("-m"), ask("-f")]);
  return { mapping, filtering };
}
