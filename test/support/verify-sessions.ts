/** Holds the session room's derived entries, counts and chunks against its records, by rules of its own. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { KeyValue } from "../../src/daemon/core/ports/key-value.ts";

interface PlainRecord {
  readonly session_id: string;
  readonly sequence: number;
  readonly batch_id?: string;
  readonly url: string;
  readonly status: string;
  readonly next_attempt_at?: string;
  readonly options: { readonly output?: string; readonly directory?: string };
  readonly place?: string;
  readonly batches?: readonly string[];
  readonly ended_at?: string;
  readonly file?: PlainFile;
  readonly part?: object;
  readonly resource?: object;
  readonly manifest_root?: string;
}

interface PlainFile {
  readonly path: string;
  readonly size: number;
  readonly ino: number;
}

async function entries(store: KeyValue, space: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const [key, value] of store.entries(space)) found.set(key, value);
  return found;
}

/** @throws AssertionError if anything disagrees. @returns how many sessions there are */
export async function verifyIndices(store: KeyValue): Promise<number> {
  const records = [...(await entries(store, "session"))].map(
    ([key, value]) => [key, JSON.parse(value) as PlainRecord] as const,
  );
  const expected: Record<string, string[]> = { id: [], queue: [], due: [], status: [], batch: [], ended: [] };
  const counts: Record<string, number> = {};
  const time = (iso: string): string => String(Date.parse(iso)).padStart(15, "0");
  for (const [key, record] of records) {
    assert.equal(key, String(record.sequence).padStart(12, "0"));
    counts[record.status] = (counts[record.status] ?? 0) + 1;
    expected["id"]?.push(record.session_id);
    expected["status"]?.push(`${record.status}!${key}`);
    if (record.status === "queued") expected["queue"]?.push(`${record.place}!${key}`);
    if (record.status === "waiting" && record.next_attempt_at)
      expected["due"]?.push(`${time(record.next_attempt_at)}!${key}`);
    if (["completed", "failed", "cancelled"].includes(record.status))
      expected["ended"]?.push(`${time(record.ended_at ?? "")}!${key}`);
    for (const batch of [record.batch_id, ...(record.batches ?? [])])
      if (batch !== undefined) expected["batch"]?.push(`${batch}!${key}`);
  }
  for (const [space, keys] of Object.entries(expected))
    assert.deepEqual([...(await entries(store, space)).keys()].sort(), keys.sort(), `space ${space}`);

  const receipts = new Map<string, PlainFile>();
  for (const [key, { status, file, part, resource, manifest_root: root }] of records)
    if (status === "completed" && file && part && resource && root !== undefined) receipts.set(key, file);
  for (const [key, text] of await entries(store, "receipt")) {
    assert.ok(!records.some(([seq]) => seq === key), `receipt ${key} is kept, and its session is known`);
    receipts.set(key, (JSON.parse(text) as { readonly file: PlainFile }).file);
  }
  const files = [...receipts].map(([key, { path, size, ino }]) => {
    return [`${createHash("sha256").update(path).digest("hex")}!${key}`, `${ino} ${size}`];
  });
  assert.deepEqual([...(await entries(store, "file"))], files.sort(), "space file");

  const state = JSON.parse((await store.get("session-meta", "state")) ?? "{}") as {
    counts?: Record<string, number>;
    next_sequence?: number;
  };
  const nonZero = Object.fromEntries(Object.entries(state.counts ?? {}).filter(([, count]) => count > 0));
  assert.deepEqual(nonZero, counts, "counts");
  for (const [key] of records) assert.ok(Number(key) < (state.next_sequence ?? 1), `sequence ${key} is below the next`);

  const sequences = new Set(records.map(([key]) => key));
  const archive = await entries(store, "archive");
  for (const seq of archive.values()) assert.ok(sequences.has(seq), `the archive's session ${seq} is here`);
  for (const [, { url, options }] of records) {
    const key = createHash("sha256")
      .update(`${url}\0${options.output ?? options.directory ?? ""}`)
      .digest("hex");
    // Its own entry may have gone with a newer session of the same URL and place.
    const owner = archive.get(key);
    if (owner !== undefined) assert.equal(records.find(([seq]) => seq === owner)?.[1].url, url);
  }
  const ids = new Set(expected["id"]);
  for (const key of (await entries(store, "chunk")).keys())
    assert.ok(ids.has(key.slice(0, key.indexOf("!"))), `chunk ${key} belongs to a session`);
  return records.length;
}
