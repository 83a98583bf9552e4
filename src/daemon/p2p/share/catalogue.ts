/**
 * The catalogue of a share: its files with their names, times, modes and manifests, in one row of bytes. Its SHA-256 is the
 * share's root, which a giver names first; what it gives after that either has this root or is not read. That it has the root
 * says nothing of what is in it: who knows the code may be no friend, so that every field is checked before it is used.
 *
 * All integers are big-endian: version (8 bits), count (32), and for each file the name's length in bytes (16), the name in
 * UTF-8, the mode (16), the time of the last change (48, signed, milliseconds since the epoch), the size (64), the chunk size
 * (32) and the SHA-256 of each chunk.
 */
import { createHash, type Hash } from "node:crypto";
import { setImmediate as breathe } from "node:timers/promises";
import { failure } from "../../core/errors.ts";
import { chunkCount, type Manifest, makeManifest } from "../../core/manifest.ts";
import { NameSet } from "./catalogue-names.ts";

/** A file of a share. */
export interface CatalogueEntry {
  /** Relative, with forward slashes: "a/b.txt". It leads nowhere else, but is not made safe in any other way. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits: at most 0o777. */
  readonly mode: number;
  /** Milliseconds since the epoch, whole. */
  readonly mtimeMs: number;
  /** Of a decoded one it is made anew whenever it is asked for: the digests stay as bytes until then. */
  readonly manifest: Manifest;
}

/** A file of a catalogue that was read. */
export interface DecodedEntry extends CatalogueEntry {
  /** The manifest's: here it costs nothing. */
  readonly chunkSize: number;
}

/** What a catalogue may be at most. */
export interface CatalogueLimits {
  readonly bytes: number;
  readonly files: number;
}

/** Enough for 100,000 files, or 32 TiB. */
export const CATALOGUE_LIMITS: CatalogueLimits = { bytes: 64 * 1024 * 1024, files: 100_000 };

/** Chunks of a manifest that are taken, in bytes: smaller ones are mostly digests, larger ones fill memory. */
export const CHUNK_SIZES = { least: 64 * 1024, most: 16 * 1024 * 1024 } as const;

const VERSION = 1;
const HEAD = 5;
const DIGEST = 32;
/** Of an entry, without the name and the digests. */
const FIXED = 2 + 2 + 6 + 8 + 4;
const MOST_MODE = 0o777;
/** 48 bits, signed: the years 2489 BC to 6429. */
const MOST_TIME = 2 ** 47 - 1;

/** Milliseconds between two rests: other work goes on meanwhile. And entries between two looks at the clock. */
const TURN_MS = 20;
const LOT = 100;

/** @throws DownloadError SHARE_INVALID if there is no file, or more than {@link CATALOGUE_LIMITS} allow */
export function encodeCatalogue(entries: readonly CatalogueEntry[]): Buffer {
  if (entries.length === 0) throw failure("SHARE_INVALID", "there is no file to share");
  const { files, bytes: most } = CATALOGUE_LIMITS;
  if (entries.length > files)
    throw failure("SHARE_INVALID", `${entries.length} files are more than a share can have (${files})`);
  const size = entries.reduce((sum, entry) => sum + encodedSize(entry), HEAD);
  if (size > most)
    throw failure("SHARE_INVALID", `the list of files and chunks has ${size} bytes, a share's may have ${most}`);
  const bytes = Buffer.allocUnsafeSlow(size);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt32BE(entries.length, 1);
  let at = HEAD;
  for (const { name, size: length, mode, mtimeMs, manifest } of entries) {
    const nameLength = bytes.write(name, at + 2);
    at = bytes.writeUInt16BE(nameLength, at) + nameLength;
    at = bytes.writeUInt16BE(mode & MOST_MODE, at);
    at = bytes.writeIntBE(Math.max(-MOST_TIME, Math.min(Math.floor(mtimeMs), MOST_TIME)), at, 6);
    at = bytes.writeBigUInt64BE(BigInt(length), at);
    at = bytes.writeUInt32BE(manifest.chunkSize, at);
    for (const chunk of manifest.chunks) at += bytes.write(chunk, at, "hex");
  }
  return bytes;
}

/** Bytes that an entry takes in a catalogue. */
function encodedSize({ name, manifest }: CatalogueEntry): number {
  return Buffer.byteLength(name) + FIXED + manifest.chunks.length * DIGEST;
}

/** The root of a share, lower-case hex. */
export function catalogueRoot(bytes: Uint8Array): string {
  return catalogueHash().update(bytes).digest("hex");
}

/** What makes a root out of a catalogue that comes in pieces. */
export function catalogueHash(): Hash {
  return createHash("sha256").update(`snatch-catalogue-${VERSION}\n`);
}

/**
 * Reads a catalogue that somebody sent. The bytes must stay as they are: manifests are read out of them when they are asked for.
 *
 * @throws DownloadError SHARE_REFUSED: names that lead elsewhere or mean the same file, sizes that cannot be, bytes that are no
 *   catalogue
 */
export async function decodeCatalogue(
  bytes: Uint8Array,
  limits: CatalogueLimits = CATALOGUE_LIMITS,
): Promise<readonly DecodedEntry[]> {
  if (bytes.length > limits.bytes) throw refused(`it has ${bytes.length} bytes, more than ${limits.bytes}`);
  const reader = new Reader(bytes);
  const count = reader.head(limits.files);
  const names = new NameSet();
  const entries: DecodedEntry[] = [];
  let total = 0;
  let rested = performance.now();
  while (entries.length < count) {
    const entry = reader.entry();
    const problem = names.add(entry.name);
    if (problem !== undefined) throw refused(`the name ${shown(entry.name)} cannot be taken: ${problem}`);
    total += entry.size;
    if (!Number.isSafeInteger(total)) throw refused("its files have more bytes than can be counted");
    entries.push(entry);
    if (entries.length % LOT !== 0 || performance.now() - rested < TURN_MS) continue;
    await breathe();
    rested = performance.now();
  }
  if (!reader.atEnd) throw refused("there are bytes behind its last file");
  return entries;
}

class Reader {
  readonly #bytes: Buffer;
  readonly #text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  head(most: number): number {
    const at = this.#take(HEAD);
    const version = this.#bytes.readUInt8(at);
    if (version !== VERSION) throw refused(`it is of version ${version}, and this program reads version ${VERSION}`);
    const count = this.#bytes.readUInt32BE(at + 1);
    if (count === 0) throw refused("it names no file");
    if (count > most) throw refused(`it names ${count} files, more than ${most}`);
    return count;
  }

  entry(): DecodedEntry {
    const name = this.#name();
    const at = this.#take(FIXED - 2);
    const mode = this.#bytes.readUInt16BE(at);
    if (mode > MOST_MODE) throw refused(`the mode of ${shown(name)} is 0o${mode.toString(8)}`);
    const mtimeMs = this.#bytes.readIntBE(at + 2, 6);
    const size = Number(this.#bytes.readBigUInt64BE(at + 8));
    if (!Number.isSafeInteger(size)) throw refused(`the size of ${shown(name)} is more than can be counted`);
    const chunkSize = this.#bytes.readUInt32BE(at + 16);
    if (chunkSize < CHUNK_SIZES.least || chunkSize > CHUNK_SIZES.most)
      throw refused(`the chunks of ${shown(name)} have ${chunkSize} bytes`);
    const length = chunkCount(size, chunkSize) * DIGEST;
    const from = this.#take(length);
    const digests = this.#bytes.subarray(from, from + length);
    return {
      name,
      size,
      mode,
      mtimeMs,
      chunkSize,
      get manifest() {
        return readManifest(size, chunkSize, digests);
      },
    };
  }

  #name(): string {
    const length = this.#bytes.readUInt16BE(this.#take(2));
    const at = this.#take(length);
    try {
      return this.#text.decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw refused("a name in it is not UTF-8");
    }
  }

  /** @returns where the next `length` bytes begin */
  #take(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at) throw refused("it ends in the middle");
    this.#at = at + length;
    return at;
  }
}

/** A manifest of raw digests in a row. */
export function readManifest(size: number, chunkSize: number, digests: Uint8Array): Manifest {
  const hex = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength);
  const chunks = Array.from({ length: digests.length / DIGEST }, (_, index) =>
    hex.toString("hex", index * DIGEST, (index + 1) * DIGEST),
  );
  return makeManifest(size, chunkSize, chunks);
}

/** As people can look at it, whatever is in it. */
function shown(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

function refused(why: string): Error {
  return failure("SHARE_REFUSED", `the list of files that the peer offers is refused: ${why}`);
}
