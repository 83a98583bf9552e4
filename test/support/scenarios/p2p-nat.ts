/**
 * A file goes from one daemon to another by a code, each behind a NAT of its own; on request the relay or one of the two is
 * killed in the middle of it and comes back.
 */
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFile, sha256Of } from "../files.ts";
import { type Daemon, Home } from "../program.ts";
import { type NatKind, type NatRig, natRig } from "../rigs.ts";
import { requireTool } from "../tools.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Nodes of the DHT that both find each other by. */
const NODES = 8;

/** Packets of an address to others than coturn: it answers about the kind of NAT at the second port. */
const strayPackets = (address: string) =>
  `src host ${address} and (tcp or udp) and not dst port 3478 and not dst port 3479`;

/** What is to happen. */
export interface NatTransfer {
  readonly a: NatKind;
  readonly b: NatKind;
  readonly bytes: number;
  /** Paths that are right between two such NATs. */
  readonly paths: readonly string[];
  /** Who dies when a third of it is there, and comes back. */
  readonly killed?: "turn" | "giver" | "taker";
  /** Bytes a second, so that there is a middle. */
  readonly limit?: number;
  /** Of both. Default: all ways that there are. */
  readonly mode?: "auto" | "relay-only";
}

/** A side: a daemon in a namespace. */
interface Side extends AsyncDisposable {
  readonly home: Home;
  start(): Promise<Daemon>;
}

/** Runs one. */
export async function natTransfer(transfer: NatTransfer): Promise<Outcome> {
  const { a, b, bytes, paths, killed, limit = 0, mode = "auto" } = transfer;
  const findings = new Findings();
  await using rig = await natRig(a, b);
  const nodes = rig.run("srv", process.execPath, [
    join(import.meta.dirname, "../p2p/dht-program.ts"),
    rig.address("srv"),
    String(NODES),
  ]);
  const bootstrap = await firstLine(nodes.child.stdout);
  await using giver = await side(rig, "A", bootstrap, `mode = "${mode}"\nupload_limit = ${limit}`);
  await using taker = await side(rig, "B", bootstrap, `mode = "${mode}"`);
  const strays = mode === "relay-only" ? await listenFor(rig, "nA", strayPackets(rig.outside("A"))) : undefined;
  let giving = await giver.start();
  let taking = await taker.start();
  const file = join(giver.home.path, "shared.bin");
  await makeFile(file, bytes);
  const shared = await giver.home.ctl(["share", file, "--json"]);
  const [made] = shared.json();
  if (shared.code !== 0 || made === undefined) throw new Error(`share exited ${shared.code}: ${shared.stderr}`);
  const out = join(taker.home.path, "out");
  await mkdir(out);
  const started = performance.now();
  const fetching = taker.home.startCtl(["fetch", "-", "-d", out, "--json"], { input: String(made["code"]) });
  if (killed !== undefined) {
    const before = await waitFor("a third of the file", () => downloaded(taker.home, bytes / 3), 120_000);
    if (killed === "turn") {
      await rig.stopTurn();
      await rig.startTurn();
    } else if (killed === "giver") {
      await giving.kill();
      giving = await giver.start();
    } else {
      await taking.kill();
      taking = await taker.start();
    }
    // What was proved counts: a chunk that was on its way when it happened may not have been recorded.
    const after = await waitFor("the transfer goes on", () => downloaded(taker.home, 1), 120_000);
    findings.note("bytes that were there when it happened, and when it went on", `${before}, ${after}`);
    findings.expect(after >= before - 4 * 1024 * 1024, "what was there was fetched again");
  }
  const result = await fetching.finished;
  const seconds = (performance.now() - started) / 1000;
  const [session] = result.json();
  const via = (session?.["via"] ?? []) as readonly string[];
  findings.note("NATs", `${a}, ${b}`);
  findings.note("path", via.join(", "));
  findings.note("seconds from the code to the file", seconds.toFixed(1));
  findings.note("MB/s, with finding each other", (bytes / 1e6 / seconds).toFixed(1));
  findings.expect(result.code === 0, `fetch exited ${result.code}: ${result.stderr}`);
  findings.expect(via.length > 0 && via.every((path) => paths.includes(path)), `the path is ${via}, not ${paths}`);
  if (strays !== undefined) {
    const packets = await strays();
    findings.note("packets of the giver to others than STUN and TURN", packets.length);
    findings.expect(packets.length === 0, `it shows where it is: ${packets.slice(0, 5).join("; ")}`);
  }
  if (result.code === 0)
    findings.expect((await sha256Of(join(out, "shared.bin"))) === (await sha256Of(file)), "the bytes are not right");
  if (findings.outcome().ok === false) {
    findings.note("log of the giver", giving.log().slice(-3000));
    findings.note("log of the taker", taking.log().slice(-3000));
  }
  await rm(out, { recursive: true });
  return findings.outcome();
}

async function side(rig: NatRig, host: "A" | "B", bootstrap: string, more: string): Promise<Side> {
  const { url, username, credential } = rig.turn;
  const turn = ["", "?transport=tcp"].map(
    (transport) => `{ url = "${url}${transport}", username = "${username}", credential = "${credential}" }`,
  );
  const config = [
    'log.level = "debug"',
    "retry_delay = 1",
    "[p2p]",
    "mdns = false",
    "upnp = false",
    "nat_pmp = false",
    `stun = ["${rig.stun}", "${rig.otherStun}"]`,
    `turn = [${turn.join(", ")}]`,
    more,
    "[p2p.dht]",
    `bootstrap = ${bootstrap}`,
  ];
  const home = await Home.create({ config: config.join("\n") });
  return {
    home,
    start: () => home.start([], ["ip", "netns", "exec", rig.namespace(host)]),
    [Symbol.asyncDispose]: () => home[Symbol.asyncDispose](),
  };
}

/** Listens outside of a router. @returns ends it, and gives the packets that the filter lets through, a line each */
async function listenFor(rig: NatRig, router: "nA" | "nB", filter: string): Promise<() => Promise<readonly string[]>> {
  const { child, finished } = rig.run(router, requireTool("tcpdump"), ["-i", "wan", "-n", "-l", filter]);
  // It says that it listens when it does.
  await once(child.stderr ?? child, "data");
  return async () => {
    child.kill("SIGINT");
    return (await finished).stdout.split("\n").filter((line) => line !== "");
  };
}

/** Bytes of the one download, once there are at least so many. */
async function downloaded(home: Home, least: number): Promise<number | undefined> {
  const { code, stdout } = await home.ctl(["list", "--json"]);
  if (code !== 0) return undefined;
  for (const line of stdout.split("\n").filter((text) => text !== "")) {
    const { progress } = JSON.parse(line) as { readonly progress?: { readonly downloaded_bytes?: number } };
    const bytes = progress?.downloaded_bytes ?? 0;
    if (bytes >= least) return bytes;
  }
  return undefined;
}

async function firstLine(stream: NodeJS.ReadableStream | null): Promise<string> {
  if (!stream) throw new Error("a program without output");
  let text = "";
  for await (const piece of stream) {
    text += String(piece);
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error(`it ended: ${text}`);
}
