/**
 * The keys of a share, derived from its code by HKDF-SHA256 (RFC 5869) with a label each: what is public, such as the key in
 * the DHT, tells nothing of the secret or of the other keys. The secret is uniform, so that no slow derivation is needed.
 */
import { hkdfSync } from "node:crypto";
import type { ShareKeys } from "./types.ts";

/** Distinguishes these keys from whatever else may be derived from a secret, and from later versions. */
const SALT = "snatch-share-1";

/** Derives them; the same from the same secret, always. @param secret - of a code, as `readCode` answers */
export function deriveKeys(secret: Uint8Array): ShareKeys {
  const derive = (label: string, length: number) =>
    new Uint8Array(hkdfSync("sha256", secret, SALT, `snatch ${label}`, length));
  const hex = (label: string, length: number) => Buffer.from(derive(label, length)).toString("hex");
  return {
    publicId: hex("public id", 16),
    lookupKey: hex("lookup key", 20),
    signalSeed: derive("signal seed", 32),
    signalKey: derive("signal key", 32),
    proofKey: derive("proof key", 32),
  };
}
