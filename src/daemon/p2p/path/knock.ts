/**
 * What two peers that cannot simply call each other say to one another beforehand: the taker knocks, the giver answers. Each
 * has one message for the other, in place of its former one, and at most 700 bytes of it; so a message has both what its
 * sender wants as a taker and what it answers as a giver. Everything in it is hostile until checked.
 */
import { isIPv6 } from "node:net";
import { addressKind } from "../../core/address-kind.ts";
import type { Endpoint } from "../types.ts";
import { packAddress, unpackAddress } from "./ice-signal.ts";

/** What a taker says. It knocks again, with the same number, when it has more to say. */
export interface Knock {
  /** 32 random bytes: by them a giver that calls back is known. */
  readonly nonce: Buffer;
  /** The giver is to call back at the endpoints of the taker's presence. */
  readonly reverse: boolean;
  /** Where the taker will call from. */
  readonly punch: readonly Endpoint[];
  /** An offer. */
  readonly ice?: Buffer;
}

/** What a giver answers. */
export interface Answer {
  /** The beginning of the knock's number. */
  readonly to: Buffer;
  readonly punch: readonly Endpoint[];
  readonly ice?: Buffer;
}

/** A message. */
export interface PairMessage {
  readonly knock?: Knock;
  readonly answer?: Answer;
}

/** Bytes of a knock's number. */
const NONCE_BYTES = 32;
/** Bytes of a knock's number by which an answer names it. */
export const ANSWER_ID_BYTES = 8;
/** Bytes of a message. */
const LONGEST = 700;
const VERSION = 1;
const KNOCK = 1;
const ANSWER = 2;
const MOST_ENDPOINTS = 2;
const IPV6 = 6;
const IPV4 = 4;

/** Packs a message; if it is too long, the answer goes without ICE, then the knock. */
export function packMessage(message: PairMessage): Buffer {
  const { knock, answer } = message;
  const bytes = Buffer.concat([
    Buffer.of(VERSION),
    ...(knock ? [section(KNOCK, knock.nonce, Buffer.of(knock.reverse ? 1 : 0), places(knock.punch), knock.ice)] : []),
    ...(answer ? [section(ANSWER, answer.to, places(answer.punch), answer.ice)] : []),
  ]);
  if (bytes.length <= LONGEST) return bytes;
  if (answer?.ice) return packMessage({ ...message, answer: { to: answer.to, punch: answer.punch } });
  return packMessage({ ...(answer && { answer }) });
}

function section(type: number, ...parts: readonly (Buffer | undefined)[]): Buffer {
  const body = Buffer.concat(parts.filter((part) => part !== undefined));
  const head = Buffer.alloc(3);
  head.writeUInt8(type);
  head.writeUInt16BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function places(endpoints: readonly Endpoint[]): Buffer {
  const few = endpoints.slice(0, MOST_ENDPOINTS);
  const packed = few.map(({ host, port }) => {
    const end = Buffer.alloc(2);
    end.writeUInt16BE(port);
    return Buffer.concat([Buffer.of(isIPv6(host) ? IPV6 : IPV4), packAddress(host), end]);
  });
  return Buffer.concat([Buffer.of(few.length), ...packed]);
}

/** Unpacks what somebody sent; what cannot be read is not there. */
export function unpackMessage(bytes: Uint8Array): PairMessage {
  const buffer = Buffer.from(bytes);
  if (buffer.length > LONGEST || buffer[0] !== VERSION) return {};
  let at = 1;
  let message: PairMessage = {};
  while (at + 3 <= buffer.length) {
    const type = buffer.readUInt8(at);
    const length = buffer.readUInt16BE(at + 1);
    const body = buffer.subarray(at + 3, at + 3 + length);
    if (body.length < length) return {};
    at += 3 + length;
    if (type === KNOCK) message = { ...message, ...readKnock(body) };
    if (type === ANSWER) message = { ...message, ...readAnswer(body) };
  }
  return message;
}

function readKnock(body: Buffer): { readonly knock?: Knock } {
  const read = readPlaces(body, NONCE_BYTES + 1);
  if (read === undefined) return {};
  const { punch, ice } = read;
  const nonce = body.subarray(0, NONCE_BYTES);
  return { knock: { nonce, reverse: body[NONCE_BYTES] === 1, punch, ...(ice.length > 0 && { ice }) } };
}

function readAnswer(body: Buffer): { readonly answer?: Answer } {
  const read = readPlaces(body, ANSWER_ID_BYTES);
  if (read === undefined) return {};
  const { punch, ice } = read;
  return { answer: { to: body.subarray(0, ANSWER_ID_BYTES), punch, ...(ice.length > 0 && { ice }) } };
}

/** Only public addresses: whoever has another has no NAT to be punched. */
function readPlaces(body: Buffer, start: number): { readonly punch: Endpoint[]; readonly ice: Buffer } | undefined {
  const count = body[start];
  if (count === undefined || count > MOST_ENDPOINTS) return undefined;
  let at = start + 1;
  const punch: Endpoint[] = [];
  for (let n = 0; n < count; n++) {
    const ipv6 = body[at] === IPV6;
    const end = at + 1 + (ipv6 ? 16 : 4);
    const host = unpackAddress(body.subarray(at + 1, end), ipv6);
    if (host === undefined || body.length < end + 2) return undefined;
    const port = body.readUInt16BE(end);
    if (port >= 1024 && addressKind(host) === "public") punch.push({ host, port, kind: ipv6 ? "ipv6" : "direct" });
    at = end + 2;
  }
  return { punch, ice: body.subarray(at) };
}
