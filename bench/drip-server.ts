/**
 * The program behind drip-origin.ts: serves the files of a folder over HTTP/1.1, each connection at a rate that it keeps to
 * evenly. Arguments: the folder, and bytes a second. Tells its port to the process that started it, and ends with it.
 */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What is written at once is so many milliseconds' worth. */
const SLICE_MS = 20;
/** A timer that comes late is made up for by at most so many milliseconds' worth: nobody saves up for a burst. */
const LATE_MS = 50;

const [folder = ".", rateText = "0"] = process.argv.slice(2);
const rate = Number(rateText);
const files = new Map<string, Promise<Buffer>>();
/** When each connection may send again, on the monotonic clock. It outlives a request: more of them bring nothing. */
const paidUntil = new WeakMap<Socket, number>();

const server = createServer((request, response) => {
  // A client that breaks off is no error.
  response.on("error", () => {});
  void answer(request, response).catch(() => response.destroy());
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const bytes = await load(basename(request.url ?? ""));
  const { method, headers, socket } = request;
  const etag = `"${bytes.length}"`;
  const current = headers["if-range"] === undefined || headers["if-range"] === etag;
  const [, from, to] = (current && /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "")) || [];
  const start = Number(from ?? 0);
  const end = to ? Math.min(Number(to) + 1, bytes.length) : bytes.length;
  if (start >= end) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    return;
  }
  response.writeHead(from === undefined ? 200 : 206, {
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    "content-length": end - start,
    etag,
    ...(from !== undefined && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  if (method !== "HEAD") await drip(bytes.subarray(start, end), response, socket);
  response.end();
}

async function drip(bytes: Buffer, response: ServerResponse, socket: Socket): Promise<void> {
  const slice = Math.ceil((rate * SLICE_MS) / 1000);
  for (let at = 0; at < bytes.length && !response.destroyed; at += slice) {
    const wait = (paidUntil.get(socket) ?? 0) - performance.now();
    if (wait > 0) await sleep(wait);
    const piece = bytes.subarray(at, at + slice);
    const due = Math.max(paidUntil.get(socket) ?? 0, performance.now() - LATE_MS);
    paidUntil.set(socket, due + (piece.length / rate) * 1000);
    if (!response.write(piece)) await drained(response);
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve).once("close", resolve);
  });
}

function load(name: string): Promise<Buffer> {
  let file = files.get(name);
  if (!file) {
    file = readFile(join(folder, name));
    files.set(name, file);
  }
  return file;
}
