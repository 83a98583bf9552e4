/**
 * STUN messages (RFC 8489) with the attributes by which a NAT's behaviour is found out (RFC 5780). What comes in is hostile:
 * it is read whole or not at all, and nothing in it decides how much is kept.
 */
import { isIP, SocketAddress } from "node:net";
import { crc32 } from "node:zlib";

/** A transport address. */
export interface StunAddress {
  /** IPv4, or IPv6 in its canonical spelling. */
  readonly address: string;
  readonly port: number;
}

/** A message, as far as it matters here. */
export interface StunMessage {
  readonly kind: "request" | "indication" | "success" | "error";
  /** {@link BINDING}, or another. */
  readonly method: number;
  /** 12 bytes. */
  readonly transactionId: Uint8Array;
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

/** Bytes of a header. */
export const STUN_HEADER = 20;

/** The longest message that is read, in bytes: what fits a datagram that is not fragmented. */
export const LONGEST_STUN = 1500;

const COOKIE = 0x2112a442;
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

const CLASSES = ["request", "indication", "success", "error"] as const;

/** Reads a whole message. @returns undefined for what is none: cut off, with attributes that do not fit, or a wrong checksum */
export function decodeStun(bytes: Uint8Array): StunMessage | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length > LONGEST_STUN || stunLength(all) !== all.length) return undefined;
  const type = all.readUInt16BE(0);
  const transactionId = Uint8Array.from(all.subarray(8, STUN_HEADER));
  const read: { -readonly [K in keyof StunMessage]?: StunMessage[K] } = {};
  const unknown: number[] = [];
  let fingerprint = false;
  for (let at = STUN_HEADER; at < all.length; ) {
    // Nothing may follow the checksum.
    if (fingerprint || at + 4 > all.length) return undefined;
    const kind = all.readUInt16BE(at);
    const length = all.readUInt16BE(at + 2);
    const end = at + 4 + length;
    if (end > all.length) return undefined;
    const value = all.subarray(at + 4, end);
    if (kind === ATTRIBUTE.fingerprint) {
      if (length !== 4 || value.readUInt32BE(0) !== checksum(all.subarray(0, at))) return undefined;
      fingerprint = true;
    } else if (kind === ATTRIBUTE.xorMapped || kind === ATTRIBUTE.mapped) {
      const address = readAddress(kind === ATTRIBUTE.xorMapped ? unmask(value, all) : value);
      if (address === undefined) return undefined;
      // NATs that rewrite addresses inside of packets do not find the masked one (RFC 8489 §14.2).
      if (kind === ATTRIBUTE.xorMapped || read.mapped === undefined) read.mapped = address;
    } else if (kind === ATTRIBUTE.origin || kind === ATTRIBUTE.other) {
      const address = readAddress(value);
      if (address === undefined) return undefined;
      read[kind === ATTRIBUTE.origin ? "origin" : "other"] = address;
    } else if (kind === ATTRIBUTE.change) {
      if (length !== 4) return undefined;
      const flags = value.readUInt32BE(0);
      read.change = { address: (flags & 4) !== 0, port: (flags & 2) !== 0 };
    } else if (kind === ATTRIBUTE.error) {
      const code = length < 4 ? 0 : (value.readUInt8(2) & 7) * 100 + value.readUInt8(3);
      if (code < 300 || code > 699) return undefined;
      read.errorCode = code;
    } else if (kind < 0x8000 && !HARMLESS.has(kind)) unknown.push(kind);
    at = end + (-length & 3);
  }
  const kind = CLASSES[((type >> 7) & 2) | ((type >> 4) & 1)] ?? "request";
  const method = (type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80);
  return { ...read, kind, method, transactionId, unknown, fingerprint };
}

/**
 * How long the message is that begins here, from the first 20 bytes: for streams (RFC 8489 §6.2.2).
 *
 * @returns bytes, with the header; undefined if this is no STUN
 */
export function stunLength(head: Uint8Array): number | undefined {
  if (head.length < STUN_HEADER) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = view.getUint16(2);
  if ((view.getUint8(0) & 0xc0) !== 0 || length % 4 !== 0 || view.getUint32(4) !== COOKIE) return undefined;
  return STUN_HEADER + length;
}

/** The message as bytes, with a FINGERPRINT if it says so. @throws RangeError for addresses and codes that there are not */
export function encodeStun(message: Omit<StunMessage, "unknown">): Buffer {
  const { transactionId, mapped, origin, other, change, errorCode } = message;
  if (transactionId.length !== 12) throw new RangeError(`a transaction id has 12 bytes, not ${transactionId.length}`);
  const head = Buffer.alloc(STUN_HEADER);
  const kind = CLASSES.indexOf(message.kind);
  const { method } = message;
  const bits = (method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2);
  head.writeUInt16BE(bits | ((kind & 2) << 7) | ((kind & 1) << 4), 0);
  head.writeUInt32BE(COOKIE, 4);
  head.set(transactionId, 8);
  const parts: Buffer[] = [head];
  const add = (type: number, value: Buffer) => {
    const part = Buffer.alloc(4 + value.length + (-value.length & 3));
    part.writeUInt16BE(type, 0);
    part.writeUInt16BE(value.length, 2);
    part.set(value, 4);
    parts.push(part);
  };
  if (change) {
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE((change.address ? 4 : 0) | (change.port ? 2 : 0));
    add(ATTRIBUTE.change, flags);
  }
  if (errorCode !== undefined) {
    if (errorCode < 300 || errorCode > 699) throw new RangeError(`${errorCode} is no error code of STUN`);
    add(ATTRIBUTE.error, Buffer.from([0, 0, Math.floor(errorCode / 100), errorCode % 100]));
  }
  if (mapped) add(ATTRIBUTE.xorMapped, unmask(writeAddress(mapped), head));
  if (origin) add(ATTRIBUTE.origin, writeAddress(origin));
  if (other) add(ATTRIBUTE.other, writeAddress(other));
  const length = parts.reduce((sum, { length: bytes }) => sum + bytes, 0) - STUN_HEADER;
  head.writeUInt16BE(length + (message.fingerprint ? 8 : 0), 2);
  if (message.fingerprint) {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(checksum(Buffer.concat(parts)));
    add(ATTRIBUTE.fingerprint, sum);
  }
  return Buffer.concat(parts);
}

function checksum(bytes: Uint8Array): number {
  return (crc32(bytes) ^ FINGERPRINT_XOR) >>> 0;
}

/** Port and address, masked with cookie and transaction id, or unmasked: it is the same (RFC 8489 §14.2). */
function unmask(value: Buffer, head: Buffer): Buffer {
  const plain = Buffer.from(value);
  for (let at = 2; at < plain.length; at++) {
    const mask = at < 4 ? head[at + 2] : head[at];
    plain[at] = (plain[at] ?? 0) ^ (mask ?? 0);
  }
  return plain;
}

/** RFC 8489 §14.1. */
function readAddress(value: Buffer): StunAddress | undefined {
  const ipv6 = value[1] === 2;
  if (value.length !== (ipv6 ? 20 : 8) || (!ipv6 && value[1] !== 1)) return undefined;
  const bytes = value.subarray(4);
  const port = value.readUInt16BE(2);
  if (!ipv6) return { address: bytes.join("."), port };
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return { address: new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address, port };
}

function writeAddress({ address, port }: StunAddress): Buffer {
  const family = isIP(address);
  if (family === 0) throw new RangeError(`${address} is no address`);
  const bytes = family === 4 ? address.split(".").map(Number) : ipv6Bytes(address);
  return Buffer.from([0, family === 4 ? 1 : 2, port >> 8, port & 255, ...bytes]);
}

function ipv6Bytes(address: string): number[] {
  // The URL parser writes every spelling with hexadecimal groups only.
  const [head = "", tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split("::");
  const groupsOf = (text: string) => (text === "" ? [] : text.split(":")).map((group) => Number.parseInt(group, 16));
  const first = groupsOf(head);
  const last = groupsOf(tail ?? "");
  const groups = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return groups.flatMap((group) => [group >> 8, group & 255]);
}
