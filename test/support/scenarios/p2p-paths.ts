/**
 * Two peers behind NATs of every kind, as processes in network namespaces of their own: each pair has to find a path, prove
 * the code inside it and move its bytes, by the path that is the best one possible. Then the relay is ended in the middle of
 * a transfer: it has to be told soon, as an error that says to try again, and to work again when the relay is back.
 */
import { randomBytes } from "node:crypto";
import type { PeerMode, PeerPath } from "../../../src/daemon/core/peers.ts";
import { MemorySignalling } from "../p2p/memory-signalling.ts";
import { startPeer } from "../p2p/peer-process.ts";
import { type NatKind, natRig } from "../rigs.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Two NATs, and what is to come of them. */
export interface NatPair {
  readonly giver: NatKind;
  readonly taker: NatKind;
  /** Of both, or of each. Default "auto". */
  readonly mode?: PeerMode | { readonly giver: PeerMode; readonly taker: PeerMode };
  /** Both have global IPv6 addresses behind a firewall, or the giver's has none. */
  readonly ipv6?: "firewalls" | "open";
  /** What goes to STUN servers by TCP is lost at both ends: most servers there are speak UDP alone. */
  readonly silentStunTcp?: true;
  /** The taker is told by a person where the giver is. */
  readonly isTold?: true;
  /** Empty: there must be none. */
  readonly paths: readonly PeerPath[];
}

/** Every kind that the issue names, and some more. UDP blocked alone does not keep TCP from being punched. */
export const NAT_PAIRS: readonly NatPair[] = [
  { giver: "cone", taker: "cone", paths: ["punched"] },
  { giver: "full", taker: "restricted", paths: ["punched"] },
  { giver: "cone", taker: "sym", paths: ["relay-udp"] },
  { giver: "sym", taker: "sym", paths: ["relay-udp"] },
  { giver: "udpblock", taker: "cone", paths: ["punched"] },
  { giver: "udpblock", taker: "sym", paths: ["relay-tcp"] },
  { giver: "udpblock", taker: "udpblock", mode: "relay-only", paths: ["relay-tcp"] },
  { giver: "cone", taker: "cone", mode: "relay-only", paths: ["relay-udp"] },
  { giver: "none", taker: "sym", paths: ["direct"] },
  { giver: "firewall", taker: "none", paths: ["direct"] },
  { giver: "sym", taker: "none", paths: ["direct"] },
  { giver: "sym", taker: "sym", ipv6: "firewalls", paths: ["punched"] },
  { giver: "sym", taker: "sym", ipv6: "firewalls", silentStunTcp: true, paths: ["punched"] },
  { giver: "sym", taker: "sym", ipv6: "open", paths: ["ipv6"] },
];

/** Modes that differ, and what they rule out, in both directions. */
export const MODE_PAIRS: readonly NatPair[] = [
  { giver: "none", taker: "none", isTold: true, paths: ["direct"] },
  { giver: "none", taker: "none", mode: { giver: "lan-only", taker: "auto" }, isTold: true, paths: [] },
  { giver: "none", taker: "none", mode: { giver: "auto", taker: "lan-only" }, isTold: true, paths: [] },
  { giver: "none", taker: "cone", mode: { giver: "relay-only", taker: "auto" }, paths: ["relay-udp"] },
  { giver: "none", taker: "cone", mode: { giver: "auto", taker: "relay-only" }, paths: ["relay-udp"] },
  { giver: "cone", taker: "cone", mode: "no-relay", paths: ["punched"] },
  { giver: "sym", taker: "sym", mode: { giver: "no-relay", taker: "auto" }, paths: [] },
  { giver: "sym", taker: "sym", mode: { giver: "auto", taker: "no-relay" }, paths: [] },
];

/** So long a race may take, and then says why nothing came of it, in milliseconds. */
const RACE_MS = 90_000;

const MIB = 1024 * 1024;

/** Moves so many bytes by each of the pairs. */
export async function natPaths(options: {
  readonly pairs: readonly NatPair[];
  readonly bytes: number;
  /** Of each signal: a DHT takes seconds. */
  readonly signalDelayMs: number;
}): Promise<Outcome> {
  const findings = new Findings();
  for (const pair of options.pairs) {
    const name = nameOf(pair);
    try {
      await tryPair(name, pair, options, findings);
    } catch (error) {
      findings.expect(false, `${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return findings.outcome();
}

/** What a pair is called. */
export function nameOf({ giver, taker, mode, ipv6, silentStunTcp, isTold }: NatPair): string {
  const modes = typeof mode === "object" ? `${mode.giver} to ${mode.taker}` : mode;
  return [`${giver}/${taker}`, modes, ipv6 && `IPv6 ${ipv6}`, silentStunTcp && "STUN by UDP alone", isTold && "told"]
    .filter(Boolean)
    .join(" ");
}

async function tryPair(
  name: string,
  { giver, taker, mode = "auto", ipv6, silentStunTcp, isTold, paths }: NatPair,
  { bytes, signalDelayMs }: { readonly bytes: number; readonly signalDelayMs: number },
  findings: Findings,
): Promise<void> {
  await using rig = await natRig(giver, taker, { ipv6: ipv6 !== undefined });
  if (ipv6 === "open") await rig.run("nA", "nft", ["delete", "table", "ip6", "firewall"]).finished;
  for (const router of silentStunTcp ? (["nA", "nB"] as const) : [])
    await rig.run(router, "nft", ["insert", "rule", "ip", "nat", "forward", "tcp", "dport", "3478", "drop"]).finished;
  const modes = typeof mode === "object" ? mode : { giver: mode, taker: mode };
  const hub = new MemorySignalling(signalDelayMs);
  const secret = randomBytes(16).toString("hex");
  await using gives = startPeer(rig, "A", hub, { role: "giver", secret, mode: modes.giver });
  await gives.next("ready");
  const explicit = isTold ? [`${rig.address("A")}:${(await gives.next("listening")).port}`] : [];
  await using takes = startPeer(rig, "B", hub, { role: "taker", secret, mode: modes.taker, bytes, explicit });
  if (paths.length === 0) {
    const { code, message } = await takes.next("problem", RACE_MS);
    const reached = takes.news.find(({ news }) => news === "connected");
    findings.note(name, `${code}: ${message}`);
    findings.expect(reached === undefined, `${name}: there is a path all the same: ${JSON.stringify(reached)}`);
    return;
  }
  const { path, ms } = await takes.next("connected");
  const fetched = await takes.next("fetched", 120_000);
  const given = await gives.next("connected");
  const rate = fetched.bytes / MIB / fetched.seconds;
  findings.note(name, `${path}, ${rate.toFixed(0)} MiB/s, channel after ${ms} ms, taker ${fetched.rssMiB} MiB RSS`);
  findings.expect(paths.includes(path), `${name}: the path is ${path}, not ${paths.join(" or ")}`);
  findings.expect(fetched.bytes === bytes, `${name}: ${fetched.bytes} bytes came`);
  // "direct" is called "mapped" only where a router leads to a private address.
  findings.expect(given.path === path, `${name}: the giver calls the path ${given.path}, the taker ${path}`);
}

/** The relay ends in the middle of a transfer, and comes back. */
export async function lostRelay(options: { readonly bytes: number; readonly killAfterMs: number }): Promise<Outcome> {
  const findings = new Findings();
  await using rig = await natRig("sym", "sym");
  const hub = new MemorySignalling(100);
  const secret = randomBytes(16).toString("hex");
  await using gives = startPeer(rig, "A", hub, { role: "giver", secret });
  await gives.next("ready");
  await using takes = startPeer(rig, "B", hub, { role: "taker", secret, bytes: options.bytes, retries: 3 });
  const { path } = await takes.next("connected");
  await new Promise((resolve) => setTimeout(resolve, options.killAfterMs));
  await rig.stopTurn();
  const killed = performance.now();
  const lost = await takes.next("lost", 30_000);
  const seconds = (performance.now() - killed) / 1000;
  await rig.startTurn();
  const back = performance.now();
  const fetched = await takes.next("fetched", 180_000);
  findings.note("path", path);
  findings.note("seconds until the loss was told", seconds.toFixed(1));
  findings.note("error", `${lost.kind} ${lost.code}: ${lost.message}`);
  findings.note("seconds from the relay's return to the end", ((performance.now() - back) / 1000).toFixed(1));
  findings.expect(path === "relay-udp", `the path was ${path}`);
  findings.expect(seconds < 15, `the loss was told after ${seconds.toFixed(1)} s`);
  findings.expect(lost.retryable && lost.kind === "NetworkError", "the error is not one to try again after");
  findings.expect(fetched.bytes === options.bytes, `${fetched.bytes} bytes came`);
  return findings.outcome();
}

/** Several takers at once, three on one host and two on another, behind the same NAT. */
export async function severalTakers(options: { readonly bytes: number }): Promise<Outcome> {
  const findings = new Findings();
  await using rig = await natRig("cone", "cone");
  await using stack = new AsyncDisposableStack();
  const hub = new MemorySignalling(100);
  const secret = randomBytes(16).toString("hex");
  const gives = stack.use(startPeer(rig, "A", hub, { role: "giver", secret }));
  await gives.next("ready");
  const takers = (["B", "B", "B", "B2", "B2"] as const).map((host) =>
    stack.use(startPeer(rig, host, hub, { role: "taker", secret, bytes: options.bytes })),
  );
  for (const [index, taker] of takers.entries()) {
    const { path, ms } = await taker.next("connected");
    const { bytes } = await taker.next("fetched", 120_000);
    findings.note(`taker ${index + 1}`, `${path}, channel after ${ms} ms`);
    findings.expect(path === "punched", `taker ${index + 1} came by ${path}`);
    findings.expect(bytes === options.bytes, `taker ${index + 1} got ${bytes} bytes`);
  }
  return findings.outcome();
}
