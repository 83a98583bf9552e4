/**
 * Shares in the database. Of each there is a record, its catalogue in pieces, and an entry for each file that says where it
 * lies. The record is written last and synced: without it the rest means nothing, and is removed at the next start.
 */
import type { KeyValue, Write } from "../../core/ports/key-value.ts";
import type { ShareKind } from "../../core/session.ts";
import type { FileIdentity } from "./walk.ts";

/** Where the records are. */
export const SHARES = "share";
const FILES = "share-file";
const CATALOGUES = "share-catalogue";

/** Digits of a file's or piece's number in a key. */
const WIDTH = 6;

/** Bytes of a catalogue in one entry. */
const PIECE = 768 * 1024;

/** Entries in one write. */
const LOT = 1000;

/** A share. Times are milliseconds since the epoch. */
export interface ShareRecord {
  readonly version: 1;
  /** Public id. */
  readonly id: string;
  readonly name: string;
  readonly kind: ShareKind;
  readonly paths: readonly string[];
  readonly size: number;
  readonly fileCount: number;
  readonly root: string;
  readonly catalogueSize: number;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly fetchCount: number;
  readonly maxFetches?: number;
  readonly maxPeers: number;
  readonly encryption: boolean;
  readonly sentBytes: number;
  /** Bytes by peer that belong to no whole fetch yet: see fetch-count.ts. */
  readonly given?: Readonly<Record<string, number>>;
  readonly problem?: string;
  /** It came from peers and is shared on: its files are added as they are finished. */
  readonly fetched?: true;
}

/** Where a file of a share lies, and what it was when it was hashed. */
export interface SharedFile extends FileIdentity {
  readonly path: string;
}

/** True if its time has come, or if it was fetched often enough. @param now - milliseconds since the epoch */
export function isOver({ expiresAt, fetchCount, maxFetches }: ShareRecord, now: number): boolean {
  return (expiresAt !== undefined && expiresAt <= now) || (maxFetches !== undefined && fetchCount >= maxFetches);
}

/** Reads and writes shares. */
export class ShareStore {
  readonly #keyValue: KeyValue;

  constructor(keyValue: KeyValue) {
    this.#keyValue = keyValue;
  }

  /** Adds a share; durable when it resolves. */
  async add(record: ShareRecord, files: ReadonlyMap<number, SharedFile>, catalogue: Uint8Array): Promise<void> {
    let writes: Write[] = [];
    const put = async (space: string, number: number, value: string): Promise<void> => {
      writes.push({ type: "put", space, key: keyOf(record.id, number), value });
      if (writes.length < LOT && space === FILES) return;
      const lot = writes;
      writes = [];
      await this.#keyValue.write(lot);
    };
    for (let at = 0; at < catalogue.length; at += PIECE) {
      const piece = Buffer.from(catalogue.buffer, catalogue.byteOffset + at, Math.min(PIECE, catalogue.length - at));
      await put(CATALOGUES, at / PIECE, piece.toString("base64"));
    }
    for (const [index, file] of files) await put(FILES, index, JSON.stringify(file));
    await this.#keyValue.write([...writes, putRecord(record)], { sync: true });
  }

  /** Changes a share's record. @param sync - it survives a power cut when this resolves */
  async update(record: ShareRecord, sync: boolean): Promise<void> {
    await this.#keyValue.write([putRecord(record)], { sync });
  }

  /** Adds a file to a share that is there; durable when it resolves. */
  async addFile(record: ShareRecord, index: number, file: SharedFile): Promise<void> {
    const { path, size, mtimeMs, ino } = file;
    const value = JSON.stringify({ path, size, mtimeMs, ino });
    await this.#keyValue.write(
      [{ type: "put", space: FILES, key: keyOf(record.id, index), value }, putRecord(record)],
      { sync: true },
    );
  }

  /** Removes a share and all that belongs to it. The record goes first: without it there is no share. */
  async remove(id: string): Promise<void> {
    await this.#keyValue.write([{ type: "del", space: SHARES, key: id }], { sync: true });
    for (const space of [FILES, CATALOGUES]) await this.#removeAll(space, id);
  }

  /** All shares. What cannot be read is handed to `onUnreadable`. */
  async all(onUnreadable: (id: string) => void): Promise<ShareRecord[]> {
    const found: ShareRecord[] = [];
    for await (const [id, text] of this.#keyValue.entries(SHARES)) {
      const record = readRecord(text);
      if (record?.id === id) found.push(record);
      else onUnreadable(id);
    }
    return found;
  }

  /** Removes what a death in the middle of `add` or `remove` has left. */
  async tidy(): Promise<void> {
    for (const space of [FILES, CATALOGUES]) {
      for (let after = ""; ; ) {
        const id = await this.#nextId(space, after);
        if (id === undefined) break;
        if ((await this.#keyValue.get(SHARES, id)) === undefined) await this.#removeAll(space, id);
        after = `${id}~`;
      }
    }
  }

  /** The files that are here, by index, from the one of this index to another (exclusive). */
  async *files(id: string, from = 0, to?: number): AsyncGenerator<readonly [index: number, file: SharedFile]> {
    const lt = to === undefined ? under(id).lt : keyOf(id, to);
    for await (const [key, text] of this.#keyValue.entries(FILES, { gte: keyOf(id, from), lt })) {
      const file = readFile(text);
      if (file) yield [Number(key.slice(id.length + 1)), file];
    }
  }

  /** The bytes of a share's catalogue; the caller compares them with the root. */
  async catalogue(id: string): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const [, text] of this.#keyValue.entries(CATALOGUES, under(id)))
      pieces.push(Buffer.from(text, "base64"));
    return Buffer.concat(pieces);
  }

  async #nextId(space: string, after: string): Promise<string | undefined> {
    for await (const [key] of this.#keyValue.entries(space, { gt: after, limit: 1 })) return key.split("!")[0];
    return undefined;
  }

  async #removeAll(space: string, id: string): Promise<void> {
    for (;;) {
      const writes: Write[] = [];
      for await (const [key] of this.#keyValue.entries(space, { ...under(id), limit: LOT }))
        writes.push({ type: "del", space, key });
      if (writes.length === 0) return;
      await this.#keyValue.write(writes);
    }
  }
}

const keyOf = (id: string, number: number): string => `${id}!${String(number).padStart(WIDTH, "0")}`;

const under = (id: string): { readonly gt: string; readonly lt: string } => ({ gt: `${id}!`, lt: `${id}"` });

const putRecord = (record: ShareRecord): Write => ({
  type: "put",
  space: SHARES,
  key: record.id,
  value: JSON.stringify(record),
});

function readRecord(text: string): ShareRecord | undefined {
  const value = parse(text);
  if (value?.["version"] !== 1) return undefined;
  const strings = ["id", "name", "kind", "root"];
  const numbers = ["size", "fileCount", "catalogueSize", "createdAt", "fetchCount", "maxPeers", "sentBytes"];
  if (strings.some((name) => typeof value[name] !== "string")) return undefined;
  if (numbers.some((name) => typeof value[name] !== "number") || !Array.isArray(value["paths"])) return undefined;
  const given: unknown = value["given"] ?? {};
  if (typeof given !== "object" || Object.values(given ?? {}).some((bytes) => typeof bytes !== "number"))
    return undefined;
  return value as unknown as ShareRecord;
}

function readFile(text: string): SharedFile | undefined {
  const value = parse(text);
  if (typeof value?.["path"] !== "string") return undefined;
  if (["size", "mtimeMs", "ino"].some((name) => typeof value[name] !== "number")) return undefined;
  return value as unknown as SharedFile;
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
