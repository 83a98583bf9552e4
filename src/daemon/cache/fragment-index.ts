/**
 * The index of the chunks of stored files, in the database: found by a chunk's SHA-256 or by the digest of a whole file,
 * bounded, and swept of files that are gone. All of it is derived: what is lost is found missing and fetched.
 *
 * When it is full some of the oldest leave. Which they are is not written down, for that would be another record for every
 * small file: of a handful that lie together, which the digests have mixed well, the oldest go (sampling, as Redis does it).
 */
import { randomBytes } from "node:crypto";
import { lstat } from "node:fs/promises";
import { chunkCount } from "../core/manifest.ts";
import type { PlacedFile } from "../core/ports/files.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import {
  blockOf,
  blocksOf,
  decodeBlock,
  decodeChunk,
  decodeFile,
  type FileRecord,
  recordWrites,
  SPACE,
} from "./fragment-record.ts";
import type { StoredPart } from "./stored-file.ts";

/** Entries that are looked at together to find the oldest. */
const SAMPLE = 32;

/** Share of the limit that is kept free once it was reached, so that not every file has to make room. */
const SLACK = 0.02;

/** While room is being made so much of the limit may be taken. */
const MOST_OVER = 1.05;

/** Entries that are looked at, or removed, at once. */
const BATCH = 512;

/** A part of a stored file, and what its record is. */
export interface Noted extends StoredPart {
  /** Takes its record out of the index. */
  readonly drop: () => Promise<void>;
}

/** The index. */
export class FragmentIndex {
  readonly #store: KeyValue;
  readonly #maxEntries: () => number;
  #counted: Promise<number> | undefined;
  /** Entries of chunks, at most; counted anew by each sweep. */
  #entries = 0;
  #evicted = 0;
  #making: Promise<void> | undefined;

  /** @param maxEntries - chunks that are noted at most; read anew each time */
  constructor(store: KeyValue, maxEntries: () => number) {
    this.#store = store;
    this.#maxEntries = maxEntries;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Left because of the limit. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Counts what an earlier process left. What is noted meanwhile may count twice until the next sweep. */
  count(): Promise<number> {
    this.#counted ??= this.#count(SPACE.chunk).then((found) => {
      this.#entries += found;
      return found;
    });
    return this.#counted;
  }

  /** Resolves when no room is being made. */
  async settled(): Promise<void> {
    await this.#making?.catch(() => undefined);
  }

  /** Notes a file; the write is begun in this turn. A file of more chunks than there may be is not noted. */
  async add(file: PlacedFile, now: number): Promise<void> {
    const { length } = file.chunks;
    if (length > this.#maxEntries()) return;
    this.#entries += length;
    await this.#store.write(recordWrites(file, now));
    if (this.#entries <= this.#maxEntries()) return;
    this.#making ??= this.#makeRoom().finally(() => {
      this.#making = undefined;
    });
    // Nobody waits for room, unless more comes than leaves.
    if (this.#entries > this.#maxEntries() * MOST_OVER) await this.#making;
    else this.#making.catch(() => undefined);
  }

  /** A chunk by its SHA-256. */
  async chunk(sha256: string): Promise<Noted | undefined> {
    const text = await this.#store.get(SPACE.chunk, sha256);
    if (text === undefined) return undefined;
    const drop = (): Promise<void> => this.#removeChunks([[sha256, text]]);
    const entry = decodeChunk(text);
    if (entry && !("id" in entry))
      return { file: entry, offset: 0, size: entry.size, chunkSize: entry.size, chunks: [sha256], drop };
    const head = entry && (await this.#head(entry.id));
    const at = entry && blockOf(entry.id, entry.index);
    const block = at && decodeBlock(await this.#store.get(SPACE.grid, at[0]));
    const offset = entry && head ? entry.index * head.chunkSize : 0;
    if (!entry || !head || !at || block?.[at[1]] !== sha256 || offset >= head.size) {
      await drop();
      return undefined;
    }
    const size = Math.min(head.chunkSize, head.size - offset);
    return { file: head, offset, size, chunkSize: size, chunks: [sha256], drop: () => this.#removeFile(entry.id) };
  }

  /** A whole file by one of its digests. @param key - of `digestKey` */
  async whole(key: string): Promise<Noted | undefined> {
    const known = await this.#store.get(SPACE.digest, key);
    if (known === undefined) return undefined;
    const drop = (): Promise<void> => this.#store.write([{ type: "del", space: SPACE.digest, key }]);
    const found = known.length === 64 ? await this.chunk(known) : await this.#file(known);
    const digests = found && (found.file as FileRecord).digests;
    if (found && digests?.includes(key)) return found;
    await drop();
    return undefined;
  }

  async #file(id: string): Promise<Noted | undefined> {
    const head = await this.#head(id);
    if (!head) return undefined;
    const chunks: string[] = [];
    for await (const [, text] of this.#store.entries(SPACE.grid, blocksOf(id))) {
      for (const chunk of decodeBlock(text) ?? []) chunks.push(chunk);
    }
    const { size, chunkSize } = head;
    const count = chunkCount(size, chunkSize);
    // A later file at the same path may have been shorter.
    if (chunks.length < count) return undefined;
    const drop = (): Promise<void> => this.#removeFile(id);
    return { file: head, offset: 0, size, chunkSize, chunks: chunks.slice(0, count), drop };
  }

  async #head(id: string): Promise<FileRecord | undefined> {
    const text = await this.#store.get(SPACE.file, id);
    return text === undefined ? undefined : decodeFile(text);
  }

  /** Forgets files that are gone or were changed, and whatever leads nowhere. @returns entries that left */
  async sweep(signal?: AbortSignal): Promise<number> {
    let left = 0;
    for await (const lot of this.#lots(SPACE.file, signal)) {
      const lost = await Promise.all(lot.map(async ([, text]) => !(await isThere(decodeFile(text)))));
      for (const [at, [id]] of lot.entries()) if (lost[at]) await this.#removeFile(id);
    }
    for await (const lot of this.#lots(SPACE.chunk, signal)) {
      const lost = await Promise.all(lot.map(([, text]) => this.#isLost(text)));
      const gone = lot.filter((_, at) => lost[at]);
      await this.#removeChunks(gone);
      left += gone.length;
    }
    for await (const lot of this.#lots(SPACE.grid, signal)) {
      const heads = await this.#store.getMany(
        SPACE.file,
        lot.map(([key]) => key.slice(0, key.indexOf("!"))),
      );
      await this.#delete(
        SPACE.grid,
        lot.flatMap(([key], at) => (heads[at] === undefined ? [key] : [])),
      );
    }
    for await (const lot of this.#lots(SPACE.digest, signal)) {
      const texts = await Promise.all(
        lot.map(([, known]) => this.#store.get(known.length === 64 ? SPACE.chunk : SPACE.file, known)),
      );
      const lost = lot.filter(([key], at) => !decodeFile(texts[at] ?? "")?.digests.includes(key));
      await this.#delete(
        SPACE.digest,
        lost.map(([key]) => key),
      );
    }
    this.#entries = await this.#count(SPACE.chunk, signal);
    return left;
  }

  /** Forgets everything. @returns entries that left */
  async clear(signal?: AbortSignal): Promise<number> {
    const entries = await this.#count(SPACE.chunk, signal);
    for (const space of Object.values(SPACE))
      for await (const lot of this.#lots(space, signal))
        await this.#delete(
          space,
          lot.map(([key]) => key),
        );
    this.#entries = 0;
    return entries;
  }

  /** True if the entry of a chunk leads to nothing that is there. */
  async #isLost(text: string): Promise<boolean> {
    const entry = decodeChunk(text);
    if (!entry) return true;
    if (!("id" in entry)) return !(await isThere(entry));
    // The file itself has been looked at.
    const head = await this.#head(entry.id);
    return !head || entry.index >= chunkCount(head.size, head.chunkSize);
  }

  async #makeRoom(): Promise<void> {
    // What was counted may have replaced other entries.
    await this.count();
    this.#entries = await this.#count(SPACE.chunk);
    const goal = Math.floor(this.#maxEntries() * (1 - SLACK));
    while (this.#entries > goal) {
      const before = this.#entries;
      const start = randomBytes(8).toString("hex");
      const sample = await this.#some(SPACE.chunk, { gte: start });
      if (sample.length < SAMPLE) sample.push(...(await this.#some(SPACE.chunk, { lt: start })));
      if (sample.length === 0) return;
      const times = await Promise.all(sample.map(([, text]) => this.#timeOf(text)));
      const oldest = sample.map((entry, at) => ({ entry, time: times[at] ?? 0 })).sort((a, b) => a.time - b.time);
      const surplus = Math.min(Math.ceil(SAMPLE / 4), this.#entries - goal);
      const single: (readonly [string, string])[] = [];
      for (const { entry } of oldest.slice(0, surplus)) {
        const chunk = decodeChunk(entry[1]);
        if (chunk && "id" in chunk && (await this.#head(chunk.id))) await this.#removeFile(chunk.id);
        else single.push(entry);
      }
      await this.#removeChunks(single);
      this.#evicted += before - this.#entries;
    }
  }

  async #timeOf(text: string): Promise<number> {
    const entry = decodeChunk(text);
    const file = entry && "id" in entry ? await this.#head(entry.id) : entry;
    return file?.at ?? 0;
  }

  /** Removes a file of several chunks, with every entry that still leads to it. */
  async #removeFile(id: string): Promise<void> {
    const head = await this.#head(id);
    if (head) {
      const known = await this.#store.getMany(SPACE.digest, head.digests);
      await this.#delete(
        SPACE.digest,
        head.digests.filter((_, at) => known[at] === id),
      );
    }
    const blocks: string[] = [];
    for await (const [key, text] of this.#store.entries(SPACE.grid, blocksOf(id))) {
      blocks.push(key);
      const chunks = decodeBlock(text) ?? [];
      const entries = await this.#store.getMany(SPACE.chunk, chunks);
      const own = new Map(chunks.map((chunk, at) => [chunk, entries[at] ?? ""]));
      await this.#removeChunks([...own].filter(([, entry]) => entry.startsWith(`${id} `)));
    }
    await this.#delete(SPACE.grid, blocks);
    await this.#delete(SPACE.file, [id]);
  }

  async #removeChunks(entries: readonly (readonly [key: string, text: string])[]): Promise<void> {
    this.#entries = Math.max(0, this.#entries - entries.length);
    await this.#delete(
      SPACE.chunk,
      entries.map(([key]) => key),
    );
    const digests = entries.flatMap(([, text]) => decodeFile(text)?.digests ?? []);
    await this.#delete(SPACE.digest, digests);
  }

  async #delete(space: string, keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.#store.write(keys.map((key): Write => ({ type: "del", space, key })));
  }

  async #count(space: string, signal?: AbortSignal): Promise<number> {
    let count = 0;
    for await (const lot of this.#lots(space, signal)) count += lot.length;
    return count;
  }

  async #some(space: string, range: { gte?: string; lt?: string }): Promise<(readonly [string, string])[]> {
    const found: (readonly [string, string])[] = [];
    for await (const entry of this.#store.entries(space, { ...range, limit: SAMPLE })) found.push(entry);
    return found;
  }

  /** The entries of a space, some hundred at a time. */
  async *#lots(space: string, signal?: AbortSignal): AsyncGenerator<(readonly [string, string])[]> {
    let lot: (readonly [string, string])[] = [];
    for await (const entry of this.#store.entries(space)) {
      signal?.throwIfAborted();
      lot.push(entry);
      if (lot.length < BATCH) continue;
      yield lot;
      lot = [];
    }
    if (lot.length > 0) yield lot;
  }
}

/** True if a file is as it was noted. What cannot be looked at now may be there another time. */
async function isThere(file: FileRecord | undefined): Promise<boolean> {
  if (!file) return false;
  try {
    const found = await lstat(file.path);
    return found.isFile() && found.size === file.size && found.mtimeMs === file.mtimeMs && found.ino === file.ino;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}
