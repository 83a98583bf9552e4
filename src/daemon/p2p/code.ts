/** Codes as the room makes and reads them; how they are written is src/shared/share-code.ts, for the command line has to know, too. */
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
    throw failure("CODE_INVALID", `this is not a code: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Writes a secret as a code. @param secret - 15 bytes */
export function formatCode(secret: Uint8Array): string {
  return encodeShareCode(secret);
}
