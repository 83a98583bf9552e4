/** The chunks that are on disk, as they were recorded: id, epoch and index lead to the SHA-256 and the sources. */
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { ChunkDigests, RecordedChunk, RecordedSegment } from "../core/ports/sessions.ts";
import type { ReceiptChunk } from "../core/receipt.ts";
import { SPACE, under } from "./keys.ts";

const EPOCH_WIDTH = 6;
const INDEX_WIDTH = 9;

const epochKey = (id: string, epoch: number): string => `${id}!${String(epoch).padStart(EPOCH_WIDTH, "0")}`;

/** The writes that record chunks. */
export function chunkWrites(id: string, epoch: number, chunks: readonly RecordedChunk[]): Write[] {
  const start = epochKey(id, epoch);
  return chunks.map(([index, sha256, sources = [], segment]) => ({
    type: "put",
    space: SPACE.chunk,
    key: `${start}!${String(index).padStart(INDEX_WIDTH, "0")}`,
    value: chunkValue(sha256, sources, segment),
  }));
}

/** `sha256`, `sha256 1,2`, or of a segment `sha256 1,2 4711 name 4000`; the sources may be empty. */
function chunkValue(sha256: string, sources: readonly number[], segment: RecordedChunk[3]): string {
  if (segment) return `${sha256} ${sources.join(",")} ${segment.length} ${segment.name} ${segment.durationMs}`;
  return sources.length > 0 ? `${sha256} ${sources.join(",")}` : sha256;
}

/** The segments of one epoch. */
export async function readSegments(
  store: KeyValue,
  id: string,
  epoch: number,
): Promise<ReadonlyMap<number, RecordedSegment>> {
  const found = new Map<number, RecordedSegment>();
  for await (const [key, value] of store.entries(SPACE.chunk, under(epochKey(id, epoch)))) {
    const [sha256 = "", , length, name = "", duration] = value.split(" ", 5);
    if (length === undefined) continue;
    const segment = { sha256, length: Number(length), name, durationMs: Number(duration ?? 0) };
    found.set(Number(key.slice(-INDEX_WIDTH)), segment);
  }
  return found;
}

/** The chunks of one epoch. */
export async function readChunks(store: KeyValue, id: string, epoch: number): Promise<ChunkDigests> {
  const found = new Map<number, string>();
  for await (const [key, value] of store.entries(SPACE.chunk, under(epochKey(id, epoch))))
    found.set(Number(key.slice(-INDEX_WIDTH)), value.split(" ", 1)[0] ?? "");
  return found;
}

/** The chunks of one epoch in their order, with their sources. */
export async function* chunkRecords(store: KeyValue, id: string, epoch: number): AsyncGenerator<ReceiptChunk> {
  for await (const [, value] of store.entries(SPACE.chunk, under(epochKey(id, epoch)))) {
    const [sha256 = "", sources] = value.split(" ", 2);
    yield { sha256, sources: sources ? sources.split(",").map(Number) : [] };
  }
}

/** Where the chunks of one epoch came from; those of which it is not known are absent. */
export async function readChunkSources(
  store: KeyValue,
  id: string,
  epoch: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  const found = new Map<number, readonly number[]>();
  for await (const [key, value] of store.entries(SPACE.chunk, under(epochKey(id, epoch)))) {
    const [, sources] = value.split(" ", 2);
    if (sources) found.set(Number(key.slice(-INDEX_WIDTH)), sources.split(",").map(Number));
  }
  return found;
}

/** The writes that drop the chunks of a session, of all epochs or of one. */
export async function chunkRemovals(store: KeyValue, id: string, epoch?: number): Promise<Write[]> {
  const writes: Write[] = [];
  const place = epoch === undefined ? id : epochKey(id, epoch);
  for await (const [key] of store.entries(SPACE.chunk, under(place)))
    writes.push({ type: "del", space: SPACE.chunk, key });
  return writes;
}
