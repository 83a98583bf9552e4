/**
 * What all messages of the STUN family look like on the wire (RFC 8489 §5, §14): the header, attributes one after the other,
 * and addresses. What they mean is for those who read them: stun-message.ts, turn-message.ts.
 */
import { isIP, SocketAddress } from "node:net";

/** A transport address. */
export interface StunAddress {
  /** IPv4, or IPv6 in its canonical spelling. */
  readonly address: string;
  readonly port: number;
}

/** What a header says. */
export interface StunHead {
  readonly kind: "request" | "indication" | "success" | "error";
  /** 12 bits. */
  readonly method: number;
  /** 12 bytes. */
  readonly transactionId: Uint8Array;
}

/** An attribute. */
export interface StunAttribute {
  readonly type: number;
  readonly value: Buffer;
  /** Where it begins in the message. */
  readonly at: number;
}

/** Bytes of a header. */
export const STUN_HEADER = 20;

/** The longest message that is read, in bytes: what fits a datagram that is not fragmented. */
export const LONGEST_STUN = 1500;

const COOKIE = 0x2112a442;

const CLASSES = ["request", "indication", "success", "error"] as const;

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

/** Takes a message apart. @returns undefined if it is none: cut off, too long, or with attributes that do not fit */
export function readStun(all: Buffer): { readonly head: StunHead; readonly attributes: StunAttribute[] } | undefined {
  if (all.length > LONGEST_STUN || stunLength(all) !== all.length) return undefined;
  const bits = all.readUInt16BE(0);
  const kind = CLASSES[((bits >> 7) & 2) | ((bits >> 4) & 1)] ?? "request";
  const method = (bits & 0xf) | ((bits >> 1) & 0x70) | ((bits >> 2) & 0xf80);
  const attributes: StunAttribute[] = [];
  for (let at = STUN_HEADER; at < all.length; ) {
    if (at + 4 > all.length) return undefined;
    const length = all.readUInt16BE(at + 2);
    const end = at + 4 + length;
    if (end > all.length) return undefined;
    attributes.push({ type: all.readUInt16BE(at), value: all.subarray(at + 4, end), at });
    at = end + (-length & 3);
  }
  return { head: { kind, method, transactionId: Uint8Array.from(all.subarray(8, STUN_HEADER)) }, attributes };
}

/** Puts a message together. */
export class StunWriter {
  readonly #head = Buffer.alloc(STUN_HEADER);
  readonly #parts: Buffer[] = [this.#head];
  #length = 0;

  /** @throws RangeError for a transaction id that is none */
  constructor({ kind, method, transactionId }: StunHead) {
    if (transactionId.length !== 12) throw new RangeError(`a transaction id has 12 bytes, not ${transactionId.length}`);
    const index = CLASSES.indexOf(kind);
    const bits = (method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2);
    this.#head.writeUInt16BE(bits | ((index & 2) << 7) | ((index & 1) << 4), 0);
    this.#head.writeUInt32BE(COOKIE, 4);
    this.#head.set(transactionId, 8);
  }

  add(type: number, value: Uint8Array): this {
    const part = Buffer.alloc(4 + value.length + (-value.length & 3));
    part.writeUInt16BE(type, 0);
    part.writeUInt16BE(value.length, 2);
    part.set(value, 4);
    return this.#push(part);
  }

  /** An address as it is, or masked (RFC 8489 §14.2). @throws RangeError for an address that is none */
  addAddress(type: number, address: StunAddress, masked: boolean): this {
    const value = writeAddress(address);
    return this.add(type, masked ? unmask(value, this.#head) : value);
  }

  /** Something over all that is before it, whose length the header counts already (RFC 8489 §14.5, §14.7). */
  addOver(type: number, length: number, of: (before: Buffer) => Uint8Array): this {
    this.#head.writeUInt16BE(this.#length + 4 + length, 2);
    return this.add(type, of(Buffer.concat(this.#parts)));
  }

  /** The whole message. */
  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #push(part: Buffer): this {
    this.#parts.push(part);
    this.#length += part.length;
    this.#head.writeUInt16BE(this.#length, 2);
    return this;
  }
}

/** What comes before an attribute, with the length that the header had when it was written (RFC 8489 §14.5). */
export function bytesBefore(all: Buffer, { at, value }: StunAttribute): Buffer {
  const before = Buffer.from(all.subarray(0, at));
  before.writeUInt16BE(at - STUN_HEADER + 4 + value.length, 2);
  return before;
}

/** Reads an address (RFC 8489 §14.1, §14.2). @param mask - the message it is in, if it is masked */
export function readAddress(value: Buffer, mask?: Buffer): StunAddress | undefined {
  const ipv6 = value[1] === 2;
  if (value.length !== (ipv6 ? 20 : 8) || (!ipv6 && value[1] !== 1)) return undefined;
  const plain = mask === undefined ? value : unmask(value, mask);
  const bytes = plain.subarray(4);
  const port = plain.readUInt16BE(2);
  if (!ipv6) return { address: bytes.join("."), port };
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return { address: new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address, port };
}

/** Reads an ERROR-CODE (RFC 8489 §14.8). @returns 300 to 699; undefined if it is none */
export function readErrorCode(value: Buffer): number | undefined {
  const code = value.length < 4 ? 0 : (value.readUInt8(2) & 7) * 100 + value.readUInt8(3);
  return code < 300 || code > 699 ? undefined : code;
}

/** @throws RangeError for a code that is none */
export function writeErrorCode(code: number): Buffer {
  if (code < 300 || code > 699) throw new RangeError(`${code} is no error code of STUN`);
  return Buffer.from([0, 0, Math.floor(code / 100), code % 100]);
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
