/**
 * Two machines on one local network, which find each other by multicast DNS alone: no DHT, no servers. How long it takes from
 * the start of `snatchctl fetch` to the file in its place, with daemons that run.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFile, sha256Of } from "../files.ts";
import { median } from "../median.ts";
import { Home } from "../program.ts";
import { natRig } from "../rigs.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Packets that leave the local network, by a host's own count. */
const WATCH = `table inet watch {
  chain out {
    type filter hook output priority 0
    ip daddr != { 10.1.0.0/24, 224.0.0.0/4, 127.0.0.0/8, 255.255.255.255 } counter
    ip6 daddr != { ff00::/8, fe80::/10, ::1/128 } counter
  }
}
`;

/** What is fetched. */
export interface LanFetch {
  /** Of each file. */
  readonly bytes: number;
  /** Files, each by a code of its own. The first fetch makes the taker's key, and is told apart. */
  readonly runs: number;
  /** From the start of `snatchctl fetch` to the file, in milliseconds. */
  readonly boundMs: number;
}

/** Fetches so many files. */
export async function lanFetch({ bytes, runs, boundMs }: LanFetch): Promise<Outcome> {
  const findings = new Findings();
  await using rig = await natRig("cone", "cone");
  await using giver = await machine();
  await using taker = await machine();
  const giving = await giver.start([], ["ip", "netns", "exec", rig.namespace("A")]);
  const taking = await taker.start([], ["ip", "netns", "exec", rig.namespace("A2")]);
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const name = `shared-${run}.bin`;
    const file = join(giver.path, name);
    const out = join(taker.path, "out");
    await makeFile(file, bytes);
    const shared = await giver.ctl(["share", file, "--json"]);
    const [made] = shared.json();
    if (shared.code !== 0 || made === undefined) throw new Error(`share exited ${shared.code}: ${shared.stderr}`);
    const result = await taker.ctl(["fetch", "-", "-d", out, "--json"], { input: String(made["code"]) });
    const [session] = result.code === 0 ? result.json() : [];
    times.push(result.ms);
    findings.expect(result.code === 0, `fetch ${run} exited ${result.code}: ${result.stderr}`);
    if (result.code !== 0) break;
    findings.expect(String(session?.["via"]) === "lan", `the path is ${session?.["via"]}, not lan`);
    findings.expect((await sha256Of(join(out, name))) === (await sha256Of(file)), "the bytes are not right");
    await rm(out, { recursive: true });
  }
  const [first = 0, ...rest] = times;
  const typical = rest.length > 0 ? median(rest) : Number.POSITIVE_INFINITY;
  findings.note("bytes", bytes);
  findings.note("first fetch of all, in ms: the key is made, the port and mDNS open", Math.round(first));
  findings.note(`ms from the command to the file, median of ${rest.length}`, Math.round(typical));
  findings.note("each", rest.map((ms) => Math.round(ms)).join(", "));
  findings.expect(typical <= boundMs, `${Math.round(typical)} ms are more than ${boundMs}`);
  if (!findings.outcome().ok) {
    findings.note("log of the giver", giving.log().slice(-3000));
    findings.note("log of the taker", taking.log().slice(-3000));
  }
  return findings.outcome();
}

/**
 * The mode "lan-only" with a DHT, STUN and TURN that are configured and there: not a packet leaves the network. The same with
 * the mode "auto" shows that such packets are seen.
 */
export async function nothingLeaves(options: { readonly bytes: number }): Promise<Outcome> {
  const findings = new Findings();
  for (const mode of ["lan-only", "auto"] as const) {
    await using rig = await natRig("cone", "cone");
    const { url, username, credential } = rig.turn;
    const outside = [
      `mode = "${mode}"`,
      `stun = ["${rig.stun}", "${rig.otherStun}"]`,
      `turn = [{ url = "${url}", username = "${username}", credential = "${credential}" }]`,
    ];
    const dht = ["[p2p.dht]", `bootstrap = ["${rig.address("srv")}:25401"]`];
    await using giver = await machine(outside, dht);
    await using taker = await machine(outside, dht);
    for (const host of ["A", "A2"] as const) {
      const { code, stderr } = await rig.run(host, "nft", ["-f", "-"], { input: WATCH }).finished;
      if (code !== 0) throw new Error(`nft exited ${code}: ${stderr}`);
    }
    await giver.start([], ["ip", "netns", "exec", rig.namespace("A")]);
    await taker.start([], ["ip", "netns", "exec", rig.namespace("A2")]);
    const file = join(giver.path, "shared.bin");
    await makeFile(file, options.bytes);
    const [made] = (await giver.ctl(["share", file, "--json"])).json();
    const input = String(made?.["code"]);
    const result = await taker.ctl(["fetch", "-", "-d", join(taker.path, "out"), "--json"], { input });
    findings.expect(result.code === 0, `${mode}: fetch exited ${result.code}: ${result.stderr}`);
    let packets = 0;
    for (const host of ["A", "A2"] as const) {
      const { stdout } = await rig.run(host, "nft", ["list", "table", "inet", "watch"]).finished;
      for (const [, count = "0"] of stdout.matchAll(/counter packets (\d+)/g)) packets += Number(count);
    }
    findings.note(`packets that left the network, ${mode}`, packets);
    findings.expect(mode === "lan-only" ? packets === 0 : packets > 0, `${mode}: ${packets} packets left`);
  }
  return findings.outcome();
}

/** A daemon's home. @param more - of the section p2p */
function machine(
  more: readonly string[] = ["stun = []"],
  dht: readonly string[] = ["[p2p.dht]", "enabled = false"],
): Promise<Home> {
  const config = ['log.level = "debug"', "[p2p]", "mdns = true", "upnp = false", "nat_pmp = false", ...more, ...dht];
  return Home.create({ config: config.join("\n") });
}
