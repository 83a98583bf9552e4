/**
 * Ed25519 (RFC 8032) as BEP 44 wants it: raw keys and signatures. node:crypto takes keys in DER only, so they are wrapped as
 * RFC 8410 says; for a key of this kind all but the 32 bytes is always the same.
 */
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";

/** What stands before the 32 bytes of a seed in PKCS #8 (RFC 8410 §7). */
const PRIVATE_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** What stands before the 32 bytes of a public key in SPKI (RFC 8410 §4). */
const PUBLIC_HEAD = Buffer.from("302a300506032b6570032100", "hex");

/** A key pair that signs. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** @returns 64 bytes */
  sign(data: Uint8Array): Buffer;
}

/** The key pair of a seed. @param seed - 32 bytes */
export function signingKey(seed: Uint8Array): SigningKey {
  if (seed.length !== 32) throw new TypeError(`a seed has 32 bytes, not ${seed.length}`);
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_HEAD, seed]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { publicKey: spki.subarray(PUBLIC_HEAD.length), sign: (data) => sign(null, data, key) };
}

/** True if the signature is right. Whatever is no key and no signature is not right, too. */
export function isSigned(signature: Uint8Array, data: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_HEAD, publicKey]), format: "der", type: "spki" });
    return verify(null, data, key, signature);
  } catch {
    return false;
  }
}
