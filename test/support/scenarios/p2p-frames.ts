/**
 * Frames from peers that know the code and mean harm: whatever comes, the reader and the channel either hand it on or end as
 * a breach of the protocol; no crash, nothing kept, and everybody else is served as before. By fast-check: a seed gives the
 * same run again, and what is wrong is told with its smallest example.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { FrameReader, type Role } from "../../../src/daemon/p2p/channel/wire.ts";
import { FRAME, type FrameType, type ShareKeys } from "../../../src/daemon/p2p/types.ts";
import {
  cut,
  cuts,
  encodeFrame,
  giverFrames,
  hostileStream,
  type RightFrame,
  takerFrames,
} from "../arbitrary-frames.ts";
import { hostileGiver, hostileTaker } from "../hostile-peer.ts";
import { give, Heard, manager, openShare, someKeys, take } from "../peer-pair.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Bytes that may be there more after a run: what the collector has not come to. */
const MOST_GROWTH = 24 * 1024 * 1024;

const collect = collector();

/** Streams that one channel is tried with, for so many of the reader alone: a handshake costs as much as hundreds of them. */
const READER_PER_CHANNEL = 20;

/** @param options.iterations - streams for the reader; the channels of both roles get a twentieth of it */
export async function hostileFrames(options: { readonly iterations: number; readonly seed: number }): Promise<Outcome> {
  const { iterations, seed } = options;
  const findings = new Findings();
  const keys = someKeys();
  const channels = Math.ceil(iterations / READER_PER_CHANNEL);
  findings.note("seed", seed);
  // What is loaded and kept on the first time is no growth.
  await hostileTakers(5, seed, keys, findings);
  await hostileGivers(5, seed, keys, findings);
  readers(200, seed, findings);
  const before = await memory();

  const counts = readers(iterations, seed, findings);
  findings.note("streams for the reader", `${iterations}: ${counts.breaches} breaches, ${counts.frames} frames`);
  findings.expect(counts.breaches > 0 && counts.frames > 0, "the streams were all alike");
  findings.note("hostile takers", await hostileTakers(channels, seed, keys, findings));
  findings.note("hostile givers", await hostileGivers(channels, seed, keys, findings));

  const growth = (await memory()) - before;
  findings.note("growth, MiB", Number((growth / 2 ** 20).toFixed(1)));
  findings.expect(growth < MOST_GROWTH, `memory has grown by ${growth} bytes`);
  return findings.outcome();
}

function readers(numRuns: number, seed: number, findings: Findings): { breaches: number; frames: number } {
  const counts = { breaches: 0, frames: 0 };
  const parameters = { numRuns, seed };
  for (const [role, frames] of [
    ["giver", giverFrames],
    ["taker", takerFrames],
  ] as const) {
    const exact = fc.property(fc.array(frames, { maxLength: 8 }), cuts, (sent, sizes) => {
      const stream = Buffer.concat(sent.map(({ type, payload }) => encodeFrame(type, payload)));
      const got = readAll(role, cut(stream, sizes));
      counts.frames += got.length;
      const wanted = joined(sent);
      return got.length === wanted.length && got.every((frame, index) => isSame(frame, wanted[index]));
    });
    report(fc.check(exact, { ...parameters, numRuns: Math.ceil(numRuns / 4) }), `frames of a ${role}`, findings);
    const hostile = fc.property(hostileStream, cuts, (stream, sizes) => {
      try {
        readAll(role, cut(stream, sizes));
      } catch (error) {
        if (!(error instanceof DownloadError) || error.code !== "PEER_MISBEHAVED") throw error;
        counts.breaches++;
      }
    });
    report(fc.check(hostile, { ...parameters, numRuns: Math.ceil(numRuns / 4) }), `streams of a ${role}`, findings);
  }
  return counts;
}

/** What the reader hands over; chunks of a request that follow each other are one, as they come in pieces. */
function readAll(from: Role, pieces: readonly Buffer[]): RightFrame[] {
  const got: RightFrame[] = [];
  const reader = new FrameReader(from, {
    frame: (type, payload) => void got.push({ type, payload: Buffer.from(payload) }),
    data: (id, bytes) => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(id);
      got.push({ type: FRAME.data, payload: Buffer.concat([head, bytes]) });
    },
  });
  for (const piece of pieces) reader.push(piece);
  return joined(got);
}

function joined(frames: readonly RightFrame[]): RightFrame[] {
  const all: { type: FrameType; parts: Buffer[] }[] = [];
  for (const { type, payload } of frames) {
    const last = all.at(-1);
    const more = last?.type === FRAME.data && type === FRAME.data;
    if (more && last.parts[0]?.equals(payload.subarray(0, 4))) last.parts.push(payload.subarray(4));
    else if (type !== FRAME.data) all.push({ type, parts: [payload] });
    // A chunk without bytes is not handed over.
    else if (payload.length > 4) all.push({ type, parts: [payload.subarray(0, 4), payload.subarray(4)] });
  }
  return all.map(({ type, parts }) => ({ type, payload: Buffer.concat(parts) }));
}

function isSame(one: RightFrame, other: RightFrame | undefined): boolean {
  return one.type === other?.type && one.payload.equals(other.payload);
}

/** Takers that know the code send whatever they like to one giver, which serves an honest one in the end. */
async function hostileTakers(numRuns: number, seed: number, keys: ShareKeys, findings: Findings): Promise<string> {
  await using giving = await give(manager("giver"), [openShare(keys)]);
  const ends = new Map<string, number>();
  const property = fc.asyncProperty(hostileStream, cuts, async (stream, sizes) => {
    const socket = await hostileTaker(giving.port, keys);
    const heard = new Heard();
    (await giving.next()).start(heard);
    await sendAll(socket, cut(stream, sizes));
    count(ends, (await heard.ended).code);
  });
  report(await fc.check(property, { numRuns, seed }), "hostile takers", findings);
  const honest = await take(manager("taker"), giving.port, keys);
  const [heard, there] = [new Heard(), await giving.next()];
  there.start(new Heard());
  honest.start(heard);
  void honest.send(FRAME.ping, Buffer.from("12345678"));
  const { type } = await heard.next();
  findings.expect(type === FRAME.pong, "an honest taker is not served any more");
  honest.close();
  return say(ends);
}

/** Givers that know the code send whatever they like to takers. */
async function hostileGivers(numRuns: number, seed: number, keys: ShareKeys, findings: Findings): Promise<string> {
  const ends = new Map<string, number>();
  const calls: ((socket: Socket) => void)[] = [];
  const server = createServer((socket) => calls.shift()?.(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const property = fc.asyncProperty(hostileStream, cuts, async (stream, sizes) => {
    const called = new Promise<Socket>((resolve) => void calls.push(resolve));
    const [channel, socket] = await Promise.all([
      take(manager("taker"), port, keys),
      called.then((raw) => hostileGiver(raw, keys)),
    ]);
    const heard = new Heard();
    channel.start(heard);
    await sendAll(socket, cut(stream, sizes));
    count(ends, (await heard.ended).code);
  });
  report(await fc.check(property, { numRuns, seed }), "hostile givers", findings);
  await new Promise((resolve) => server.close(resolve));
  return say(ends);
}

/** Sends all of it, if the other end lets it, and goes. */
async function sendAll(socket: Duplex, pieces: readonly Buffer[]): Promise<void> {
  socket.on("error", () => {}).resume();
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  if (!socket.destroyed) socket.end();
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function say(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([code, times]) => `${code} ${times}`).join(", ");
}

function report<T>(details: fc.RunDetails<T>, what: string, findings: Findings): void {
  if (!details.failed) return;
  const example = fc.stringify(details.counterexample).slice(0, 500);
  const why = details.errorInstance instanceof Error ? details.errorInstance.message : "not what was sent";
  findings.expect(false, `${what}: ${why} (seed ${details.seed}, path ${details.counterexamplePath}): ${example}`);
}

/** The collector, which Node only shows if it is asked to. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

async function memory(): Promise<number> {
  // Twice: what was finalised by the first is let go of by the second.
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise((resolve) => void setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
