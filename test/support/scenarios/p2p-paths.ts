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
  readonly mode?: PeerMode;
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
];

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
    const name = `${pair.giver}/${pair.taker}${pair.mode ? ` ${pair.mode}` : ""}`;
    try {
      await tryPair(name, pair, options, findings);
    } catch (error) {
      findings.expect(false, `${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return findings.outcome();
}

async function tryPair(
  name: string,
  { giver, taker, mode = "auto", paths }: NatPair,
  { bytes, signalDelayMs }: { readonly bytes: number; readonly signalDelayMs: number },
  findings: Findings,
): Promise<void> {
  await using rig = await natRig(giver, taker);
  const hub = new MemorySignalling(signalDelayMs);
  const secret = randomBytes(16).toString("hex");
  await using gives = startPeer(rig, "A", hub, { role: "giver", secret, mode });
  await gives.next("ready");
  await using takes = startPeer(rig, "B", hub, { role: "taker", secret, mode, bytes });
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
