/**
 * The receipts of finished files. While its session is known a receipt is made from the session's own record and chunks,
 * so that a completed session has one whatever happens, and at no cost. Only when the session is forgotten is it written
 * down, in the same batch; it then stays until it is forgotten itself, or until its file was replaced by another download.
 */
import { failure } from "../core/errors.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { CarriedReceipt, ReceiptStore } from "../core/ports/receipts.ts";
import { type Receipt, type ReceiptChunk, receiptChunkCount, receiptOf } from "../core/receipt.ts";
import type { StoredFile } from "../core/session.ts";
import { chunkRecords } from "./chunks.ts";
import type { Forgetting } from "./forget.ts";
import { isNewest, receiptIndex } from "./kept-receipt.ts";
import { fileEntry, identityOf, pathKey, SPACE, sequenceAtEnd, sequenceKey, under } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import { carryIn, carryOut, decodeChunks, decodeReceipt, encodeReceipt } from "./receipt-codec.ts";
import type { Records } from "./records.ts";

/** Sessions that are read at once. */
const BATCH = 200;

/** Characters of an id's beginning that are enough to look for it. */
const SHORTEST_PREFIX = 4;

/** {@link ReceiptStore} over the sessions and what is kept of forgotten ones. */
export class Receipts implements ReceiptStore {
  readonly #store: KeyValue;
  readonly #records: Records;
  readonly #ledger: Ledger;
  readonly #forgetting: Forgetting;

  constructor(store: KeyValue, records: Records, ledger: Ledger, forgetting: Forgetting) {
    this.#store = store;
    this.#records = records;
    this.#ledger = ledger;
    this.#forgetting = forgetting;
  }

  async byPath(path: string): Promise<Receipt | undefined> {
    for await (const [key] of this.#store.entries(SPACE.file, { ...under(pathKey(path)), reverse: true })) {
      const receipt = await this.#bySequence(sequenceAtEnd(key));
      if (receipt) return receipt;
    }
    return undefined;
  }

  async bySession(idOrPrefix: string): Promise<Receipt> {
    const prefix = idOrPrefix.toLowerCase();
    if (!/^[0-9a-f-]{1,36}$/.test(prefix) || prefix.length < SHORTEST_PREFIX)
      throw notFound(`${JSON.stringify(idOrPrefix.slice(0, 60))} is no session's id`);
    const found = new Map<string, string>();
    for (const space of [SPACE.id, SPACE.receiptId])
      for await (const [id, seq] of this.#store.entries(space, { gte: prefix, lt: `${prefix}g`, limit: 3 }))
        found.set(id, seq);
    if (found.size > 1)
      throw failure(
        "SESSION_AMBIGUOUS",
        `${found.size > 2 ? "several" : "two"} sessions begin with ${prefix}: ${[...found.keys()].join(", ")}`,
      );
    for (const [id, seq] of found) {
      const receipt = await this.#bySequence(seq);
      if (receipt) return receipt;
      const record = await this.#records.get(id);
      if (record) throw notFound(`session ${id} is ${record.session.status} and has no receipt`);
    }
    throw notFound(`there is no receipt of a session ${prefix}`);
  }

  async byIdentity(identity: Pick<StoredFile, "ino" | "size">): Promise<Receipt[]> {
    const wanted = identityOf(identity);
    const sequences: string[] = [];
    for await (const [key, value] of this.#store.entries(SPACE.file))
      if (value === wanted) sequences.push(sequenceAtEnd(key));
    const found = await Promise.all(sequences.map((seq) => this.#bySequence(seq)));
    return found.filter((receipt) => receipt !== undefined).toSorted((a, b) => b.seq - a.seq);
  }

  async *all(): AsyncGenerator<Receipt> {
    // Sessions first: one that is forgotten meanwhile is found a second time, instead of never.
    let batch: string[] = [];
    for await (const [key] of this.#store.entries(SPACE.status, under("completed"))) {
      batch.push(sequenceAtEnd(key));
      if (batch.length < BATCH) continue;
      yield* this.#ofSessions(batch);
      batch = [];
    }
    yield* this.#ofSessions(batch);
    for await (const [, text] of this.#store.entries(SPACE.receipt)) {
      const receipt = decodeReceipt(text);
      if (await isNewest(this.#store, receipt)) yield receipt;
    }
  }

  async *chunks(receipt: Receipt): AsyncGenerator<ReceiptChunk> {
    const part = (await this.#records.get(receipt.sessionId))?.session.part;
    let count = 0;
    if (part)
      for await (const chunk of chunkRecords(this.#store, receipt.sessionId, part.epoch)) {
        count++;
        yield chunk;
      }
    if (count === 0)
      for await (const [, text] of this.#store.entries(SPACE.receiptChunk, under(sequenceKey(receipt.seq))))
        for (const chunk of decodeChunks(text)) {
          count++;
          yield chunk;
        }
    if (count !== receiptChunkCount(receipt))
      throw notFound(
        `the chunks of ${receipt.file.path} were forgotten: ${count} of ${receiptChunkCount(receipt)} are left`,
      );
  }

  async refile(receipt: Receipt, file: StoredFile): Promise<void> {
    if (await this.#records.get(receipt.sessionId)) {
      await this.#ledger.change(
        receipt.sessionId,
        (record) => ({ ...record, session: { ...record.session, file, target: file.path } }),
        { sync: true, silent: true },
      );
      return;
    }
    const key = sequenceKey(receipt.seq);
    const before = await this.#kept(key);
    if (!before) throw notFound(`the receipt of ${receipt.file.path} was forgotten`);
    const after = { ...before, file };
    const [space, former] = fileEntry(before.file, before.seq);
    await this.#store.write(
      [
        { type: "del", space, key: former },
        { type: "put", space: SPACE.receipt, key, value: encodeReceipt(after) },
        ...receiptIndex(after),
      ],
      { sync: true },
    );
  }

  async forget(sessionId: string): Promise<void> {
    await this.#forgetting.forget([sessionId], () => true, { receipts: false });
    const seq = await this.#store.get(SPACE.receiptId, sessionId);
    const receipt = seq === undefined ? undefined : await this.#kept(seq);
    if (seq === undefined || !receipt) return;
    const [space, key] = fileEntry(receipt.file, receipt.seq);
    const writes: Write[] = [
      { type: "del", space, key },
      { type: "del", space: SPACE.receipt, key: seq },
      { type: "del", space: SPACE.receiptId, key: sessionId },
    ];
    for await (const [block] of this.#store.entries(SPACE.receiptChunk, under(seq)))
      writes.push({ type: "del", space: SPACE.receiptChunk, key: block });
    await this.#store.write(writes, { sync: true });
  }

  write(receipt: Receipt): AsyncIterable<string> {
    return carryOut(receipt, this.chunks(receipt));
  }

  read(json: string): CarriedReceipt {
    return carryIn(json);
  }

  async #bySequence(seq: string): Promise<Receipt | undefined> {
    const [record] = await this.#records.bySequence([seq], false);
    return record ? receiptOf(record.session) : this.#kept(seq);
  }

  async #kept(seq: string): Promise<Receipt | undefined> {
    const text = await this.#store.get(SPACE.receipt, seq);
    return text === undefined ? undefined : decodeReceipt(text);
  }

  async *#ofSessions(sequences: readonly string[]): AsyncGenerator<Receipt> {
    for (const { session } of await this.#records.bySequence(sequences, false)) {
      const receipt = receiptOf(session);
      if (receipt && (await isNewest(this.#store, receipt))) yield receipt;
    }
  }
}

const notFound = (message: string) => failure("RECEIPT_NOT_FOUND", message);
