/**
 * Another implementation of the DHT, libtorrent: it sees under the share's lookup key where we are, keeps our signals and
 * hands them on while nobody else has them, and reads them by itself, signature and all.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { DhtSignalling } from "../../../src/daemon/p2p/discovery/dht-signalling.ts";
import { signingKey } from "../../../src/daemon/p2p/discovery/ed25519.ts";
import { PresenceBoard } from "../../../src/daemon/p2p/discovery/presence-board.ts";
import { open, saltOf } from "../../../src/daemon/p2p/discovery/signal-codec.ts";
import type { Presence } from "../../../src/daemon/p2p/types.ts";
import { ownNode, peerAt } from "../p2p/dht-node.ts";
import { someKeys, somePeerId } from "../p2p/share-keys.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

const SCRIPT = join(import.meta.dirname, "../p2p/libtorrent-node.py");

/** Debian's own: its packages are not for another Python. */
const PYTHON = "/usr/bin/python3";

/** For `skip`: false if libtorrent is here, else a sentence. */
export const withoutLibtorrent: string | false =
  !existsSync("/usr/lib/python3/dist-packages/libtorrent") &&
  !existsSync("/usr/share/doc/python3-libtorrent") &&
  "NOT RUN: python3-libtorrent is not installed here (apt-get install python3-libtorrent)";

/** Runs it. */
export async function p2pLibtorrent(): Promise<Outcome> {
  const findings = new Findings();
  await using other = await startLibtorrent();
  const place = `127.0.0.1:${other.port}`;
  const keys = someKeys();
  const [giverId, takerId] = [somePeerId(), somePeerId()];
  const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000);
  const clock = new SystemClock();
  const self: Presence = {
    peerId: giverId,
    shares: true,
    endpoints: [{ host: "192.0.2.7", port, kind: "direct" }],
    natType: "symmetric",
    capabilities: ["punch"],
    time: clock.now(),
  };

  {
    // There are two nodes in the world, so what the giver puts is kept by libtorrent alone; then the giver goes.
    await using giver = await ownNode([place]);
    const { stored } = await new PresenceBoard(keys, { items: giver.dht, clock }).write(0, self);
    findings.note("nodes that keep the presence", stored);
    findings.expect(stored === 1, `${stored} nodes keep it`);
  }
  await using taker = await ownNode([place]);
  const board = new PresenceBoard(keys, { items: taker.dht, clock });
  findings.expect((await board.lookAt(0)) === giverId, "libtorrent does not hand the presence on");

  let begun = performance.now();
  await using giver = await ownNode([place]);
  await using _announced = await giver.dht.announce(keys.lookupKey, peerAt(port));
  const found = await waitFor("our announcement, by another node of ours", async () =>
    (await taker.dht.discoverPeers(keys.lookupKey, AbortSignal.timeout(10_000))).find(
      (peer) => peer.externalPort === port,
    ),
  );
  findings.note("announced to found, ms", Math.round(performance.now() - begun));
  findings.expect(found.externalIp === "127.0.0.1", `found at ${found.externalIp}`);
  const told = await other.event("announce", (event) => event["key"] === keys.lookupKey);
  findings.note("libtorrent was told", `${told["ip"]}:${told["port"]}`);
  findings.expect(told["port"] === port, "it was told another port");

  const signalling = (node: typeof giver) => new DhtSignalling({ items: node.dht, clock, logger: node.logger });
  const stop = new AbortController();
  try {
    begun = performance.now();
    const messages: string[] = [];
    signalling(giver).receive(keys, takerId, giverId, (m) => messages.push(Buffer.from(m).toString()), stop.signal);
    await signalling(taker).send(keys, takerId, giverId, Buffer.from("m".repeat(700)), stop.signal);
    await waitFor("the message", () => messages.length > 0);
    findings.note("message sent to read, ms", Math.round(performance.now() - begun));
    findings.expect(messages[0] === "m".repeat(700), "the message is another one");
  } finally {
    stop.abort();
  }

  // libtorrent asks by itself, and hands over only what is signed right. It asks others, so one of them has to have it.
  await board.lookAt(0);
  await board.write(0, { ...self, time: clock.now() });
  for (const node of [giver, taker]) other.ask({ do: "add", port: node.dht.port });
  const { publicKey } = signingKey(keys.signalSeed);
  const salt = saltOf(keys, "presence", "0");
  const item = await waitFor("libtorrent to read the item", async () => {
    other.ask({ do: "get", key: publicKey.toString("hex"), salt: salt.toString("hex") });
    await clock.sleep(250);
    return other.events.find((event) => event["event"] === "item" && Number(event["seq"]) > 0);
  });
  const value = Buffer.from(String(item["value"]), "hex");
  findings.note("item as libtorrent reads it, bytes", value.length);
  findings.expect(item["salt"] === salt.toString("hex"), `its salt is ${item["salt"]}`);
  findings.expect(open(keys, salt, [], value)?.includes(giverId) === true, "its value is not our presence");
  findings.expect(!value.includes(giverId) && !value.includes("192.0.2.7"), "the item can be read without the code");
  return findings.outcome();
}

type Event = Readonly<Record<string, unknown>>;

interface Libtorrent extends AsyncDisposable {
  readonly port: number;
  readonly events: readonly Event[];
  ask(what: object): void;
  /** The next event, or one that has been, of this kind. */
  event(kind: string, fits: (event: Event) => boolean): Promise<Event>;
}

async function startLibtorrent(): Promise<Libtorrent> {
  const child = spawn(PYTHON, [SCRIPT], { stdio: ["pipe", "pipe", "pipe"] });
  const events: Event[] = [];
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on("line", (line) => events.push(JSON.parse(line)));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const event = (kind: string, fits: (event: Event) => boolean) =>
    waitFor(`libtorrent: ${kind} ${stderr}`, () => {
      if (child.exitCode !== null) throw new Error(`libtorrent has ended: ${stderr}`);
      return events.find((candidate) => candidate["event"] === kind && fits(candidate));
    });
  const dispose = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    const { port } = await event("listening", () => true);
    const ask = (what: object) => void child.stdin.write(`${JSON.stringify(what)}\n`);
    return { port: Number(port), events, ask, event, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
