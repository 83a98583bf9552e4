/** Hands an order to the daemon: URLs in one call, a list as a stream of its bytes, which the daemon reads. */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type AddListRequest, DownloadServiceService } from "../gen/snatch/v1/download_service.ts";
import type { Session } from "../gen/snatch/v1/session.ts";
import type { Connection } from "./connect.ts";
import { type ClientError, fail, fromDetail, messageOf, misuse } from "./failure.ts";
import type { Order } from "./order.ts";
import { hideCode } from "./share-link.ts";

/** Bytes of a list in one message. */
const PIECE = 256 * 1024;

/** Something that was not accepted. */
export interface Refusal {
  /** The URL, without the code if it is a share's; or the line of the list. */
  readonly text: string;
  /** Of a list, counted from 1. */
  readonly lineNumber?: number;
  readonly error: ClientError;
}

/** What became of an order. */
export interface Submitted {
  /** One for each accepted URL; empty for a list. */
  readonly sessions: readonly Session[];
  readonly batchId: string;
  readonly acceptedCount: number;
  /** At most 100 of a list's. */
  readonly refusals: readonly Refusal[];
  readonly refusedCount: number;
}

/** A list that is open for reading: it is opened before a daemon is started for it. */
export interface OpenList extends AsyncDisposable {
  pieces(): AsyncIterable<Buffer>;
}

/** @throws ClientError if it cannot be read */
export async function openList(path: string): Promise<OpenList> {
  if (path === "-") return { pieces: () => process.stdin, [Symbol.asyncDispose]: async () => {} };
  let file: FileHandle;
  try {
    file = await open(path);
    if ((await file.stat()).isDirectory()) throw new Error("it is a folder");
  } catch (error) {
    throw misuse(`the list ${path} cannot be read: ${messageOf(error)}`);
  }
  return {
    pieces: () => createReadStream("", { fd: file, highWaterMark: PIECE, autoClose: false }),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** @throws ClientError if nothing was accepted because the call failed; single refusals are in the answer */
export function submit(connection: Connection, order: Order, list: OpenList | undefined): Promise<Submitted> {
  return list === undefined ? submitUrls(connection, order) : submitList(connection, order, list);
}

async function submitUrls(connection: Connection, order: Order): Promise<Submitted> {
  const asked = order.urls.filter(({ refusal }) => refusal === undefined);
  const { results, batchId } = await connection.ask(DownloadServiceService.addDownloads, {
    downloads: asked.map(({ text }) => ({ urls: [text], options: order.options })),
  });
  const sessions: Session[] = [];
  const refusals: Refusal[] = refusedUrls(order);
  for (const [index, { result }] of results.entries()) {
    if (result?.$case === "session") sessions.push(result.value);
    else if (result) refusals.push({ text: hideCode(asked[index]?.text ?? ""), error: fromDetail(result.value) });
  }
  return { sessions, batchId, acceptedCount: sessions.length, refusals, refusedCount: refusals.length };
}

/** What the client refuses by itself. */
export function refusedUrls(order: Order): Refusal[] {
  return order.urls.flatMap(({ text, refusal }) => (refusal === undefined ? [] : [{ text, error: refusal }]));
}

async function submitList(connection: Connection, order: Order, list: OpenList): Promise<Submitted> {
  const answer = await connection.send(DownloadServiceService.addList, messages(order, list));
  if (answer.acceptedCount + answer.refusedCount === 0)
    throw fail("INVALID_ARGUMENT", `there is no URL in the list ${order.listName}`, "A list has one URL a line.");
  return {
    sessions: [],
    batchId: answer.batchId,
    acceptedCount: answer.acceptedCount,
    refusals: answer.refused.map(({ line, lineNumber, error }) => ({
      text: hideCode(line),
      lineNumber,
      error: error ? fromDetail(error) : fail("LIST_LINE_INVALID", "the line was refused"),
    })),
    refusedCount: answer.refusedCount,
  };
}

async function* messages(order: Order, list: OpenList): AsyncGenerator<AddListRequest> {
  yield { part: { $case: "header", value: { name: order.listName, options: order.options } } };
  for await (const piece of list.pieces()) {
    for (let start = 0; start < piece.length; start += PIECE)
      yield { part: { $case: "data", value: piece.subarray(start, start + PIECE) } };
  }
}
