/**
 * What lies in an item of the DHT, between those who know a code: AES-256-GCM under a key of the code, bound to its place and
 * to whom it is from and for, padded to one of two sizes so that the length tells nothing. Salts are made with the same key:
 * whoever keeps the items can tell neither what they are, nor which belong together but by the public key.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import type { NatType } from "../../core/peers.ts";
import type { Endpoint, Presence, ShareKeys } from "../types.ts";
import { isPortNumber, reachOf } from "./endpoint-filter.ts";

/** Sizes of what is sealed, in bytes, with a length of two in front. */
const SIZES = [320, 768] as const;

/** What comes on top: nonce and tag. */
const NONCE = 12;
const TAG = 16;

/** The longest message in bytes; eight more tell its time. */
export const LONGEST_MESSAGE = 700;

/** Endpoints of one presence. */
const MOST_ENDPOINTS = 8;

const PEER_ID = /^[0-9a-f]{64}$/;

/** What one can be capable of, and how it is called in a name. */
const CAPABILITY = /^[a-z0-9-]{1,16}$/;

const NAT_TYPES: readonly string[] = [
  "none",
  "full-cone",
  "restricted-cone",
  "port-restricted-cone",
  "symmetric",
  "firewall",
  "udp-blocked",
  "unknown",
] satisfies readonly NatType[];

const ENDPOINT_KINDS: readonly string[] = ["explicit", "lan", "ipv6", "direct", "mapped"] satisfies Endpoint["kind"][];

/** The salt of a place: 20 bytes. @param names - what the place is for */
export function saltOf(keys: ShareKeys, ...names: readonly string[]): Buffer {
  return createHmac("sha256", keys.signalKey)
    .update(`snatch-salt-1\n${names.join("\n")}`)
    .digest()
    .subarray(0, 20);
}

/** Seals. @param context - to what it is bound, along with the place @throws RangeError if it is too long */
export function seal(keys: ShareKeys, salt: Buffer, context: readonly string[], content: Uint8Array): Buffer {
  const size = SIZES.find((candidate) => content.length + 2 <= candidate);
  if (size === undefined) throw new RangeError(`${content.length} bytes are too many for a signal`);
  const padded = Buffer.alloc(size);
  padded.writeUInt16BE(content.length);
  padded.set(content, 2);
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv("aes-256-gcm", keys.signalKey, nonce);
  cipher.setAAD(bindingOf(salt, context));
  return Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what {@link seal} made. @returns undefined if it is anything else */
export function open(keys: ShareKeys, salt: Buffer, context: readonly string[], sealed: Buffer): Buffer | undefined {
  const size = sealed.length - NONCE - TAG;
  if (!SIZES.some((candidate) => candidate === size)) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", keys.signalKey, sealed.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(bindingOf(salt, context));
  decipher.setAuthTag(sealed.subarray(-TAG));
  try {
    const padded = Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]);
    const length = padded.readUInt16BE();
    return length <= size - 2 ? padded.subarray(2, 2 + length) : undefined;
  } catch {
    return undefined;
  }
}

function bindingOf(salt: Buffer, context: readonly string[]): Buffer {
  return Buffer.concat([salt, Buffer.from(`snatch-signal-1\n${context.join("\n")}`)]);
}

/** A presence as bytes: as many endpoints as there is room for, the first ones first. */
export function encodePresence(presence: Presence): Buffer {
  const { peerId, shares, natType, capabilities, time } = presence;
  const endpoints = presence.endpoints.slice(0, MOST_ENDPOINTS).map(({ host, port, kind }) => [host, port, kind]);
  for (;;) {
    const bytes = Buffer.from(JSON.stringify([peerId, shares, natType, capabilities, Math.floor(time), endpoints]));
    if (bytes.length + 2 <= SIZES[1] || endpoints.pop() === undefined) return bytes;
  }
}

/** Reads one: it was written by somebody who knows the code, and need not be right. @returns undefined if it is not */
export function decodePresence(bytes: Buffer): Presence | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [peerId, shares, natType, capabilities, time, endpoints]: unknown[] = value;
  if (typeof peerId !== "string" || !PEER_ID.test(peerId) || typeof shares !== "boolean") return undefined;
  if (!isNatType(natType) || !Array.isArray(capabilities) || !Array.isArray(endpoints)) return undefined;
  if (typeof time !== "number" || !Number.isSafeInteger(time) || time < 0) return undefined;
  return {
    peerId,
    shares,
    natType,
    time,
    capabilities: capabilities
      .filter((item): item is string => typeof item === "string" && CAPABILITY.test(item))
      .slice(0, 8),
    endpoints: endpoints.slice(0, MOST_ENDPOINTS).flatMap((endpoint: unknown) => endpointOf(endpoint) ?? []),
  };
}

/** An endpoint that may be called, as far as it tells itself; a name would have us ask a stranger's name server. */
function endpointOf(value: unknown): Endpoint | undefined {
  if (!Array.isArray(value)) return undefined;
  const [host, port, kind]: unknown[] = value;
  if (typeof host !== "string" || isIP(host) === 0 || host.includes("%") || reachOf(host) === "unusable")
    return undefined;
  return isPortNumber(port) && isKind(kind) ? { host, port, kind } : undefined;
}

/** True for one of the kinds that there are. */
export function isNatType(value: unknown): value is NatType {
  return typeof value === "string" && NAT_TYPES.includes(value);
}

/** True for the form of a peer's id. */
export function isPeerId(value: string): boolean {
  return PEER_ID.test(value);
}

function isKind(value: unknown): value is Endpoint["kind"] {
  return typeof value === "string" && ENDPOINT_KINDS.includes(value);
}
