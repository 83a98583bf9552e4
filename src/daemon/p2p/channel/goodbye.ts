/**
 * The last word on a channel, and the words of a refusal: code and message as JSON. What comes from a peer is cleaned before
 * a person reads it, and only what a peer may decide becomes an error of that code.
 */
import { ERRORS, type ErrorCode } from "../../../shared/errors.ts";
import { type DownloadError, failure } from "../../core/errors.ts";

const LONGEST_MESSAGE = 500;

/** Whose messages are made for a peer; those of others may name what is on this machine. */
const FOR_PEERS: ReadonlySet<ErrorCode> = new Set(["PEER_REFUSED", "PEER_BUSY", "PEER_MISBEHAVED", "SHARE_ENDED"]);

/** What a peer's code means here. What it says of us is no reason to think ill of it. */
const FROM_PEERS: Readonly<Record<string, ErrorCode>> = {
  PEER_REFUSED: "PEER_REFUSED",
  PEER_BUSY: "PEER_BUSY",
  PEER_MISBEHAVED: "PEER_REFUSED",
  SHARE_NOT_FOUND: "PEER_REFUSED",
  SHARE_CHANGED: "SHARE_CHANGED",
  SHARE_ENDED: "SHARE_ENDED",
};

/** Writes it. */
export function encodeGoodbye(reason: DownloadError): Buffer {
  const message = FOR_PEERS.has(reason.code) ? reason.message : ERRORS[reason.code].meaning;
  return Buffer.from(JSON.stringify({ code: reason.code, message: message.slice(0, LONGEST_MESSAGE) }));
}

/** Reads it, whatever it is. */
export function decodeGoodbye(payload: Buffer): DownloadError {
  const { code, message } = parse(payload);
  const known = typeof code === "string" && Object.hasOwn(FROM_PEERS, code) ? FROM_PEERS[code] : undefined;
  const said = typeof message === "string" ? clean(message) : "";
  const words = said === "" ? "the peer has ended the connection without a reason" : `the peer says: ${said}`;
  return failure(known ?? "CONNECTION_LOST", words);
}

function parse(payload: Buffer): { readonly code?: unknown; readonly message?: unknown } {
  try {
    const value: unknown = JSON.parse(payload.toString("utf8"));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Without what a terminal would obey, or show backwards. */
function clean(text: string): string {
  return text
    .slice(0, LONGEST_MESSAGE)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
}
