/**
 * Messages of TURN (RFC 8656), as far as a client needs them that has datagrams relayed, with the proof of knowing the
 * password (long-term credentials, RFC 8489 §9.2). What comes in is hostile, as in stun-message.ts.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import {
  bytesBefore,
  readAddress,
  readErrorCode,
  readStun,
  type StunAddress,
  type StunHead,
  StunWriter,
  writeErrorCode,
} from "./stun-wire.ts";

/** Methods (RFC 8656 §17). */
export const TURN = { allocate: 0x003, refresh: 0x004, send: 0x006, data: 0x007, createPermission: 0x008 } as const;

/** UDP, in REQUESTED-TRANSPORT (RFC 8656 §18.8). */
export const UDP = 17;

/** Bytes of a realm or nonce at most (RFC 8489 §14.9, §14.10). */
const LONGEST_TEXT = 763;

const ATTRIBUTE = {
  username: 0x0006,
  integrity: 0x0008,
  error: 0x0009,
  lifetime: 0x000d,
  peer: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  relayed: 0x0016,
  transport: 0x0019,
} as const;

/** What may be in a message besides the head. */
export interface TurnAttributes {
  /** 300 to 699. */
  readonly errorCode?: number;
  readonly username?: string;
  readonly realm?: string;
  readonly nonce?: Buffer;
  /** Seconds. */
  readonly lifetime?: number;
  /** Protocol number: {@link UDP}. */
  readonly transport?: number;
  /** What the allocation looks like from outside. */
  readonly relayed?: StunAddress;
  /** Of a permission several, of a datagram one. */
  readonly peers?: readonly StunAddress[];
  /** Only valid as long as the message that it was read from. */
  readonly data?: Uint8Array;
}

/** A message that was read. */
export interface TurnMessage extends StunHead, TurnAttributes {
  /** Its MESSAGE-INTEGRITY is there, and right. */
  readonly proved: boolean;
}

/** The key of long-term credentials (RFC 8489 §9.2.2). MD5 is what the standard has. */
export function turnKey(username: string, realm: string, credential: string): Buffer {
  return createHash("md5")
    .update(`${username}:${realm}:${credential.normalize("NFC")}`)
    .digest();
}

/** Reads a whole message. @param key - by which it may be proved @returns undefined for what is none */
export function decodeTurn(all: Buffer, key?: Buffer): TurnMessage | undefined {
  const message = readStun(all);
  if (message === undefined) return undefined;
  const read: { -readonly [K in keyof TurnAttributes]?: TurnAttributes[K] } = {};
  const peers: StunAddress[] = [];
  let proved = false;
  for (const attribute of message.attributes) {
    const { type, value } = attribute;
    if (type === ATTRIBUTE.integrity) {
      proved =
        value.length === 20 && key !== undefined && timingSafeEqual(value, proof(bytesBefore(all, attribute), key));
      // What follows is not proved (RFC 8489 §14.5).
      break;
    }
    switch (type) {
      case ATTRIBUTE.error:
        read.errorCode = readErrorCode(value) ?? 0;
        break;
      case ATTRIBUTE.username:
        read.username = value.toString("utf8");
        break;
      case ATTRIBUTE.realm:
        if (value.length > LONGEST_TEXT) return undefined;
        read.realm = value.toString("utf8");
        break;
      case ATTRIBUTE.nonce:
        if (value.length > LONGEST_TEXT) return undefined;
        read.nonce = Buffer.from(value);
        break;
      case ATTRIBUTE.lifetime:
        if (value.length !== 4) return undefined;
        read.lifetime = value.readUInt32BE(0);
        break;
      case ATTRIBUTE.transport:
        if (value.length !== 4) return undefined;
        read.transport = value.readUInt8(0);
        break;
      case ATTRIBUTE.data:
        read.data = value;
        break;
      case ATTRIBUTE.peer:
      case ATTRIBUTE.relayed: {
        const address = readAddress(value, all);
        if (address === undefined) return undefined;
        if (type === ATTRIBUTE.peer) peers.push(address);
        else read.relayed = address;
      }
    }
  }
  if (read.errorCode === 0 || (message.head.kind === "error" && read.errorCode === undefined)) return undefined;
  return { ...read, ...message.head, ...(peers.length > 0 && { peers }), proved };
}

/** The message as bytes. @param key - adds the proof by it @throws RangeError for addresses that there are not */
export function encodeTurn(message: StunHead & TurnAttributes, key?: Buffer): Buffer {
  const { errorCode, username, realm, nonce, lifetime, transport, relayed, peers = [], data } = message;
  const writer = new StunWriter(message);
  if (errorCode !== undefined) writer.add(ATTRIBUTE.error, writeErrorCode(errorCode));
  if (transport !== undefined) writer.add(ATTRIBUTE.transport, Buffer.from([transport, 0, 0, 0]));
  if (lifetime !== undefined) {
    const seconds = Buffer.alloc(4);
    seconds.writeUInt32BE(lifetime);
    writer.add(ATTRIBUTE.lifetime, seconds);
  }
  for (const peer of peers) writer.addAddress(ATTRIBUTE.peer, peer, true);
  if (relayed) writer.addAddress(ATTRIBUTE.relayed, relayed, true);
  if (data) writer.add(ATTRIBUTE.data, data);
  if (username !== undefined) writer.add(ATTRIBUTE.username, Buffer.from(username));
  if (realm !== undefined) writer.add(ATTRIBUTE.realm, Buffer.from(realm));
  if (nonce) writer.add(ATTRIBUTE.nonce, nonce);
  if (key) writer.addOver(ATTRIBUTE.integrity, 20, (before) => proof(before, key));
  return writer.bytes();
}

function proof(bytes: Uint8Array, key: Buffer): Buffer {
  return createHmac("sha1", key).update(bytes).digest();
}
