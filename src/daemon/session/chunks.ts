/** The chunks that are on disk, as they were recorded: id, epoch and index lead to the SHA-256. */
import type { ChunkDigests, KeyValue, Write } from "../core/ports.ts";
import { SPACE, under } from "./keys.ts";

const EPOCH_WIDTH = 6;
const INDEX_WIDTH = 9;

const epochKey = (id: string, epoch: number): string => `${id}!${String(epoch).padStart(EPOCH_WIDTH, "0")}`;

/** The writes that record chunks. */
export function chunkWrites(
  id: string,
  epoch: number,
  chunks: ReadonlyArray<readonly [index: number, sha256: string]>,
): Write[] {
  const start = epochKey(id, epoch);
  return chunks.map(([index, sha256]) => ({
    type: "put",
    space: SPACE.chunk,
    key: `${start}!${String(index).padStart(INDEX_WIDTH, "0")}`,
    value: sha256,
  }));
}

/** The chunks of one epoch. */
export async function readChunks(store: KeyValue, id: string, epoch: number): Promise<ChunkDigests> {
  const found = new Map<number, string>();
  for await (const [key, sha256] of store.entries(SPACE.chunk, under(epochKey(id, epoch))))
    found.set(Number(key.slice(-INDEX_WIDTH)), sha256);
  return found;
}

/** The writes that drop every chunk of a session. */
export async function chunkRemovals(store: KeyValue, id: string): Promise<Write[]> {
  const writes: Write[] = [];
  for await (const [key] of store.entries(SPACE.chunk, under(id)))
    writes.push({ type: "del", space: SPACE.chunk, key });
  return writes;
}
