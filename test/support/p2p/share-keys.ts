/** Keys as a code gives them, without a code: random ones. */
import { randomBytes } from "node:crypto";
import type { ShareKeys } from "../../../src/daemon/p2p/types.ts";

/** Keys of a share that nobody else has. */
export function someKeys(): ShareKeys {
  return {
    publicId: randomBytes(16).toString("hex"),
    lookupKey: randomBytes(20).toString("hex"),
    signalSeed: randomBytes(32),
    signalKey: randomBytes(32),
    proofKey: randomBytes(32),
  };
}

/** An id as peers have it. */
export function somePeerId(): string {
  return randomBytes(32).toString("hex");
}
