/** Two ends of a channel over real sockets on loopback, as the network room would bring them together. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DownloadError } from "../../src/daemon/core/errors.ts";
import type { PeerSuite } from "../../src/daemon/core/peers.ts";
import type { Clock } from "../../src/daemon/core/ports/runtime.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { type Admission, EncryptionManager } from "../../src/daemon/p2p/channel/encryption.ts";
import { makeCode, readCode } from "../../src/daemon/p2p/code.ts";
import { deriveKeys } from "../../src/daemon/p2p/keys.ts";
import type { Channel, ChannelHandlers, FrameType, PeerStream, ShareKeys } from "../../src/daemon/p2p/types.ts";
import { RecordLogger } from "./record-logger.ts";

/** Keys of a new code. */
export function someKeys(): ShareKeys {
  return deriveKeys(readCode(makeCode()));
}

/** A share that lets everybody in who knows the code. */
export function openShare(keys: ShareKeys, encryption = true): Admission {
  return { keys, encryption, admit: () => undefined };
}

let folder: string | undefined;

/** Where an identity lies: made at first use, gone with this process. @param name - a name each for those that differ */
export function identityFolder(name: string): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "snatch-identities-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return join(folder, name);
}

/** An end, with the identity of that name. */
export function manager(
  name: string,
  suite: PeerSuite = "modern",
  clock: Clock = new SystemClock(),
): EncryptionManager {
  const options = { clock, logger: new RecordLogger(), suite: () => suite };
  return new EncryptionManager({ directory: identityFolder(name), ...options });
}

/** A socket as a path hands it over. */
export function streamOf(socket: Socket): PeerStream {
  return { stream: socket, path: "lan", remoteAddress: socket.remoteAddress ?? "" };
}

/** Accepts as the listener does: a TLS hello becomes a channel, the other kind a connection for chunks. */
export interface Giving extends AsyncDisposable {
  readonly port: number;
  /** How many callers were let in, and how many were not. */
  readonly counts: { accepted: number; refused: number };
  /** Connections for chunks in the clear, so far. */
  plain(): readonly Socket[];
  /** The channel of the next caller that is let in. */
  next(): Promise<Channel>;
  /** What the next caller that is not let in was refused for. */
  nextRefusal(): Promise<Error>;
}

/** Listens on loopback as a giver. */
export async function give(at: EncryptionManager, shares: readonly Admission[]): Promise<Giving> {
  const channels = new Arrivals<Channel>();
  const refusals = new Arrivals<Error>();
  const sockets = new Set<Socket>();
  const counts = { accepted: 0, refused: 0 };
  const plain: Socket[] = [];
  const stop = new AbortController();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket.on("error", () => {}).once("close", () => sockets.delete(socket)));
    socket.once("data", (bytes: Buffer) => {
      socket.pause();
      socket.unshift(bytes);
      if (bytes[0] === 0x50) {
        plain.push(socket);
        at.attachPlain(socket);
      } else
        at.accept(streamOf(socket), () => shares, { signal: stop.signal }).then(
          ({ channel }) => {
            counts.accepted++;
            channels.add(channel);
          },
          (error: Error) => {
            counts.refused++;
            refusals.add(error);
          },
        );
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    plain: () => plain,
    next: () => channels.next(),
    nextRefusal: () => refusals.next(),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("the test has ended"));
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Calls a giver as a taker. */
export async function take(
  at: EncryptionManager,
  port: number,
  keys: ShareKeys,
  options: { readonly plain?: boolean; readonly signal?: AbortSignal } = {},
): Promise<Channel> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  const signal = options.signal ?? new AbortController().signal;
  return at.connect(streamOf(socket), keys, { signal, plain: options.plain ?? false });
}

/** Keeps what comes over a channel, copied. */
export class Heard implements ChannelHandlers {
  readonly frames: { readonly type: FrameType; readonly payload: Buffer }[] = [];
  readonly data = (id: number, bytes: Buffer) => void this.#chunks.push([id, Buffer.from(bytes)]);
  readonly ended: Promise<DownloadError>;
  readonly #chunks: (readonly [id: number, bytes: Buffer])[] = [];
  readonly #arrivals = new Arrivals<{ readonly type: FrameType; readonly payload: Buffer }>();
  readonly #end = Promise.withResolvers<DownloadError>();

  constructor() {
    this.ended = this.#end.promise;
  }

  frame(type: FrameType, payload: Buffer): void {
    const frame = { type, payload: Buffer.from(payload) };
    this.frames.push(frame);
    this.#arrivals.add(frame);
  }

  closed(reason: DownloadError): void {
    this.#end.resolve(reason);
  }

  next(): Promise<{ readonly type: FrameType; readonly payload: Buffer }> {
    return this.#arrivals.next();
  }

  /** All chunks of a request so far. */
  bytes(id: number): Buffer {
    return Buffer.concat(this.#chunks.filter(([of]) => of === id).map(([, bytes]) => bytes));
  }
}

/** Things that come, for those who wait for them. */
class Arrivals<T> {
  readonly #here: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  add(value: T): void {
    const waits = this.#waiting.shift();
    if (waits) waits(value);
    else this.#here.push(value);
  }

  next(): Promise<T> {
    const value = this.#here.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }
}
