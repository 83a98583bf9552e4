/**
 * Chunks in the clear, where a share asks for it, the taker agrees and both are on the same local network: a second TCP
 * connection from the taker to the giver, which begins with a token that the giver has told inside TLS. Whoever is on that
 * network can read the chunks, and only those; what he changes is found when a chunk is checked.
 */
import { createHash, randomBytes } from "node:crypto";
import { connect, isIPv4, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { FRAME } from "../types.ts";
import type { PeerChannel } from "./channel.ts";
import { readExactly } from "./handshake.ts";

/** The first byte of such a connection, by which the listener tells it. */
const PLAIN_BYTE = 0x50;

const TOKEN_BYTES = 32;

/** How long a token may be used, and a connection may take, in milliseconds. */
const TOKEN_MS = 10_000;

/** True where chunks may go in the clear: the path leaves neither the machine nor its network. */
export function isLocal(path: PeerPath, address: string): boolean {
  const bare = address.replace(/^::ffff:/i, "");
  return path === "lan" || bare === "::1" || (isIPv4(bare) && bare.startsWith("127."));
}

/** The second connections of all channels, in either role. */
export class PlainConnections {
  readonly #clock: Clock;
  /** Channels by the hash of their token: how long a look-up takes tells nothing of a token. */
  readonly #offers = new Map<string, PeerChannel>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The giver's side: tells the taker where to connect. @param port - TCP, of our listener */
  offer(channel: PeerChannel, port: number): void {
    const token = randomBytes(TOKEN_BYTES);
    const name = hash(token);
    this.#offers.set(name, channel);
    this.#clock.timer(TOKEN_MS, () => void this.#offers.delete(name));
    const where = Buffer.alloc(2);
    where.writeUInt16BE(port);
    void channel.send(FRAME.plain, where, token);
  }

  /** The giver's side: a connection that begins with {@link PLAIN_BYTE}, which was put back. It ends if its token is none. */
  attach(stream: Duplex): void {
    stream.on("error", () => {});
    const late = this.#limit(stream);
    void readExactly(stream, 1 + TOKEN_BYTES, late.signal).then(
      (hello) => {
        late.cancel();
        const name = hash(hello?.subarray(1) ?? new Uint8Array());
        const channel = hello?.[0] === PLAIN_BYTE ? this.#offers.get(name) : undefined;
        this.#offers.delete(name);
        if (channel) channel.sendPlain(stream);
        else stream.destroy();
      },
      () => stream.destroy(),
    );
  }

  /** The taker's side: connects. If that fails, chunks go on coming over TLS. */
  dial(channel: PeerChannel, port: number, token: Buffer): void {
    const socket: Socket = connect({ host: channel.remoteAddress, port, noDelay: true });
    const late = this.#limit(socket);
    socket.on("error", () => late.cancel());
    socket.once("close", () => late.cancel());
    socket.once("connect", () => {
      late.cancel();
      socket.write(Buffer.concat([Buffer.of(PLAIN_BYTE), token]));
      channel.receivePlain(socket);
    });
  }

  /** Ends a connection that takes too long. */
  #limit(stream: Duplex): { readonly signal: AbortSignal; cancel(): void } {
    const controller = new AbortController();
    const cancel = this.#clock.timer(TOKEN_MS, () => {
      controller.abort();
      stream.destroy();
    });
    return { signal: controller.signal, cancel };
  }
}

function hash(token: Uint8Array): string {
  return createHash("sha256").update(token).digest("hex");
}
