/**
 * How both ends prove that they know the code, once TLS stands. Each sends an HMAC, by a key of the code, over the role, the
 * two keys that this end has seen, and TLS's exporter (RFC 5705, RFC 8446 §7.5), which only the two ends of this very
 * connection know. Somebody in between has two connections with two exporters, and his own key in each: a proof of one is
 * worth nothing in the other, even where the exporters could be made the same (TLS 1.2 without extended master secret,
 * RFC 7627 §1, which OpenSSL uses wherever both ends know it), since the keys of both ends are in it. The role keeps a proof
 * from being sent back. The taker proves first, so that nobody can collect proofs by calling a giver.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { ShareKeys } from "../types.ts";
import type { Role } from "./wire.ts";

/** What a proof is about. */
export interface Binding {
  readonly takerId: string;
  readonly giverId: string;
  /** 32 bytes of the exporter. */
  readonly exporter: Uint8Array;
}

/** What begins a channel, each way: who we are, whether chunks may go in the clear, and the proof. */
export interface Hello {
  readonly plain: boolean;
  readonly proof: Buffer;
}

/** Name and version of the protocol. */
const MAGIC = Buffer.from("snatch\x01", "latin1");

const PROOF_BYTES = 32;

/** Bytes of a hello. */
export const HELLO_BYTES = MAGIC.length + 1 + PROOF_BYTES;

const PLAIN = 1;

/** The label under which TLS exports what the proofs are bound to. */
export const EXPORTER_LABEL = "EXPORTER-snatch-proof-1";

/** Writes a hello. */
export function encodeHello(keys: ShareKeys, role: Role, plain: boolean, binding: Binding): Buffer {
  return Buffer.concat([MAGIC, Buffer.of(plain ? PLAIN : 0), proofOf(keys, role, plain, binding)]);
}

/** Reads a hello, which proves nothing yet. @returns undefined if it is none of this version */
export function decodeHello(bytes: Buffer): Hello | undefined {
  const flags = bytes[MAGIC.length] ?? 0;
  if (bytes.length !== HELLO_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC) || flags > PLAIN) return undefined;
  return { plain: flags === PLAIN, proof: bytes.subarray(MAGIC.length + 1) };
}

/** True if whoever sent the hello knows the code. */
export function isProved(hello: Hello, keys: ShareKeys, role: Role, binding: Binding): boolean {
  return timingSafeEqual(hello.proof, proofOf(keys, role, hello.plain, binding));
}

function proofOf(keys: ShareKeys, role: Role, plain: boolean, { takerId, giverId, exporter }: Binding): Buffer {
  // Every part has a length of its own: nothing can be moved from one into the next.
  return createHmac("sha256", keys.proofKey)
    .update(`snatch proof 1\n${role}\n${plain ? "plain" : "tls"}\n${takerId}\n${giverId}\n`)
    .update(exporter)
    .digest();
}
