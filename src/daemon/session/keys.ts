/**
 * Where things are in the database, and which entries a session has. Everything but the records and chunks is derived
 * from the records and can be made anew.
 */

import { hash } from "node:crypto";
import { archiveKeyOf } from "../core/archive.ts";
import type { Write } from "../core/ports/key-value.ts";
import { receiptOf } from "../core/receipt.ts";
import { hasEnded, type SessionStatus, type StoredFile } from "../core/session.ts";
import { encodeRecord } from "./codec.ts";
import { archiveDigest, batchesOf, type SessionRecord } from "./record.ts";

/** The room's spaces. Keys that end in a sequence number have "!" before it. */
export const SPACE = {
  /** sequence → record */
  record: "session",
  /** id → sequence */
  id: "id",
  /** place!sequence → "" */
  queue: "queue",
  /** time!sequence → "", waiting sessions */
  due: "due",
  /** status!sequence → "" */
  status: "status",
  /** batch!sequence → "" */
  batch: "batch",
  /** time!sequence → "", ended sessions */
  ended: "ended",
  /** SHA-256 of URL and target → sequence */
  archive: "archive",
  /** id!epoch!index → SHA-256 of the chunk */
  chunk: "chunk",
  /** SHA-256 of the path!sequence → inode number and size: every file that has a receipt */
  file: "file",
  /** sequence → the receipt of a session that was forgotten */
  receipt: "receipt",
  /** id → sequence, of those receipts */
  receiptId: "receipt-id",
  /** sequence!block → chunks of those receipts */
  receiptChunk: "receipt-chunk",
  /** sequence → what stood where a record should be */
  aside: "session-aside",
  /** What the room knows of itself. */
  meta: "session-meta",
} as const;

/** Spaces whose entries are derived from the records and receipts. */
export const DERIVED = [
  SPACE.id,
  SPACE.queue,
  SPACE.due,
  SPACE.status,
  SPACE.batch,
  SPACE.ended,
  SPACE.archive,
  SPACE.file,
  SPACE.receiptId,
] as const;

const SEQUENCE_WIDTH = 12;
const TIME_WIDTH = 15;

/** A sequence number as a key. */
export const sequenceKey = (seq: number): string => String(seq).padStart(SEQUENCE_WIDTH, "0");
/** The sequence number that a key ends in, as a key. */
export const sequenceAtEnd = (key: string): string => key.slice(-SEQUENCE_WIDTH);
/** Milliseconds since the epoch as a key. */
export const timeKey = (time: number): string => String(Math.max(0, Math.trunc(time))).padStart(TIME_WIDTH, "0");
/** The time that a key begins with. */
export const timeOfKey = (key: string): number => Number(key.slice(0, TIME_WIDTH));

export const queueKey = (place: string, seq: number): string => `${place}!${sequenceKey(seq)}`;
/** The place that a key of the queue begins with. */
export const placeOfKey = (key: string): string => key.slice(0, -SEQUENCE_WIDTH - 1);
const statusKey = (status: SessionStatus, seq: number): string => `${status}!${sequenceKey(seq)}`;
const batchKey = (batch: string, seq: number): string => `${batch}!${sequenceKey(seq)}`;
const dueKey = (time: number, seq: number): string => `${timeKey(time)}!${sequenceKey(seq)}`;

/** Every key that begins with `name!` and a digit. */
export const under = (name: string): { readonly gte: string; readonly lt: string } => ({
  gte: `${name}!`,
  lt: `${name}"`,
});

/** What the entries of files at a path begin with. */
export const pathKey = (path: string): string => hash("sha256", path, "hex");
/** What an entry says of the file itself. */
export const identityOf = ({ ino, size }: Pick<StoredFile, "ino" | "size">): string => `${ino} ${size}`;

/** The entry by which a file's receipt is found. */
export function fileEntry(file: StoredFile, seq: number): readonly [space: string, key: string, value: string] {
  return [SPACE.file, `${pathKey(file.path)}!${sequenceKey(seq)}`, identityOf(file)];
}

type Entry = readonly [space: string, key: string, value?: string];

/** The derived entries of a record, but for the archive. */
function derived(record: SessionRecord | undefined): readonly Entry[] {
  if (record === undefined) return [];
  const { session, place, endedAt } = record;
  const { seq, status, nextAttemptAt } = session;
  const entries: Entry[] = [[SPACE.status, statusKey(status, seq)]];
  if (status === "queued" && place !== undefined) entries.push([SPACE.queue, queueKey(place, seq)]);
  if (status === "waiting" && nextAttemptAt !== undefined) entries.push([SPACE.due, dueKey(nextAttemptAt, seq)]);
  if (hasEnded(status) && endedAt !== undefined) entries.push([SPACE.ended, dueKey(endedAt, seq)]);
  for (const batch of batchesOf(record)) entries.push([SPACE.batch, batchKey(batch, seq)]);
  const receipt = receiptOf(session);
  if (receipt) entries.push(fileEntry(receipt.file, seq));
  return entries;
}

/**
 * What a change of a record writes, the derived entries with it.
 *
 * The archive's entry is written for a new record only: a session keeps its URL and target. Taking it away is the caller's
 * part, because a later session may own it by now.
 */
export function recordWrites(before: SessionRecord | undefined, after: SessionRecord | undefined): Write[] {
  const writes: Write[] = [];
  const old = derived(before);
  const fresh = derived(after);
  for (const [space, key] of old)
    if (!fresh.some((entry) => entry[0] === space && entry[1] === key)) writes.push({ type: "del", space, key });
  for (const [space, key, value = ""] of fresh)
    if (!old.some((entry) => entry[0] === space && entry[1] === key && (entry[2] ?? "") === value))
      writes.push({ type: "put", space, key, value });
  const session = (after ?? before)?.session;
  if (session === undefined) return writes;
  const seq = sequenceKey(session.seq);
  if (after === undefined) {
    writes.push({ type: "del", space: SPACE.record, key: seq }, { type: "del", space: SPACE.id, key: session.id });
    return writes;
  }
  writes.push({ type: "put", space: SPACE.record, key: seq, value: encodeRecord(after) });
  if (before === undefined)
    writes.push(
      { type: "put", space: SPACE.id, key: session.id, value: seq },
      { type: "put", space: SPACE.archive, key: archiveDigest(archiveKeyOf(session)), value: seq },
    );
  return writes;
}
