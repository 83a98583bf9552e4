/** Networks of tests: real sockets and the real proof of the code, and nothing that leaves the machine unless it is asked for. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { PeerMode } from "../../../src/daemon/core/peers.ts";
import type { Clock, Logger } from "../../../src/daemon/core/ports/runtime.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { EncryptionManager } from "../../../src/daemon/p2p/channel/encryption.ts";
import { localAddresses } from "../../../src/daemon/p2p/nat/addresses.ts";
import { StunClient } from "../../../src/daemon/p2p/nat/stun.ts";
import { Network } from "../../../src/daemon/p2p/network/network.ts";
import type { NetworkOptions } from "../../../src/daemon/p2p/network/network-options.ts";
import { IceLibrary } from "../../../src/daemon/p2p/path/ice-library.ts";
import {
  type Channel,
  type ChannelTaker,
  FRAME,
  type Offer,
  type Servable,
  type ShareKeys,
} from "../../../src/daemon/p2p/types.ts";
import { RecordLogger } from "../record-logger.ts";

/** A network with an identity of its own. Disposal ends it and removes its folder. */
export interface TestNetwork extends AsyncDisposable {
  readonly network: Network;
  readonly peerId: string;
  readonly logger: Logger;
  /** Of its listener; it has to be in use. */
  port(): Promise<number>;
}

/** What may be otherwise. */
export interface TestNetworkOptions extends Partial<Omit<NetworkOptions, "stun">> {
  readonly mode?: PeerMode;
  readonly stunServers?: readonly string[];
}

const NEVER = new AbortController().signal;

/** Makes one. */
export async function testNetwork(options: TestNetworkOptions = {}): Promise<TestNetwork> {
  const { stunServers = [], ...rest } = options;
  const directory = await mkdtemp(join(tmpdir(), "snatch-peer-"));
  const clock: Clock = rest.clock ?? new SystemClock();
  const logger = rest.logger ?? new RecordLogger();
  const encryption = new EncryptionManager({ directory, suite: () => "modern", clock, logger });
  await encryption.start();
  const network = new Network({
    mode: "auto",
    suite: "modern",
    port: 0,
    finder: {
      discover: () => undefined,
      failed: () => undefined,
      announce: () => ({ [Symbol.asyncDispose]: async () => undefined }),
      states: () => [],
    },
    stun: new StunClient({ servers: stunServers, clock }),
    mapping: () => undefined,
    ice: new IceLibrary(),
    iceServers: { stun: stunServers, turn: [] },
    localAddresses,
    ...rest,
    ...{ encryption, clock, logger },
  });
  return {
    network,
    peerId: encryption.peerId,
    logger,
    async port() {
      const { port } = await network.state(false, NEVER);
      if (port === undefined) throw new Error("the network does not listen");
      return port;
    },
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A share with nothing in it but its name. */
export function emptyServable(
  keys: ShareKeys,
  options: Partial<Pick<Servable, "maxPeers" | "encryption">> = {},
): Servable {
  const catalogue = Buffer.from("nothing");
  const root = createHash("sha256").update(catalogue).digest("hex");
  const offer: Offer = {
    ...{ version: 1, kind: "file", name: "nothing", root, catalogueSize: catalogue.length },
    ...{ fileCount: 1, size: 0, complete: true },
  };
  return {
    ...{ keys, maxPeers: 10, encryption: true, ...options },
    offer: () => offer,
    catalogue: async () => catalogue,
    held: () => "all",
    onGained: () => () => undefined,
    read: async () => new Uint8Array(),
    sent: () => undefined,
    fetched: () => false,
  };
}

/** A taker that keeps what it is given. */
export class TestTaker implements ChannelTaker {
  readonly keys: ShareKeys;
  readonly explicit: readonly string[];
  readonly remote: boolean;
  readonly plain = true;
  readonly channels: Channel[] = [];
  readonly problems: DownloadError[] = [];
  readonly banned = new Set<string>();
  limit = 1;
  readonly #first = Promise.withResolvers<Channel>();

  constructor(keys: ShareKeys, explicit: readonly string[] = [], remote = false) {
    this.keys = keys;
    this.explicit = explicit;
    this.remote = remote;
  }

  /** The first channel. */
  get first(): Promise<Channel> {
    return this.#first.promise;
  }

  wanted(): number {
    return this.limit - this.channels.filter(({ closed }) => !closed).length;
  }

  take(channel: Channel): void {
    this.channels.push(channel);
    this.#first.resolve(channel);
  }

  isBanned(peerId: string): boolean {
    return this.banned.has(peerId);
  }

  problem(error: DownloadError): void {
    this.problems.push(error);
  }
}

/** The giver's side: answers every request with so many bytes of {@link sampleBytes}, and nothing else. */
export function giveSample(channel: Channel): void {
  const send = async (id: Buffer, length: number) => {
    const piece = sampleBytes();
    for (let sent = 0; sent < length && !channel.closed; sent += piece.length)
      await channel.send(FRAME.data, id, piece.subarray(0, Math.min(piece.length, length - sent)));
    await channel.send(FRAME.end, id);
  };
  channel.start({
    frame: (type, payload) => {
      if (type === FRAME.request) void send(Buffer.from(payload.subarray(0, 4)), Number(payload.readBigUInt64BE(16)));
    },
    data: () => undefined,
    closed: () => undefined,
  });
}

/** What one fetch came to. */
export interface SampleFetch {
  readonly bytes: number;
  readonly seconds: number;
  /** Milliseconds until the first byte. */
  readonly firstByteMs: number;
}

/** The taker's side: fetches so many bytes and looks at each. @throws what ended the channel; Error if a byte is wrong */
export function fetchSample(channel: Channel, length: number): Promise<SampleFetch> {
  const started = performance.now();
  const piece = sampleBytes();
  let bytes = 0;
  let firstByteMs = 0;
  return new Promise((resolve, reject) => {
    channel.start({
      frame: (type) => {
        if (type !== FRAME.end) return;
        if (bytes === length) resolve({ bytes, seconds: (performance.now() - started) / 1000, firstByteMs });
        else reject(new Error(`${bytes} bytes came instead of ${length}`));
      },
      data: (_id, part) => {
        if (bytes === 0) firstByteMs = performance.now() - started;
        for (let at = 0; at < part.length; ) {
          const from = bytes % piece.length;
          const count = Math.min(piece.length - from, part.length - at);
          if (part.compare(piece, from, from + count, at, at + count) !== 0)
            reject(new Error(`wrong bytes near ${bytes}`));
          at += count;
          bytes += count;
        }
      },
      closed: reject,
    });
    const request = Buffer.alloc(28);
    request.writeUInt32BE(1, 0);
    request.writeBigUInt64BE(BigInt(length), 16);
    request.writeUInt32BE(2 ** 31, 24);
    void channel.send(FRAME.request, request);
  });
}

let sample: Buffer | undefined;

/** 128 KiB that never change. */
function sampleBytes(): Buffer {
  sample ??= Buffer.concat(
    Array.from({ length: 4096 }, (_, index) => createHash("sha256").update(String(index)).digest()),
  );
  return sample;
}
