/** What is written down of a receipt when its session is forgotten: the receipt, its chunks in blocks, its index. */
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import { type Receipt, type ReceiptChunk, receiptChunkCount, receiptOf } from "../core/receipt.ts";
import type { Session } from "../core/session.ts";
import { chunkRecords } from "./chunks.ts";
import { fileEntry, pathKey, SPACE, sequenceAtEnd, sequenceKey, under } from "./keys.ts";
import { encodeChunks, encodeReceipt } from "./receipt-codec.ts";

/** Chunks in one block. */
const BLOCK = 1024;
const BLOCK_WIDTH = 7;

/** The entries by which a kept receipt is found. */
export function receiptIndex(receipt: Receipt): Write[] {
  const [space, key, value] = fileEntry(receipt.file, receipt.seq);
  return [
    { type: "put", space, key, value },
    { type: "put", space: SPACE.receiptId, key: receipt.sessionId, value: sequenceKey(receipt.seq) },
  ];
}

/** True if no later download has put a file in the same place. */
export async function isNewest(store: KeyValue, { file, seq }: Receipt): Promise<boolean> {
  for await (const [key] of store.entries(SPACE.file, { ...under(pathKey(file.path)), reverse: true, limit: 1 }))
    return sequenceAtEnd(key) <= sequenceKey(seq);
  return true;
}

/** The writes that keep the receipt of a session which is about to be forgotten; none if there is none to keep. */
export async function keepReceipt(store: KeyValue, session: Session): Promise<Write[]> {
  const receipt = receiptOf(session);
  if (!receipt || !session.part || !(await isNewest(store, receipt))) return [];
  const seq = sequenceKey(receipt.seq);
  const writes: Write[] = [];
  let block: ReceiptChunk[] = [];
  let count = 0;
  const put = (): void => {
    const key = `${seq}!${String(Math.ceil(count / BLOCK) - 1).padStart(BLOCK_WIDTH, "0")}`;
    writes.push({ type: "put", space: SPACE.receiptChunk, key, value: encodeChunks(block) });
    block = [];
  };
  for await (const chunk of chunkRecords(store, session.id, session.part.epoch)) {
    block.push(chunk);
    count++;
    if (block.length === BLOCK) put();
  }
  if (block.length > 0) put();
  // Without all of its chunks it proves nothing.
  if (count !== receiptChunkCount(receipt)) return [];
  return [
    ...writes,
    { type: "put", space: SPACE.receipt, key: seq, value: encodeReceipt(receipt) },
    ...receiptIndex(receipt),
  ];
}
