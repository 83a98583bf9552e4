/**
 * From a byte stream that nobody trusts to a channel between two that know the same code: TLS with the keys of both
 * (handshake.ts), then the proofs (proof.ts), the taker's first. Before its proof was right, a taker is told nothing but
 * this machine's public key; a wrong one ends the connection without a word.
 */
import { isIP, Socket } from "node:net";
import { type DownloadError, failure } from "../../core/errors.ts";
import type { PeerSuite } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Channel, PeerStream, ShareKeys } from "../types.ts";
import { type ChannelParts, PeerChannel } from "./channel.ts";
import { readExactly, type Secured, secure } from "./handshake.ts";
import { type Identity, loadIdentity } from "./identity.ts";
import { isLocal, PlainConnections } from "./plain.ts";
import { decodeHello, encodeHello, HELLO_BYTES, isProved } from "./proof.ts";
import type { Role } from "./wire.ts";

/** How long TLS and the proofs may take together, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** Shares that a proof is tried against; the others cannot be reached. */
const MOST_SHARES = 4096;

/** A share whose code a taker may prove. */
export interface Admission {
  readonly keys: ShareKeys;
  /** False: the share's chunks may go in the clear over a local path, if the taker agrees. */
  readonly encryption: boolean;
  /** Called when the proof was right. @returns why he is not let in all the same; he is told */
  admit(peerId: string): DownloadError | undefined;
}

/** What channels are made with. */
export interface EncryptionOptions {
  /** Absolute: where the identity is kept. */
  readonly directory: string;
  readonly suite: () => PeerSuite;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes channels. */
export class EncryptionManager {
  readonly #options: EncryptionOptions;
  readonly #plain: PlainConnections;
  #identity: Identity | undefined;
  #starting: Promise<Identity> | undefined;

  constructor(options: EncryptionOptions) {
    this.#options = options;
    this.#plain = new PlainConnections(options.clock);
  }

  /** Reads the identity, and makes it if there is none: at the first share or fetch. @throws FileSystemError IDENTITY_INVALID */
  async start(): Promise<void> {
    await this.#ready();
  }

  /** SHA-256 of the public key, lower-case hex. @throws Error before `start` has resolved */
  get peerId(): string {
    return this.#known().peerId;
  }

  /** SPKI, DER. @throws Error before `start` has resolved */
  get publicKey(): Uint8Array {
    return this.#known().publicKey;
  }

  /**
   * Becomes the taker of a share on a stream, which is destroyed if that fails.
   *
   * @param options.plain - chunks may come in the clear, if the share and the path have it so
   * @throws NetworkError PEER_REFUSED if the other end does not prove the code, TLS_FAILED, CONNECTION_LOST, TIMED_OUT; FileSystemError; the signal's reason
   */
  async connect(
    peer: PeerStream,
    keys: ShareKeys,
    options: { readonly signal: AbortSignal; readonly plain: boolean },
  ): Promise<Channel> {
    return this.#within(peer, options.signal, async (signal) => {
      const identity = await this.#ready();
      const secured = await secure(peer.stream, "taker", identity, this.#options.suite(), signal);
      const binding = { takerId: identity.peerId, giverId: secured.peerId, exporter: secured.exporter };
      const plain = options.plain && isLocal(peer.path, peer.remoteAddress);
      secured.socket.write(encodeHello(keys, "taker", plain, binding));
      const hello = decode(await readExactly(secured.socket, HELLO_BYTES, signal));
      if (hello === undefined || !isProved(hello, keys, "giver", binding)) {
        const why = hello
          ? "somebody else answers in its place"
          : "the share has ended there, or the code is another one; ask who shares it for a new code";
        throw failure(
          "PEER_REFUSED",
          `the peer at ${peer.remoteAddress} has not proved that it knows the code: ${why}`,
        );
      }
      if (hello.plain && !plain) throw failure("PEER_MISBEHAVED", "the peer wants to send in the clear, unasked");
      return this.#channel(peer, secured, "taker", keys, hello.plain, undefined);
    });
  }

  /**
   * Becomes the giver of whichever share the other end proves the code of. The stream is destroyed if that fails.
   *
   * @param shares - asked when the proof is here; the first 4,096 are tried
   * @param options.port - TCP, where our listener takes connections for chunks in the clear; default: where this one came in
   * @throws NetworkError PEER_REFUSED if no proof fits, TLS_FAILED, CONNECTION_LOST, TIMED_OUT; what `admit` answers; FileSystemError; the signal's reason
   */
  async accept<Share extends Admission>(
    peer: PeerStream,
    shares: () => Iterable<Share>,
    options: { readonly signal: AbortSignal; readonly port?: number },
  ): Promise<{ readonly channel: Channel; readonly share: Share }> {
    return this.#within(peer, options.signal, async (signal) => {
      const identity = await this.#ready();
      const secured = await secure(peer.stream, "giver", identity, this.#options.suite(), signal);
      const binding = { takerId: secured.peerId, giverId: identity.peerId, exporter: secured.exporter };
      const hello = decode(await readExactly(secured.socket, HELLO_BYTES, signal));
      const share = hello && fitting(shares(), (keys) => isProved(hello, keys, "taker", binding));
      if (hello === undefined || share === undefined)
        throw failure("PEER_REFUSED", `whoever called from ${peer.remoteAddress} has proved no code of a share here`);
      const local = isLocal(peer.path, peer.remoteAddress);
      const port = options.port ?? localPort(peer);
      const plain = hello.plain && !share.encryption && local && port !== undefined;
      // From here on nothing is waited for: whoever was admitted has a channel that will say when it ends.
      const refusal = share.admit(secured.peerId);
      secured.socket.write(encodeHello(share.keys, "giver", plain, binding));
      const channel = this.#channel(peer, secured, "giver", share.keys, plain, port);
      if (refusal) {
        channel.close(refusal);
        throw new Refused(refusal);
      }
      return { channel, share };
    });
  }

  /** Takes a connection for chunks in the clear, of a channel that was made here. The byte that told it has been put back. */
  attachPlain(stream: PeerStream["stream"]): void {
    this.#plain.attach(stream);
  }

  #channel(
    peer: PeerStream,
    secured: Secured,
    role: Role,
    keys: ShareKeys,
    mayBePlain: boolean,
    port: number | undefined,
  ): PeerChannel {
    const { socket, peerId, publicKey, suite } = secured;
    const { path, remoteAddress } = peer;
    const { clock, logger } = this.#options;
    logger.debug({ peer: peerId, share: keys.publicId, path, suite, role, plain: mayBePlain }, "channel stands");
    const who = { publicId: keys.publicId, peerId, publicKey, path, remoteAddress, suite };
    const parts: ChannelParts = {
      ...who,
      socket,
      role,
      mayBePlain,
      clock,
      ...(role === "giver" && port !== undefined && { offerPlain: (channel) => this.#plain.offer(channel, port) }),
      ...(role === "taker" && { dialPlain: (channel, at, token) => this.#plain.dial(channel, at, token) }),
    };
    socket.once("close", () => peer.stream.destroy());
    return new PeerChannel(parts);
  }

  /** Runs a handshake within its time, and destroys the stream if it fails. */
  async #within<T>(peer: PeerStream, outer: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController();
    const cancel = this.#options.clock.timer(HANDSHAKE_MS, () => {
      limit.abort(
        failure("TIMED_OUT", `the peer at ${peer.remoteAddress} did not prove a code in ${HANDSHAKE_MS / 1000} s`),
      );
    });
    try {
      return await work(AbortSignal.any([outer, limit.signal]));
    } catch (error) {
      // The channel that tells of a refusal ends by itself.
      if (error instanceof Refused) throw error.reason;
      peer.stream.destroy();
      throw error;
    } finally {
      cancel();
    }
  }

  #ready(): Promise<Identity> {
    this.#starting ??= loadIdentity(this.#options.directory).then(
      (identity) => {
        this.#identity = identity;
        this.#options.logger.debug({ peer: identity.peerId }, "identity is here");
        return identity;
      },
      (error) => {
        // Somebody may put it right.
        this.#starting = undefined;
        throw error;
      },
    );
    return this.#starting;
  }

  #known(): Identity {
    if (!this.#identity) throw new Error("the identity is not known before start() has resolved");
    return this.#identity;
  }
}

/** Thrown past the end of a handshake whose channel still has something to say. */
class Refused extends Error {
  readonly reason: DownloadError;

  constructor(reason: DownloadError) {
    super(reason.message);
    this.reason = reason;
  }
}

function decode(bytes: Buffer | undefined): ReturnType<typeof decodeHello> {
  return bytes && decodeHello(bytes);
}

/** Tries all of them, so that the time which it takes does not tell which one fits. */
function fitting<Share extends Admission>(
  shares: Iterable<Share>,
  fits: (keys: ShareKeys) => boolean,
): Share | undefined {
  let found: Share | undefined;
  let tried = 0;
  for (const share of shares) {
    if (++tried > MOST_SHARES) break;
    if (fits(share.keys)) found ??= share;
  }
  return found;
}

function localPort(peer: PeerStream): number | undefined {
  return peer.stream instanceof Socket && isIP(peer.remoteAddress) !== 0 ? peer.stream.localPort : undefined;
}
