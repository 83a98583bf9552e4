/**
 * What the taker writes into frames, and reads out of them. Lengths were checked when the frame came (wire.ts); what is in
 * it was not: an offer has to be one that can be, and the words of a refusal are cleaned before a person sees them.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import { type DownloadError, failure } from "../../core/errors.ts";
import { breach } from "../channel/wire.ts";
import { CATALOGUE_LIMITS } from "../share/catalogue.ts";
import { nameProblem } from "../share/catalogue-names.ts";
import type { Offer } from "../types.ts";

/** Codes that a peer may give as its reason; whatever else it says counts as PEER_REFUSED. */
const REASONS: ReadonlySet<ErrorCode> = new Set(["PEER_REFUSED", "SHARE_CHANGED"]);

/** Characters of a peer's words that are shown. */
const LONGEST_WORDS = 200;

/** The least that a catalogue has for a file, besides its digests: everything but one character of its name. */
const LEAST_ENTRY = 23;

const ROOT = /^[0-9a-f]{64}$/;

/** A request's frame. `start`, `length` in bytes of the file. */
export function encodeRequest(id: number, file: number, start: number, length: number, credit: number): Buffer {
  const bytes = Buffer.allocUnsafe(28);
  bytes.writeUInt32BE(id, 0);
  bytes.writeUInt32BE(file, 4);
  bytes.writeBigUInt64BE(BigInt(start), 8);
  bytes.writeBigUInt64BE(BigInt(length), 16);
  bytes.writeUInt32BE(credit, 24);
  return bytes;
}

/** Integers of 32 bits in a row: what credit, cancel and catalogueRequest consist of. */
export function encodeNumbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  values.forEach((value, index) => void bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

/**
 * Reads an offer.
 *
 * @throws NetworkError PEER_MISBEHAVED if it is none; ResourceError SHARE_REFUSED if its name or sizes cannot be taken
 */
export function readOffer(payload: Buffer): Offer {
  const fields = readJson(payload);
  if (fields === undefined) throw breach("its offer is no JSON object");
  const { version, kind, name, root, catalogueSize, fileCount, size, complete } = fields;
  if (version !== 1) throw refused(`its offer is of version ${shown(version)}, and this program reads version 1`);
  if (kind !== "file" && kind !== "folder") throw breach("its offer is neither of a file nor of a folder");
  if (typeof name !== "string" || typeof root !== "string" || !ROOT.test(root) || typeof complete !== "boolean")
    throw breach("a field of its offer is missing or wrong");
  const problem = name.includes("/") ? "it leads into a folder" : nameProblem(name);
  if (problem !== undefined) throw refused(`its name ${shown(name)} cannot be taken: ${problem}`);
  const { bytes, files } = CATALOGUE_LIMITS;
  const within = (value: unknown, least: number, most: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
  if (!within(fileCount, 1, files) || (kind === "file" && fileCount !== 1))
    throw refused(`${shown(fileCount)} files are not what a ${kind} can have`);
  if (!within(catalogueSize, LEAST_ENTRY * fileCount, bytes))
    throw refused(`a list of files of ${shown(catalogueSize)} bytes cannot be`);
  if (!within(size, 0, Number.MAX_SAFE_INTEGER)) throw refused(`a size of ${shown(size)} bytes cannot be`);
  return { version, kind, name, root, catalogueSize, fileCount, size, complete };
}

/** Why a peer refuses or goes, in clean words. @param what - what it says so of, for people */
export function readReason(payload: Buffer, what: string): DownloadError {
  const { code, message } = readJson(payload) ?? {};
  const known = typeof code === "string" && REASONS.has(code as ErrorCode);
  const words =
    typeof message === "string"
      ? message
          .slice(0, LONGEST_WORDS)
          .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ")
          .trim()
      : "";
  return failure(known ? (code as ErrorCode) : "PEER_REFUSED", `${what}${words === "" ? "" : `: ${words}`}`);
}

function readJson(payload: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** The error of an offer or catalogue that is not taken. */
export function refused(why: string): DownloadError {
  return failure("SHARE_REFUSED", `what a peer offers is refused: ${why}`);
}
