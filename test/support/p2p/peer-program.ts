/**
 * A peer as a process of its own, for tests in network namespaces: gives or fetches a sample over whatever path the network
 * finds, and tells its parent. Signals go through the parent; everything else through the namespace.
 */

import { asDownloadError } from "../../../src/daemon/core/errors.ts";
import type { PeerMode, PeerPath } from "../../../src/daemon/core/peers.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import type { TurnServer } from "../../../src/daemon/p2p/path/ice.ts";
import { IceLibrary } from "../../../src/daemon/p2p/path/ice-library.ts";
import { RecordLogger } from "../record-logger.ts";
import { ParentSignalling } from "./memory-signalling.ts";
import { emptyServable, fetchSample, giveSample, TestTaker, testNetwork } from "./test-network.ts";

/** What it is to do: its only argument, as JSON. */
export interface PeerOrders {
  readonly role: "giver" | "taker";
  /** Hex. */
  readonly secret: string;
  readonly mode: PeerMode;
  readonly stun: readonly string[];
  readonly turn: readonly TurnServer[];
  /** To fetch. */
  readonly bytes: number;
  /** Fetches that may break, and are made again. */
  readonly retries: number;
  /** Peers that a person named. */
  readonly explicit: readonly string[];
}

/** What it tells. */
export type PeerNews =
  | { readonly news: "ready"; readonly peerId: string }
  | { readonly news: "listening"; readonly port: number }
  | { readonly news: "connected"; readonly path: PeerPath; readonly ms: number }
  | {
      readonly news: "lost";
      readonly code: string;
      readonly kind: string;
      readonly retryable: boolean;
      readonly message: string;
    }
  | {
      readonly news: "fetched";
      readonly bytes: number;
      readonly seconds: number;
      readonly firstByteMs: number;
      readonly rssMiB: number;
    }
  | { readonly news: "given"; readonly rssMiB: number }
  | { readonly news: "problem"; readonly code: string; readonly message: string };

const orders = JSON.parse(process.argv[2] ?? "{}") as PeerOrders;
const logger = new RecordLogger();
const keys = deriveKeys(Buffer.from(orders.secret, "hex"));
const say = (news: PeerNews) => process.send?.(news);
const rssMiB = () => Math.round(process.resourceUsage().maxRSS / 1024);

await using peer = await testNetwork({
  ...{ mode: orders.mode, logger, clock: new SystemClock(), signalling: new ParentSignalling(), ice: new IceLibrary() },
  stunServers: orders.stun,
  iceServers: { stun: orders.stun, turn: orders.turn },
});
const stopped = new Promise<void>((resolve) => {
  process.on("message", (message: unknown) => message === "stop" && resolve());
  process.on("disconnect", () => resolve());
});
say({ news: "ready", peerId: peer.peerId });
if (orders.role === "giver") {
  await using _share = await peer.network.publish(emptyServable(keys), (channel) => {
    say({ news: "connected", path: channel.path, ms: 0 });
    giveSample(channel);
  });
  const { port } = await peer.network.state(false, new AbortController().signal);
  if (port !== undefined) say({ news: "listening", port });
  await stopped;
  say({ news: "given", rssMiB: rssMiB() });
} else {
  await Promise.race([fetch(), stopped]);
}
if (process.env["PEER_LOG"])
  for (const { message, fields } of logger.lines) console.error(orders.role, message, fields);
process.disconnect?.();

async function fetch(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const started = performance.now();
    const taker = new TestTaker(keys, orders.explicit);
    taker.problem = ({ code, message }) => say({ news: "problem", code, message });
    await using _seek = await peer.network.seek(taker);
    const channel = await taker.first;
    say({ news: "connected", path: channel.path, ms: Math.round(performance.now() - started) });
    try {
      const { bytes, seconds, firstByteMs } = await fetchSample(channel, orders.bytes);
      say({ news: "fetched", bytes, seconds, firstByteMs, rssMiB: rssMiB() });
      channel.close();
      return;
    } catch (thrown) {
      const error = asDownloadError(thrown);
      const { code, retryable, message } = error;
      say({ news: "lost", code, kind: error.constructor.name, retryable, message });
      if (attempt >= orders.retries) return;
    }
  }
}
