/**
 * The same change of many sessions: a block of them at a time is read, changed and written as one. A million sessions are
 * paused so, of which never more than a block is in memory.
 */
import { asDownloadError } from "../core/errors.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { SessionFilter } from "../core/ports/sessions.ts";
import { matchesFilter } from "./filter.ts";
import type { Ledger } from "./ledger.ts";
import { sequenceBlocks } from "./listing.ts";
import { batchesOf, type SessionRecord } from "./record.ts";
import type { Change, Records } from "./records.ts";

/** Sessions in a block. Two are in the cache of records at once, of which it is half. */
const BLOCK = 500;

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
  const wanted = (record: SessionRecord): SessionRecord | undefined =>
    matchesFilter(record.session, filter, batchesOf(record)) ? make(record) : undefined;
  /** For one that left the cache between being read and being looked at. */
  const changeOne = async (id: string): Promise<boolean> => {
    let after: SessionRecord | undefined;
    const change = (record: SessionRecord): SessionRecord => {
      after = wanted(record);
      return after ?? record;
    };
    await ledger.change(id, change, { sync: true }).catch((error: unknown) => {
      if (asDownloadError(error).code !== "SESSION_NOT_FOUND") throw error;
    });
    return after !== undefined;
  };
  let changed = 0;
  let writing: Promise<void> | undefined;
  for await (const block of sequenceBlocks(store, filter, { size: BLOCK })) {
    const found = await records.bySequence(block, true);
    // From here on in one turn of the event loop, see Records.commit.
    const missed: string[] = [];
    const changes = found.flatMap(({ session: { id } }): Change[] => {
      const before = records.cached(id);
      if (before === undefined) missed.push(id);
      const after = before && wanted(before);
      return before === undefined || after === undefined ? [] : [{ before, after }];
    });
    // The next block is read while this one is written.
    const before = writing;
    writing = changes.length > 0 ? ledger.commit(changes, { sync: true }) : undefined;
    writing?.catch(() => undefined);
    await before;
    changed += changes.length;
    for (const id of missed) if (await changeOne(id)) changed++;
  }
  await writing;
  return changed;
}
