/** After a death: sessions that were active are queued again, before all others, in the order that they had. */
import { chunkCount, chunkRange } from "../core/manifest.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { Session } from "../core/session.ts";
import { patched } from "./change.ts";
import { readChunks, readSegments } from "./chunks.ts";
import { SPACE, sequenceAtEnd, under } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import type { Records } from "./records.ts";

/** @returns how many there were */
export async function recover(store: KeyValue, records: Records, ledger: Ledger, clock: Clock): Promise<number> {
  const sequences: string[] = [];
  for await (const [key] of store.entries(SPACE.status, under("active"))) sequences.push(sequenceAtEnd(key));
  const found = await records.bySequence(sequences, false);
  found.sort((a, b) => inOrder(a.place ?? "", b.place ?? "") || a.session.seq - b.session.seq);
  const changes = [];
  // From the last to the first, each before all others.
  for (const before of found.toReversed()) {
    const { session, place: _place, ...rest } = before;
    const progress = await recount(store, session);
    // A death is an interruption like any other, and nobody's fault: the attempt does not count.
    const attempt = Math.max(session.attempt - 1, 0);
    const head = (): string => records.state.takeHead();
    const halted = patched({ ...rest, session }, { status: "waiting", attempt, progress }, clock.now(), head);
    const after = patched(halted, { status: "queued" }, clock.now(), head);
    changes.push({ before, after });
  }
  await ledger.commit(changes, { sync: true });
  return found.length;
}

/** Progress is not written while bytes come in; the chunks are. */
async function recount(store: KeyValue, { id, part, resource, progress }: Session): Promise<Session["progress"]> {
  if (part?.tracks) {
    let downloadedBytes = 0;
    let done = 0;
    for (const { epoch } of part.tracks)
      for (const { length } of (await readSegments(store, id, epoch)).values()) {
        downloadedBytes += length;
        done++;
      }
    return { ...progress, downloadedBytes, segments: { ...progress.segments, done } };
  }
  const size = resource?.size ?? progress.totalBytes;
  if (part === undefined || size === undefined) return progress;
  let downloadedBytes = 0;
  const { chunkSize, epoch } = part;
  for (const index of (await readChunks(store, id, epoch)).keys()) {
    if (index >= chunkCount(size, chunkSize)) continue;
    const { start, end } = chunkRange(index, size, chunkSize);
    downloadedBytes += end - start;
  }
  return { downloadedBytes, totalBytes: size };
}

const inOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
