/**
 * Codes and links of shares on the command line. A code is a secret: what is typed wrong is not repeated, and what was typed
 * right is taken out of the list of processes, where others can read it, as soon as that can be.
 */
import { decodeShareCode, encodeShareCode } from "../shared/share-code.ts";
import { fail, messageOf } from "./failure.ts";

/** True for a link that holds a code; false for the names that sessions show, which hold none. */
export function isShareLink(text: string): boolean {
  return /^\s*snatch:(?!\/*share\/)/i.test(text);
}

/** The code as it is written, if what was typed means one. @throws ClientError CODE_INVALID, without the code */
export function readShareCode(text: string): string {
  try {
    return encodeShareCode(decodeShareCode(text));
  } catch (error) {
    throw fail("CODE_INVALID", `that is not a code: ${messageOf(error)}`);
  }
}

/** The link of a code: what `get` takes, and a QR code holds. */
export function shareLink(code: string): string {
  return `snatch:${code}`;
}

/** Text for messages: a link without its code. */
export function hideCode(text: string): string {
  return isShareLink(text) ? "snatch:***" : text;
}

/** From here on the list of processes shows the command alone. */
export function hideArguments(command: string): void {
  process.title = `snatchctl ${command}`;
}
