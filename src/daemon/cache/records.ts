/**
 * How entries are written down: what a caller gets of one in the space `cache`, and what the vault has to know of all of
 * them, a line of some 70 bytes each, in `cache-index`, so that 100,000 are read in a fraction of a second. Both are written
 * and deleted in one batch, after the body is there.
 */
import { hash } from "node:crypto";
import type { CacheEntry, VaultKind } from "./vault.ts";

/** Entries as JSON, by {@link slotId}. */
export const ENTRIES = "cache";
/** What is held in memory of them. */
export const INDEX = "cache-index";
/** What the vault knows of itself. */
export const META = "cache-meta";

/** The kinds. */
export const KINDS: readonly VaultKind[] = ["metadata", "thumbnail", "fragment"];

const LETTERS: Readonly<Record<VaultKind, string>> = { metadata: "m", thumbnail: "t", fragment: "f" };
const DIGEST_LENGTH = 44;
const DIGEST = /^[A-Za-z0-9+/]{43}=$/;

/**
 * The key of an entry in the database: 128 bits of the SHA-256 of its own, which may have any length. The entry holds the key
 * whole, and it is compared.
 */
export function slotId(kind: VaultKind, key: string): string {
  return LETTERS[kind] + hash("sha256", key, "base64url").slice(0, 22);
}

/** Which kind an id is of; undefined if of none. */
export function kindOf(id: string): VaultKind | undefined {
  return KINDS.find((kind) => LETTERS[kind] === id[0]);
}

/** One line of the index. */
export interface IndexLine {
  /** SHA-256, base64. */
  readonly digest: string;
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly used: number;
  /** The same; Infinity: never. */
  readonly expiresAt: number;
}

/** Writes a line. */
export function encodeLine({ digest, size, used, expiresAt }: IndexLine): string {
  const expiry = expiresAt === Number.POSITIVE_INFINITY ? "" : Math.trunc(expiresAt).toString(36);
  return `${digest}${size.toString(36)},${Math.trunc(used).toString(36)},${expiry}`;
}

/** Reads a line; undefined if it is none. */
export function decodeLine(text: string): IndexLine | undefined {
  const digest = text.slice(0, DIGEST_LENGTH);
  const [size = "", used = "", expiry = ""] = text.slice(DIGEST_LENGTH).split(",");
  const line = {
    digest,
    size: Number.parseInt(size, 36),
    used: Number.parseInt(used, 36),
    expiresAt: expiry === "" ? Number.POSITIVE_INFINITY : Number.parseInt(expiry, 36),
  };
  const sound = DIGEST.test(digest) && line.size >= 0 && !Number.isNaN(line.used) && !Number.isNaN(line.expiresAt);
  return sound ? line : undefined;
}

/** Writes an entry. */
export function encodeEntry({ key, digest, size, storedAt, expiresAt, note }: CacheEntry): string {
  return JSON.stringify([key, digest, size, storedAt, expiresAt ?? null, note]);
}

/** Reads an entry; undefined if it is none. */
export function decodeEntry(kind: VaultKind, text: string): CacheEntry | undefined {
  try {
    const [key, digest, size, storedAt, expiresAt, note] = JSON.parse(text) as unknown[];
    if (typeof key !== "string" || typeof digest !== "string" || typeof note !== "string") return undefined;
    if (typeof size !== "number" || typeof storedAt !== "number") return undefined;
    return { kind, key, digest, size, storedAt, ...(typeof expiresAt === "number" && { expiresAt }), note };
  } catch {
    return undefined;
  }
}
