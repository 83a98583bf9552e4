/**
 * What is written down about the chunks of stored files, and nothing of the bytes themselves. A file of one chunk, as most
 * are, is one entry under the SHA-256 of that chunk, which is also the file's; a larger one has a head, its chunks in
 * blocks, and an entry for each that leads to the head. Whatever cannot be read is treated as absent.
 */
import { hash } from "node:crypto";
import type { PlacedFile } from "../core/ports/files.ts";
import type { Write } from "../core/ports/key-value.ts";
import type { StoredFile } from "../core/session.ts";

/** The spaces of the index. */
export const SPACE = {
  /** SHA-256 of a chunk → a file of that one chunk, or a file's id and the chunk's number */
  chunk: "fragment",
  /** id → head of a file of several chunks */
  file: "fragment-file",
  /** id!block → SHA-256 of its chunks */
  grid: "fragment-grid",
  /** algorithm and digest of a whole file → id, or SHA-256 of its only chunk */
  digest: "fragment-digest",
} as const;

/** Chunks of one block. */
const BLOCK = 1024;

const BLOCK_WIDTH = 6;
const HEX = 64;

/** Digests by which a file is found. Others can be forged: what has them need not be what was meant. */
const TRUSTED: ReadonlySet<string> = new Set(["sha-256", "sha-512"]);

/** A file of one chunk, or the head of one of several. */
export interface FileRecord extends StoredFile {
  /** Milliseconds since the epoch; the oldest leave first. */
  readonly at: number;
  readonly chunkSize: number;
  /** Keys of its digests. */
  readonly digests: readonly string[];
}

/** What the entry of a chunk says. */
export type ChunkEntry = FileRecord | { readonly id: string; readonly index: number };

/** A digest as a key; undefined if files are not found by such. */
export function digestKey({ algorithm, value }: { algorithm: string; value: string }): string | undefined {
  return TRUSTED.has(algorithm) && /^[0-9a-f]{64,128}$/.test(value) ? `${algorithm} ${value}` : undefined;
}

/** What a file of several chunks is known by: a later file at the same path takes its place. */
const fileId = (path: string): string => hash("sha256", path, "hex").slice(0, 32);
const blockKey = (id: string, block: number): string => `${id}!${String(block).padStart(BLOCK_WIDTH, "0")}`;
/** Every block of a file. */
export const blocksOf = (id: string): { readonly gte: string; readonly lt: string } => ({
  gte: `${id}!`,
  lt: `${id}"`,
});
/** The key of the block with a chunk, and the chunk's place in it. */
export const blockOf = (id: string, index: number): readonly [key: string, at: number] => [
  blockKey(id, Math.floor(index / BLOCK)),
  index % BLOCK,
];

/** What is to be written about a placed file. */
export function recordWrites({ file, chunkSize, chunks, digests }: PlacedFile, at: number): Write[] {
  const [only, ...more] = chunks;
  if (only === undefined) return [];
  const single = more.length === 0;
  // The SHA-256 of a file of one chunk is that chunk's.
  const keys = digests.map(digestKey).filter((key) => key !== undefined && !(single && key.startsWith("sha-256 ")));
  const unique = [...new Set(keys)].filter((key) => key !== undefined);
  const head = encode({ ...file, at, chunkSize: single ? file.size : chunkSize, digests: unique });
  const id = fileId(file.path);
  const writes: Write[] = unique.map((key) => put(SPACE.digest, key, single ? only : id));
  if (single) return [put(SPACE.chunk, only, head), ...writes];
  writes.push(put(SPACE.file, id, head));
  for (let from = 0; from < chunks.length; from += BLOCK)
    writes.push(put(SPACE.grid, blockKey(id, from / BLOCK), chunks.slice(from, from + BLOCK).join("")));
  for (const [index, chunk] of chunks.entries()) writes.push(put(SPACE.chunk, chunk, `${id} ${index}`));
  return writes;
}

const put = (space: string, key: string, value: string): Write => ({ type: "put", space, key, value });

function encode({ at, size, mtimeMs, ino, chunkSize, path, digests }: FileRecord): string {
  return JSON.stringify([at, size, mtimeMs, ino, chunkSize, path, ...digests]);
}

/** Reads what {@link recordWrites} wrote about a file; undefined if it is something else. */
export function decodeFile(text: string): FileRecord | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(fields)) return undefined;
  const [at, size, mtimeMs, ino, chunkSize, path, ...digests] = fields as readonly unknown[];
  if (!isTime(at) || !isTime(mtimeMs) || !isCount(size) || !isCount(ino) || !isCount(chunkSize)) return undefined;
  if (typeof path !== "string" || !path.startsWith("/") || path.includes("\0")) return undefined;
  if (size === 0 || chunkSize === 0) return undefined;
  return { at, size, mtimeMs, ino, chunkSize, path, digests: digests.filter((each) => typeof each === "string") };
}

/** Reads the entry of a chunk. */
export function decodeChunk(text: string): ChunkEntry | undefined {
  if (text.startsWith("[")) {
    const file = decodeFile(text);
    return file && file.chunkSize >= file.size ? file : undefined;
  }
  const [, id, index] = /^([0-9a-f]{32}) (\d{1,9})$/.exec(text) ?? [];
  return id === undefined ? undefined : { id, index: Number(index) };
}

/** The digests in a block; undefined if it is none. */
export function decodeBlock(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || text.length % HEX !== 0 || !/^[0-9a-f]+$/.test(text)) return undefined;
  return Array.from({ length: text.length / HEX }, (_, at) => text.slice(at * HEX, (at + 1) * HEX));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTime(value: unknown): value is number {
  return Number.isFinite(value);
}
