/**
 * Messages of STUN (RFC 8489) with the attributes by which a NAT's behaviour is found out (RFC 5780). What comes in is
 * hostile: it is read whole or not at all, and nothing in it decides how much is kept.
 */
import { crc32 } from "node:zlib";
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

/** A message, as far as it matters here. */
export interface StunMessage extends StunHead {
  /** What the server saw: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of an old server. */
  readonly mapped?: StunAddress;
  /** Where the answer was sent from (RFC 5780 §7.3). */
  readonly origin?: StunAddress;
  /** The server's other address and port (RFC 5780 §7.4). */
  readonly other?: StunAddress;
  /** Asks for the answer from the other address, the other port, or both (RFC 5780 §7.2). */
  readonly change?: { readonly address: boolean; readonly port: boolean };
  /** 300 to 699. */
  readonly errorCode?: number;
  /** What has to be understood, and is not (RFC 8489 §6.3.1). */
  readonly unknown: readonly number[];
  /** It ended with a right FINGERPRINT (RFC 8489 §14.7). */
  readonly fingerprint: boolean;
}

/** The method of asking for the own address (RFC 8489 §18.2). */
export const BINDING = 0x001;

const FINGERPRINT_XOR = 0x5354554e;

const ATTRIBUTE = {
  mapped: 0x0001,
  change: 0x0003,
  error: 0x0009,
  xorMapped: 0x0020,
  fingerprint: 0x8028,
  origin: 0x802b,
  other: 0x802c,
} as const;

/**
 * Attributes that need not be acted upon here: those of authentication, whose proof the servers that are asked do not
 * give, of ICE and TURN, and the addresses of RFC 3489.
 */
const HARMLESS: ReadonlySet<number> = new Set([
  ATTRIBUTE.mapped,
  ATTRIBUTE.change,
  ATTRIBUTE.error,
  ATTRIBUTE.xorMapped,
  ...[0x0002, 0x0004, 0x0005, 0x0006, 0x0008, 0x000a, 0x0014, 0x0015, 0x001c, 0x001d, 0x001e, 0x0024, 0x0025],
]);

/** Reads a whole message. @returns undefined for what is none: cut off, with attributes that do not fit, or a wrong checksum */
export function decodeStun(bytes: Uint8Array): StunMessage | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const message = readStun(all);
  if (message === undefined) return undefined;
  const read: { -readonly [K in keyof StunMessage]?: StunMessage[K] } = {};
  const unknown: number[] = [];
  let fingerprint = false;
  for (const attribute of message.attributes) {
    const { type, value } = attribute;
    // Nothing may follow the checksum.
    if (fingerprint) return undefined;
    if (type === ATTRIBUTE.fingerprint) {
      if (value.length !== 4 || value.readUInt32BE(0) !== checksum(bytesBefore(all, attribute))) return undefined;
      fingerprint = true;
    } else if (type === ATTRIBUTE.xorMapped || type === ATTRIBUTE.mapped) {
      const isMasked = type === ATTRIBUTE.xorMapped;
      const address = readAddress(value, isMasked ? all : undefined);
      if (address === undefined) return undefined;
      // NATs that rewrite addresses inside of packets do not find the masked one (RFC 8489 §14.2).
      if (isMasked || read.mapped === undefined) read.mapped = address;
    } else if (type === ATTRIBUTE.origin || type === ATTRIBUTE.other) {
      const address = readAddress(value);
      if (address === undefined) return undefined;
      read[type === ATTRIBUTE.origin ? "origin" : "other"] = address;
    } else if (type === ATTRIBUTE.change) {
      if (value.length !== 4) return undefined;
      const flags = value.readUInt32BE(0);
      read.change = { address: (flags & 4) !== 0, port: (flags & 2) !== 0 };
    } else if (type === ATTRIBUTE.error) {
      const code = readErrorCode(value);
      if (code === undefined) return undefined;
      read.errorCode = code;
    } else if (type < 0x8000 && !HARMLESS.has(type)) unknown.push(type);
  }
  return { ...read, ...message.head, unknown, fingerprint };
}

/** The message as bytes, with a FINGERPRINT if it says so. @throws RangeError for addresses and codes that there are not */
export function encodeStun(message: Omit<StunMessage, "unknown">): Buffer {
  const { mapped, origin, other, change, errorCode } = message;
  const writer = new StunWriter(message);
  if (change) {
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE((change.address ? 4 : 0) | (change.port ? 2 : 0));
    writer.add(ATTRIBUTE.change, flags);
  }
  if (errorCode !== undefined) writer.add(ATTRIBUTE.error, writeErrorCode(errorCode));
  if (mapped) writer.addAddress(ATTRIBUTE.xorMapped, mapped, true);
  if (origin) writer.addAddress(ATTRIBUTE.origin, origin, false);
  if (other) writer.addAddress(ATTRIBUTE.other, other, false);
  if (message.fingerprint)
    writer.addOver(ATTRIBUTE.fingerprint, 4, (before) => {
      const sum = Buffer.alloc(4);
      sum.writeUInt32BE(checksum(before));
      return sum;
    });
  return writer.bytes();
}

function checksum(bytes: Uint8Array): number {
  return (crc32(bytes) ^ FINGERPRINT_XOR) >>> 0;
}
