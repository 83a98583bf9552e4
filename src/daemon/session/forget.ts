/**
 * Forgetting sessions: the records with every entry derived from them, their chunks, and the archive's if it is theirs. What
 * stays of a finished one is its receipt.
 */
import { archiveKeyOf } from "../core/archive.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import { chunkRemovals } from "./chunks.ts";
import { keepReceipt } from "./kept-receipt.ts";
import { SPACE, sequenceKey } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import { archiveDigest, type SessionRecord } from "./record.ts";
import type { Records } from "./records.ts";

const BATCH = 500;

/** Forgets sessions. */
export class Forgetting {
  readonly #store: KeyValue;
  readonly #records: Records;
  readonly #ledger: Ledger;
  /** For each batch under way, the archive's keys that new sessions took since it began. */
  readonly #taken = new Set<Set<string>>();

  constructor(store: KeyValue, records: Records, ledger: Ledger) {
    this.#store = store;
    this.#records = records;
    this.#ledger = ledger;
  }

  /** New sessions are about to own these keys of the archive. */
  taking(keys: Iterable<string>): void {
    if (this.#taken.size === 0) return;
    for (const key of keys) for (const taken of this.#taken) taken.add(key);
  }

  /**
   * Forgets sessions; ids that are not here do not count.
   * @param still - asked with the newest record; false keeps the session
   * @param options.receipts - false forgets the receipts of finished ones too
   */
  async forget(
    ids: readonly string[],
    still: (record: SessionRecord) => boolean = () => true,
    { receipts }: { readonly receipts: boolean } = { receipts: true },
  ): Promise<number> {
    let forgotten = 0;
    const unique = [...new Set(ids)];
    for (let at = 0; at < unique.length; at += BATCH)
      forgotten += await this.#batch(unique.slice(at, at + BATCH), still, receipts);
    return forgotten;
  }

  async #batch(ids: readonly string[], still: (record: SessionRecord) => boolean, receipts: boolean): Promise<number> {
    const taken = new Set<string>();
    const withdrawn: SessionRecord[] = [];
    try {
      for (const id of ids) {
        const record = await this.#records.withdraw(id, still);
        if (record !== undefined) withdrawn.push(record);
      }
      if (withdrawn.length === 0) return 0;
      this.#taken.add(taken);
      // What was written for them before they were withdrawn, chunks above all, is to be seen by the scans below.
      await this.#store.write([]);
      const extra: Write[] = [];
      for (const { session } of withdrawn) {
        if (receipts) for (const write of await keepReceipt(this.#store, session)) extra.push(write);
        for (const write of await chunkRemovals(this.#store, session.id)) extra.push(write);
      }
      const keys = withdrawn.map(({ session }) => archiveDigest(archiveKeyOf(session)));
      const owners = await this.#store.getMany(SPACE.archive, keys);
      for (const [at, key] of keys.entries())
        if (owners[at] === sequenceKey(withdrawn[at]?.session.seq ?? 0) && !taken.has(key))
          extra.push({ type: "del", space: SPACE.archive, key });
      await this.#ledger.commit(
        withdrawn.map((before) => ({ before })),
        { sync: false, extra },
      );
      return withdrawn.length;
    } finally {
      this.#taken.delete(taken);
      this.#records.settle(withdrawn.map(({ session }) => session.id));
    }
  }
}
