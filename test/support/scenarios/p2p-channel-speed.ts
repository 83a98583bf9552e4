/**
 * What a channel costs: one process gives bytes to another over a channel, by credit as a swarm takes them, beside a bare
 * TLS connection of Node's with the same suite, in the same run and in turn.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connect } from "node:tls";
import type { PeerSuite } from "../../../src/daemon/core/peers.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { FRAME } from "../../../src/daemon/p2p/types.ts";
import { median } from "../median.ts";
import { manager, take } from "../peer-pair.ts";
import { selfSignedRsa, TLS_OPTIONS } from "../rsa-certificate.ts";
import { Findings, type Outcome } from "./outcome.ts";

const CREDIT = 8 * 1024 * 1024;
const GRANT = 1024 * 1024;
const GIVER = join(import.meta.dirname, "../channel-giver.ts");

/** What is measured: bare TLS, a channel, a channel whose chunks go in the clear. */
type Kind = "bare" | "channel" | "plain";

/** @param options.least - the ratio of channel to bare that has to be reached */
export async function channelSpeed(options: {
  readonly bytes: number;
  readonly rounds: number;
  readonly suite: PeerSuite;
  readonly least: number;
}): Promise<Outcome> {
  const { bytes, rounds, suite, least } = options;
  const findings = new Findings();
  const speeds: Record<Kind, number[]> = { bare: [], channel: [], plain: [] };
  let rss = 0;
  for (let round = 0; round < rounds; round++) {
    // In turn, so that a busy moment meets all of them.
    for (const kind of Object.keys(speeds) as Kind[]) {
      const measured = await measure(kind, suite, bytes);
      speeds[kind].push(bytes / measured.seconds / 1e6);
      if (kind === "channel") rss = Math.max(rss, measured.rss);
    }
  }
  const [bare, channel, plain] = [median(speeds.bare), median(speeds.channel), median(speeds.plain)];
  findings.note("bare TLS, MB/s", Math.round(bare));
  findings.note("channel, MB/s", Math.round(channel));
  findings.note("ratio", Number((channel / bare).toFixed(3)));
  findings.note("chunks in the clear, MB/s", Math.round(plain));
  findings.note("RSS of the taker, MiB", Math.round(rss / 2 ** 20));
  findings.expect(channel >= least * bare, `a channel has less than ${least} of what bare TLS has`);
  return findings.outcome();
}

async function measure(
  kind: Kind,
  suite: PeerSuite,
  bytes: number,
): Promise<{ readonly seconds: number; readonly rss: number }> {
  const secret = randomBytes(15);
  const child = spawn(process.execPath, [GIVER, kind, suite, `${bytes}`, secret.toString("hex")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const port = Number(line);
    const seconds =
      kind === "bare" ? await takeBare(port, suite, bytes) : await takeByChannel(port, kind, suite, bytes, secret);
    return { seconds, rss: process.memoryUsage.rss() };
  } finally {
    child.stdin.end();
    child.kill("SIGKILL");
    await once(child, "close");
  }
}

async function takeBare(port: number, suite: PeerSuite, bytes: number): Promise<number> {
  const options = { ...TLS_OPTIONS[suite], ...selfSignedRsa(), rejectUnauthorized: false };
  const socket = connect({ ...options, host: "127.0.0.1", port });
  await once(socket, "secureConnect");
  const started = performance.now();
  let received = 0;
  const done = Promise.withResolvers<void>();
  socket.on("error", done.reject).on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received === bytes) done.resolve();
  });
  socket.write("x");
  await done.promise;
  socket.destroy();
  return (performance.now() - started) / 1000;
}

async function takeByChannel(
  port: number,
  kind: Kind,
  suite: PeerSuite,
  bytes: number,
  secret: Uint8Array,
): Promise<number> {
  const channel = await take(manager("taker", suite), port, deriveKeys(secret), { plain: kind === "plain" });
  const done = Promise.withResolvers<void>();
  const request = Buffer.alloc(28);
  request.writeBigUInt64BE(BigInt(bytes), 16);
  request.writeUInt32BE(CREDIT, 24);
  const grant = Buffer.alloc(8);
  grant.writeUInt32BE(GRANT, 4);
  let received = 0;
  let granted = CREDIT;
  channel.start({
    frame(type) {
      if (type === FRAME.end && received === bytes) done.resolve();
    },
    data(_, chunk) {
      received += chunk.length;
      if (granted - received > CREDIT - GRANT) return;
      granted += GRANT;
      void channel.send(FRAME.credit, grant);
    },
    closed: done.reject,
  });
  if (channel.mayBePlain) await new Promise((resolve) => void setTimeout(resolve, 100));
  const started = performance.now();
  void channel.send(FRAME.request, request);
  await done.promise;
  const seconds = (performance.now() - started) / 1000;
  channel.close();
  return seconds;
}
