/**
 * The same change of many sessions: a block of them at a time is read, changed and written as one. A million sessions are
 * paused so, of which never more than a block is in memory.
 */
import type { KeyValue, SessionFilter } from "../core/ports.ts";
import { matchesFilter } from "./filter.ts";
import type { Ledger } from "./ledger.ts";
import { sequenceBlocks } from "./listing.ts";
import { batchesOf, type SessionRecord } from "./record.ts";
import type { Change, Records } from "./records.ts";

/** What it works on. */
export interface ChangeAllParts {
  readonly store: KeyValue;
  readonly records: Records;
  readonly ledger: Ledger;
}

/**
 * Changes every session that passes the filter.
 *
 * @param make - what becomes of a record; undefined leaves it as it is
 * @returns how many were changed
 */
export async function changeAll(
  { store, records, ledger }: ChangeAllParts,
  filter: SessionFilter,
  make: (record: SessionRecord) => SessionRecord | undefined,
): Promise<number> {
  let changed = 0;
  for await (const block of sequenceBlocks(store, filter)) {
    const found = await records.bySequence(block, true);
    // From here on in one turn of the event loop, see Records.commit. What has left the cache since it was read is left alone.
    const changes = found.flatMap(({ session: { id } }): Change[] => {
      const before = records.cached(id);
      if (before === undefined || !matchesFilter(before.session, filter, batchesOf(before))) return [];
      const after = make(before);
      return after === undefined ? [] : [{ before, after }];
    });
    if (changes.length > 0) await ledger.commit(changes, { sync: true });
    changed += changes.length;
  }
  return changed;
}
