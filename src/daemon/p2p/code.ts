/**
 * Codes: the secret of a share as people read it out, type it and paste it; how they are written is said in
 * shared/share-code.ts. A guess has to be made on the network, one handshake each; but the key by which a share is looked up
 * is public, so that the bits have to stand up to guessing without the network too.
 */
import { randomBytes } from "node:crypto";
import { decodeShareCode, encodeShareCode, SHARE_CODE_BYTES } from "../../shared/share-code.ts";
import { failure } from "../core/errors.ts";

/** Makes a new code: grouped, with its check character. */
export function makeCode(): string {
  return encodeShareCode(randomBytes(SHARE_CODE_BYTES));
}

/**
 * Reads a code as people give it: in either case, with or without hyphens and spaces, O for 0, I and L for 1, with
 * `snatch:` in front.
 *
 * @returns the secret, 15 bytes
 * @throws DownloadError CODE_INVALID, which never repeats the code
 */
export function readCode(text: string): Uint8Array {
  try {
    return decodeShareCode(text);
  } catch (error) {
    throw failure("CODE_INVALID", `this is not a code: ${error instanceof Error ? error.message : ""}`);
  }
}

/** Writes a secret as a code. @param secret - 15 bytes */
export function formatCode(secret: Uint8Array): string {
  return encodeShareCode(secret);
}
