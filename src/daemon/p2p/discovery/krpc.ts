/**
 * Packets of the DHT (BEP 5, BEP 44), looked at before the library sees them: some that are well-formed but have a number
 * where bytes belong make it throw, and then the process would die of one datagram of a stranger. What does not have the
 * form that the standards give it counts as lost.
 */
import { type Bencoded, type BencodedMap, decode } from "./bencode.ts";

/** Longer datagrams are neither sent nor read: they would be fragmented, and nothing of the DHT needs them. */
export const LONGEST_PACKET = 1400;

/** How a query ends, and what it says of us if nobody is to ask us. */
const QUERY = Buffer.from("1:y1:qe");
const READ_ONLY = Buffer.from("2:roi1e");

/** A packet that has the right form. */
export interface Packet {
  readonly kind: "query" | "reply" | "error";
  /** Transaction. */
  readonly t: Buffer;
  /** Arguments of a query, values of a reply; absent in an error. */
  readonly body?: BencodedMap;
  /** The code of an error (BEP 5, BEP 44), or 0. */
  readonly code: number;
}

/** A node, as a reply names it. */
export interface NodeContact {
  /** 20 bytes. */
  readonly id: Buffer;
  readonly host: string;
  readonly port: number;
}

/** Reads a datagram. @returns undefined if it is none of the DHT's */
export function readPacket(bytes: Buffer): Packet | undefined {
  if (bytes.length > LONGEST_PACKET || bytes[0] !== 0x64) return undefined;
  const message = decode(bytes);
  if (!isMap(message)) return undefined;
  const t = message.get("t");
  if (!isBytes(t, 2, 32)) return undefined;
  switch (textOf(message.get("y"))) {
    case "q": {
      const body = message.get("a");
      return isMap(body) && isQuery(textOf(message.get("q")), body) ? { kind: "query", t, body, code: 0 } : undefined;
    }
    case "r": {
      const body = message.get("r");
      return isMap(body) && isReply(body) ? { kind: "reply", t, body, code: 0 } : undefined;
    }
    case "e": {
      const error = message.get("e");
      if (!isList(error)) return undefined;
      return { kind: "error", t, code: typeof error[0] === "number" ? error[0] : 0 };
    }
    default:
      return undefined;
  }
}

/**
 * Says in a query of ours that we answer none, so that nobody keeps us among the nodes that he asks (BEP 43). Anything else
 * stays as it is.
 */
export function asReadOnly(bytes: Uint8Array): Uint8Array {
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!packet.subarray(-QUERY.length).equals(QUERY)) return bytes;
  // "ro" comes between the name of the query and the transaction: keys are sorted.
  for (const length of [2, 4]) {
    const at = packet.length - QUERY.length - length - 5;
    if (at > 0 && packet.toString("latin1", at, at + 5) === `1:t${length}:`)
      return Buffer.concat([packet.subarray(0, at), READ_ONLY, packet.subarray(at)]);
  }
  return bytes;
}

/** The nodes that a reply names, at most `most`. */
export function nodesOf(body: BencodedMap, most: number): readonly NodeContact[] {
  const bytes = body.get("nodes");
  if (!Buffer.isBuffer(bytes)) return [];
  const nodes: NodeContact[] = [];
  for (let at = 0; at + 26 <= bytes.length && nodes.length < most; at += 26) {
    const host = bytes.subarray(at + 20, at + 24).join(".");
    nodes.push({ id: bytes.subarray(at, at + 20), host, port: bytes.readUInt16BE(at + 24) });
  }
  return nodes;
}

function isQuery(name: string | undefined, body: BencodedMap): boolean {
  if (!isBytes(body.get("id"), 20)) return false;
  switch (name) {
    case "ping":
      return true;
    case "find_node":
    case "get":
      return isBytes(body.get("target"), 20);
    case "get_peers":
      return isBytes(body.get("info_hash"), 20);
    case "announce_peer":
      return isBytes(body.get("info_hash"), 20) && isBytes(body.get("token"), 1, 64) && isPort(body);
    case "put":
      return isBytes(body.get("token"), 1, 64) && isItem(body, true) && mayBe(body.get("cas"), isSequence);
    default:
      return false;
  }
}

function isReply(body: BencodedMap): boolean {
  const values = body.get("values");
  return (
    isBytes(body.get("id"), 20) &&
    mayBe(body.get("token"), (token) => isBytes(token, 1, 64)) &&
    mayBe(body.get("nodes"), (nodes) => Buffer.isBuffer(nodes)) &&
    (values === undefined || (isList(values) && values.every((value) => isBytes(value, 6, 18)))) &&
    isItem(body, false)
  );
}

/** An item: both of key and signature, or none. A value in a list or dictionary is somebody else's, and left to others. */
function isItem(body: BencodedMap, required: boolean): boolean {
  const [v, k, sig] = [body.get("v"), body.get("k"), body.get("sig")];
  if (v === undefined) return !required;
  if (!isBytes(v, 0, 1000) || !mayBe(body.get("salt"), (salt) => isBytes(salt, 0, 64))) return false;
  if (k === undefined && sig === undefined) return true;
  return isBytes(k, 32) && isBytes(sig, 64) && isSequence(body.get("seq"));
}

function isPort(body: BencodedMap): boolean {
  const port = body.get("port");
  return body.get("implied_port") === 1 || (typeof port === "number" && port > 0 && port < 65_536);
}

function isSequence(value: Bencoded | undefined): boolean {
  return typeof value === "number" && value >= 0;
}

function mayBe(value: Bencoded | undefined, check: (value: Bencoded) => boolean): boolean {
  return value === undefined || check(value);
}

function isMap(value: Bencoded | undefined): value is BencodedMap {
  return value instanceof Map;
}

function isList(value: Bencoded | undefined): value is readonly Bencoded[] {
  return Array.isArray(value);
}

function isBytes(value: Bencoded | undefined, least: number, most = least): value is Buffer {
  return Buffer.isBuffer(value) && value.length >= least && value.length <= most;
}

function textOf(value: Bencoded | undefined): string | undefined {
  return Buffer.isBuffer(value) ? value.toString("latin1") : undefined;
}
