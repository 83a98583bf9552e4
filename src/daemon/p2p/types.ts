/**
 * What the parts of this room need of each other. From the code to the bytes: keys (code.ts) → discovery and signalling
 * (discovery/) → a path (path/, nat/) → an authenticated channel (channel.ts) → frames (wire.ts) → a swarm that fetches, or
 * a seeder that gives.
 */
import type { Duplex } from "node:stream";
import type { DownloadError } from "../core/errors.ts";
import type { NatType, PeerPath } from "../core/peers.ts";
import type { ShareKind } from "../core/session.ts";

/** What is derived from a code (HKDF-SHA256, RFC 5869, a label each): none of it tells anything of the others. */
export interface ShareKeys {
  /** 32 hex digits: what sessions, logs and lists call the share. */
  readonly publicId: string;
  /** 20 bytes as lower-case hex: the info-hash in the DHT, and the name on the local network. */
  readonly lookupKey: string;
  /** 32 bytes: the seed of the Ed25519 key pair under which signals are put into the DHT (BEP 44). */
  readonly signalSeed: Uint8Array;
  /** 32 bytes: AES-256-GCM over the signals. */
  readonly signalKey: Uint8Array;
  /** 32 bytes: HMAC-SHA256 by which both ends prove the code. */
  readonly proofKey: Uint8Array;
}

/** A place where a peer may be reached by TCP. */
export interface Endpoint {
  /** An address; names only where a person gave them. */
  readonly host: string;
  readonly port: number;
  readonly kind: "explicit" | "lan" | "ipv6" | "direct" | "mapped";
}

/** Places that a presence names at most. */
export const MOST_PRESENCE_ENDPOINTS = 8;

/** What a participant says of itself to those who know the code. */
export interface Presence {
  readonly peerId: string;
  /** It has all of it or some of it; otherwise it only wants it. */
  readonly shares: boolean;
  /** The best first, at most {@link MOST_PRESENCE_ENDPOINTS}. */
  readonly endpoints: readonly Endpoint[];
  readonly natType: NatType;
  /** "punch": TCP simultaneous open; "ice": ICE and TURN; "reverse": it listens, and may be called back. */
  readonly capabilities: readonly string[];
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/**
 * Carries small messages between those who know a code, through others who do not: encrypted and authenticated by keys of
 * the code. Old ones are ignored; what is read was written by somebody who knows the code, which need not be a friend.
 */
export interface Signalling {
  /** Keeps our presence findable until disposed of; asked anew whenever it is refreshed. */
  announce(keys: ShareKeys, self: () => Presence): AsyncDisposable;
  /** Calls back with each presence that is new or has changed, our own left out, until the signal is aborted. */
  watch(keys: ShareKeys, self: string, onPresence: (presence: Presence) => void, signal: AbortSignal): void;
  /** Leaves a message (at most 700 bytes) for one of them, in place of our former one for the same. */
  send(keys: ShareKeys, from: string, to: string, message: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Calls back with each new message from one of them to us, until the signal is aborted. */
  receive(
    keys: ShareKeys,
    from: string,
    to: string,
    onMessage: (message: Uint8Array) => void,
    signal: AbortSignal,
  ): void;
}

/** A byte stream to another machine, by whatever path: nothing on it is trusted yet. */
export interface PeerStream {
  readonly stream: Duplex;
  readonly path: PeerPath;
  /** Of the other end, for people and limits: an address, or the relay's. */
  readonly remoteAddress: string;
  /** The place that was called; absent: it has called us, or both have met in another way. */
  readonly called?: Endpoint;
}

/**
 * Frames on a channel: a length (32 bits, big-endian, of all that follows), a type (8 bits), a payload. Integers are
 * big-endian. "Giver" is who has the bytes, "taker" who wants them; the taker speaks first.
 */
export const FRAME = {
  /** Giver → taker, first: an {@link Offer} as JSON. */
  offer: 1,
  /** Taker → giver: from which byte of the catalogue on (32 bits). */
  catalogueRequest: 2,
  /** Giver → taker: bytes of the catalogue, in order; it ends where the offer says. */
  catalogue: 3,
  /** Giver → taker, where it is not complete: file (32), then a bit for each chunk, the first in the highest bit. */
  haveMap: 4,
  /** Giver → taker: file (32), chunk (32). */
  have: 5,
  /** Taker → giver: id (32), file (32), start (64), length (64), credit (32): bytes that may be sent before more is granted. */
  request: 6,
  /** Giver → taker: id (32), bytes. */
  data: 7,
  /** Giver → taker: id (32). All of the request was sent. */
  end: 8,
  /** Giver → taker: id (32), code and message as JSON: it cannot be had. */
  refuse: 9,
  /** Taker → giver: id (32). It is not wanted any more. */
  cancel: 10,
  /** Taker → giver: id (32), bytes more that may be sent (32). */
  credit: 11,
  /** Either: 8 bytes that come back in a pong; the channel itself sends that. */
  ping: 12,
  pong: 13,
  /** Either, last: code and message as JSON. It ends the channel, and is the reason that `closed` is called with. */
  bye: 14,
  /** Giver → taker, where chunks may go in the clear: port (16), token (32 bytes). */
  plain: 15,
  /** Taker → giver: every byte is here; if many of them came from this giver, it counts a fetch. */
  complete: 16,
} as const;

/** The type of a frame. */
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** The longest frame, type and payload, in bytes: what announces more ends the channel. */
export const LONGEST_FRAME = 256 * 1024 + 64;

/** What is offered, sent when both have proved the code. Hostile until checked. */
export interface Offer {
  readonly version: 1;
  readonly kind: ShareKind;
  /** Of the file or folder; not yet made safe. */
  readonly name: string;
  /** SHA-256 over the catalogue, lower-case hex. */
  readonly root: string;
  /** Bytes of the catalogue. */
  readonly catalogueSize: number;
  readonly fileCount: number;
  /** Bytes of all files. */
  readonly size: number;
  /** False: some chunks are missing, `haveMap` and `have` say which are here. */
  readonly complete: boolean;
}

/** An authenticated channel: the other end holds the key of `peerId` and has proved the code. */
export interface Channel {
  readonly publicId: string;
  readonly peerId: string;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  readonly path: PeerPath;
  readonly remoteAddress: string;
  /** As negotiated, in OpenSSL's words. */
  readonly suite: string;
  /** Bytes of chunks may go in the clear: the path is local, and both ends want it. */
  readonly mayBePlain: boolean;
  /** Bytes of chunks have come in the clear: what is wrong with them may be another's work. */
  readonly inClear: boolean;
  /** Begins to hand frames over. To be called once, in the turn in which the channel is handed over, or later: nothing is lost. */
  start(handlers: ChannelHandlers): void;
  /** Sends a frame. @returns resolves when more should be sent; undefined if that is now. Never rejects */
  send(type: FrameType, ...parts: readonly Uint8Array[]): Promise<void> | undefined;
  /**
   * Sends a frame of data, as `send` does.
   *
   * @param id - of the request, 32 bits
   * @param free - called once when the memory of `bytes` may be used for something else; if the channel ends, perhaps never
   */
  sendData(id: Uint8Array, bytes: Uint8Array, free: () => void): Promise<void> | undefined;
  /** Ends it, with a last word if there is a reason. Safe to call again. */
  close(reason?: DownloadError): void;
  readonly closed: boolean;
}

/** Takes what comes over a channel. Whatever throws here ends the channel as a breach of the protocol. */
export interface ChannelHandlers {
  /** A whole frame, but for `data`. The payload is only valid during the call. */
  frame(type: FrameType, payload: Buffer): void;
  /** Bytes of a `data` frame, as they come, in pieces: nobody waits until the frame is whole. Only valid during the call. */
  data(id: number, bytes: Buffer): void;
  /** The channel has ended; called once, last. */
  closed(reason: DownloadError): void;
}

/** Something that can be given to others: a stored share, or a download on its way. */
export interface Servable {
  readonly keys: ShareKeys;
  offer(): Offer;
  /** The catalogue's bytes: their SHA-256 is the offer's root. */
  catalogue(): Promise<Uint8Array>;
  /** Chunks of a file that are here, where not all are. */
  held(file: number): { readonly chunkSize: number; readonly count: number; has(chunk: number): boolean } | "all";
  /** Calls back with chunks that are here from now on. @returns ends it */
  onGained(listener: (file: number, chunk: number) => void): () => void;
  /**
   * Reads bytes, all of them.
   *
   * @param into - at least as long: memory that may be used for them
   * @throws DownloadError SHARE_CHANGED if the file is not what was shared any more; FileSystemError
   */
  read(file: number, position: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  readonly maxPeers: number;
  readonly encryption: boolean;
  /** A peer is served from now on. @returns to be called when that ends */
  joined?(peerId: string): () => void;
  /** Payload that was sent to a peer. */
  sent(bytes: number, peerId: string): void;
  /** A peer says that it has all of it. @returns true if that counts: it was given much of it from here */
  fetched(peerId: string): boolean;
}

/** Who wants channels of a share. */
export interface ChannelTaker {
  readonly keys: ShareKeys;
  /** Peers that a person named: "host:port". */
  readonly explicit: readonly string[];
  /** A caller over TCP asked for it: no private address is called. */
  readonly remote: boolean;
  /** Chunks may come in the clear, where the share and the path have it so; may change. */
  readonly plain: boolean;
  /** How many more channels would be of use now. */
  wanted(): number;
  /** A channel, in the role of the taker. */
  take(channel: Channel): void;
  /** Not to be called any more, nor let in. */
  isBanned(peerId: string): boolean;
  /** How many others are known who say that they have it, or whom a person named, and who are not here. Told when it changes. */
  othersKnown?(count: number): void;
  /** Nothing goes on, and why: for whoever waits. Called again when that changes. */
  problem(error: DownloadError): void;
}

/** The network: listens, is found, finds, and reaches. Nothing of it is awake before the first share or fetch. */
export interface PeerNetwork {
  /** Lets peers find and fetch it until disposed of. Channels come in the role of the giver. */
  publish(servable: Servable, give: (channel: Channel) => void): Promise<AsyncDisposable>;
  /** Finds and calls peers until disposed of. */
  seek(taker: ChannelTaker): Promise<Search>;
}

/** Peers are being found and called. */
export interface Search extends AsyncDisposable {
  /** Of {@link ChannelTaker.wanted} there is more than before: it is looked at now, and not some time. */
  look(): void;
}
