/**
 * Makes the derived entries anew from the records, after a repair of the database or when the room's own numbers are
 * gone. Nothing here is needed in an ordinary start.
 */
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";
import { decodeRecord } from "./codec.ts";
import { receiptIndex } from "./kept-receipt.ts";
import { DERIVED, recordWrites, SPACE, sequenceKey } from "./keys.ts";
import { MIDDLE, placeOf } from "./place.ts";
import { decodeReceipt } from "./receipt-codec.ts";
import { noCounts, State } from "./state.ts";

/** Changes in one batch. */
const BATCH = 5000;

/**
 * Reads all records and writes what follows from them. Records that cannot be read are put aside and reported.
 *
 * @returns the room's numbers, not yet written
 */
export async function rebuild(store: KeyValue, logger: Logger): Promise<State> {
  const writer = new Batches(store);
  for (const space of DERIVED)
    for await (const [key] of store.entries(space)) await writer.add({ type: "del", space, key });
  const counts = noCounts();
  const ids = new Set<string>();
  const unreadable: string[] = [];
  let last = 0;
  let low = MIDDLE;
  let high = MIDDLE;
  for await (const [key, text] of store.entries(SPACE.record)) {
    last = Math.max(last, Number(key));
    const record = readable(() => decodeRecord(text));
    if (record === undefined || sequenceKey(record.session.seq) !== key) {
      unreadable.push(key);
      await writer.add(
        { type: "del", space: SPACE.record, key },
        { type: "put", space: SPACE.aside, key, value: text },
      );
      continue;
    }
    const { session, place } = record;
    counts[session.status]++;
    ids.add(session.id);
    const number = place === undefined ? MIDDLE : Number.parseInt(place.slice(0, placeOf(0).length), 36);
    low = Math.min(low, number);
    high = Math.max(high, number);
    await writer.add(...recordWrites(undefined, record));
  }
  for await (const [key, text] of store.entries(SPACE.receipt)) {
    const receipt = readable(() => decodeReceipt(text));
    if (receipt) await writer.add(...receiptIndex(receipt));
    else unreadable.push(key);
  }
  for await (const [key] of store.entries(SPACE.chunk))
    if (!ids.has(key.slice(0, key.indexOf("!")))) await writer.add({ type: "del", space: SPACE.chunk, key });
  await writer.end();
  logger.warn({ sessions: ids.size, unreadable, counts }, "the indices of the sessions were made anew");
  return new State({ counts, nextSequence: last + 1, head: low - 1, tail: high + 1, repairs: store.repairs ?? 0 });
}

function readable<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

/** Writes in batches of bounded size. */
class Batches {
  readonly #store: KeyValue;
  #writes: Write[] = [];

  constructor(store: KeyValue) {
    this.#store = store;
  }

  async add(...writes: readonly Write[]): Promise<void> {
    this.#writes.push(...writes);
    if (this.#writes.length >= BATCH) await this.end();
  }

  async end(): Promise<void> {
    const writes = this.#writes;
    this.#writes = [];
    await this.#store.write(writes, { sync: true });
  }
}
