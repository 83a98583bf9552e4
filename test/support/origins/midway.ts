/** Faults that show in the middle of a download: what began well breaks, changes or lies from some request on. */
import { randomBytes } from "node:crypto";
import { completed, type FaultTable, failed } from "./fault.ts";
import { type Call, type Resource, resourceOf } from "./origin.ts";

/** The head of a right answer to a range. */
function begin({ seen, response }: Call, { bytes, etag, lastModified }: Resource): Buffer {
  const { start, end } = seen.range ?? { start: 0, end: bytes.length };
  response.writeHead(seen.range ? 206 : 200, {
    etag,
    "last-modified": lastModified,
    "content-length": end - start,
    ...(seen.range && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  response.flushHeaders();
  return bytes.subarray(start, end);
}

/** A right head, and so many bytes of the body before the end. */
const broken =
  (most: number, how: "close" | "reset" | "silence") =>
  (call: Call): void => {
    const body = begin(call, call.state.resource);
    const { response } = call;
    response.write(body.subarray(0, most), () => {
      if (how === "reset") response.socket?.resetAndDestroy();
      else if (how === "close") response.socket?.end();
    });
  };

/** A right 206, but for its Content-Range; the first request is answered well. */
const laterRange =
  (field: (start: number, end: number, size: number) => string, chunked = false) =>
  (call: Call): void => {
    const { range, number } = call.seen;
    const { bytes, etag } = call.state.resource;
    if (!range || number === 1) {
      call.answer();
      return;
    }
    const fields = { etag, "content-range": field(range.start, range.end, bytes.length) };
    const framing = chunked ? { "content-length": undefined, "transfer-encoding": "chunked" } : {};
    call.send(206, { ...fields, ...framing }, bytes.subarray(range.start, range.end));
  };

const WHOLE_INSTEAD = "Puts no byte of it to the others; takes the whole as one stream.";

/** Sends pieces of a right answer for as long as the connection stands. */
function drip(call: Call, resource: Resource, piece: number, everyMs: number): void {
  const body = begin(call, resource);
  let at = 0;
  const timer = setInterval(() => {
    call.response.write(body.subarray(at, at + piece));
    at += piece;
    if (at < body.length) return;
    clearInterval(timer);
    call.response.end();
  }, everyMs);
  call.response.on("close", () => clearInterval(timer));
}

export const midwayFaults = {
  "breaks-each-time": {
    about: "closes the connection after 48,000 bytes of every range",
    snatch: "Goes on behind the last byte, under If-Range, as long as something comes.",
    outcome: completed(20),
    source: "RFC 9112 §8",
    answer: (call) => (call.seen.number === 1 ? call.answer() : broken(48_000, "close")(call)),
  },
  "resets-once": {
    about: "resets the connection in the middle, once",
    snatch: "Goes on behind the last byte, under If-Range.",
    outcome: completed(10),
    source: "RFC 9112 §9.5",
    answer: (call) => (call.seen.number === 2 ? broken(48_000, "reset")(call) : call.answer()),
  },
  "small-breaks-once": {
    about: "has a small file, breaks in the middle of it, and then sends it in pieces of another length",
    snatch: "Begins a file of a single piece anew; no byte of the broken answer is counted.",
    outcome: completed(4),
    source: "RFC 9112 §9.5",
    bytes: Buffer.from(Array.from({ length: 40_000 }, (_, at) => (at * 7) % 251)),
    answer: (call) =>
      call.seen.number === 1 ? broken(15_000, "close")(call) : drip(call, call.state.resource, 25_000, 20),
  },
  "stalls-once": {
    about: "falls silent in the middle, once",
    snatch: "Gives the connection up after the timeout, and goes on behind the last byte.",
    outcome: completed(12),
    source: "RFC 9112 §9.5",
    answer: (call) => (call.seen.number === 2 ? broken(48_000, "silence")(call) : call.answer()),
  },
  "brings-nothing": {
    about: "gives the first range, and from then on right heads without a byte behind them",
    snatch: "Requires progress: asks again a few times, later and later, and gives up. What was fetched is kept.",
    outcome: failed("TRUNCATED", 20, { partial: true }),
    source: "RFC 9110 §15.3.7",
    answer: (call) => (call.seen.number === 1 ? call.answer() : broken(0, "close")(call)),
  },
  "range-ignored-later-and-cut": {
    about: "gives two ranges, breaks, and from then on answers every range with the whole (200), of which half comes",
    snatch: "Takes the whole into a part file of its own; what was won before is kept, and counts again.",
    outcome: failed("TRUNCATED", 20, { partial: true, keeps: 65_536 }),
    source: "RFC 9110 §14.2",
    answer: (call) => {
      const { seen, response, state } = call;
      if (seen.number < 3) return call.answer();
      if (seen.number === 3) return call.raw("", "reset");
      response.writeHead(200, { etag: state.resource.etag, "content-length": state.resource.bytes.length });
      return void response.write(state.resource.bytes.subarray(0, 150_000), () => response.destroy());
    },
  },
  "start-lies-later": {
    about: "gives the first range, and then ranges that begin a byte later than was asked for",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §14.4",
    answer: laterRange((start, end, size) => `bytes ${start + 1}-${end}/${size + 1}`),
  },
  "start-lies-later-chunked": {
    about: "gives the first range, and then chunked ranges that begin a byte later than was asked for",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §14.4",
    answer: laterRange((start, end, size) => `bytes ${start + 1}-${end}/${size + 1}`, true),
  },
  "end-lies-later-chunked": {
    about: "gives the first range, and then chunked ranges that say they end behind what was asked for",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §14.4",
    answer: laterRange((start, end, size) => `bytes ${start}-${end}/${size + 1}`, true),
  },
  "unit-lies-later-chunked": {
    about: "gives the first range, and then chunked ranges in another unit",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §14.1",
    answer: laterRange((start, end, size) => `items ${start}-${end - 1}/${size}`, true),
  },
  "total-lies-later-chunked": {
    about: "gives the first range, and then chunked ranges of another total",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §14.4",
    answer: laterRange((start, end, size) => `bytes ${start}-${end - 1}/${size + 7}`, true),
  },
  "multipart-later": {
    about: "gives the first range, and then multipart/byteranges",
    snatch: WHOLE_INSTEAD,
    outcome: completed(6),
    source: "RFC 9110 §15.3.7.2",
    answer: (call) => {
      if (!call.seen.range || call.seen.number === 1) return call.answer();
      return call.send(206, { "content-type": "multipart/byteranges; boundary=x" }, "--x\r\n\r\n--x--\r\n");
    },
  },
  "gzip-later": {
    about: "gives the first range as it is, and then ranges in gzip",
    snatch: "Ranges of a coded body cannot be put together with others; takes the whole as one stream.",
    outcome: completed(6),
    source: "RFC 9110 §8.4",
    answer: (call) =>
      call.seen.range && call.seen.number > 1 ? call.answer({ "content-encoding": "gzip" }) : call.answer(),
  },
  "late-answer-of-the-old-version": {
    about: "changes in the middle, while a connection is still bringing bytes of the old version",
    snatch: "The new version is another epoch: what still comes of the old one is thrown away.",
    outcome: completed(24, { version: 2 }),
    source: "RFC 9110 §8.8.1",
    connections: 4,
    answer: (call) => {
      const { state, seen } = call;
      if (seen.number === 1) return drip(call, state.resource, 1024, 20);
      if (state.resource.etag === '"v1"') state.resource = resourceOf(randomBytes(state.resource.bytes.length), "2");
      return call.answer();
    },
  },
  "never-the-same": {
    about: "has another version for every request",
    snatch: "Begins again a few times, and then gives up: no file is better than one glued together.",
    outcome: failed("RESOURCE_CHANGED", 20, { partial: true }),
    source: "RFC 9110 §8.8.1",
    answer: (call) => {
      call.state.resource = resourceOf(randomBytes(call.state.resource.bytes.length), `${call.seen.number}`);
      call.answer();
    },
  },
  "head-lies": {
    about: "has another length, another type and no ranges for HEAD, and is well behaved for GET",
    snatch: "Never sends HEAD: the first range is the question, and its bytes are used.",
    outcome: completed(8),
    source: "RFC 9110 §9.3.2",
    answer: (call) =>
      call.seen.method === "HEAD"
        ? call.send(200, { "content-length": 5, "content-type": "text/html" })
        : call.answer(),
  },
  "empty-chunked": {
    bytes: Buffer.alloc(0),
    about: "a resource of no bytes, chunked: nothing but the last chunk",
    snatch: "A file of no bytes.",
    outcome: completed(2),
    source: "RFC 9112 §7.1",
    answer: (call) => {
      call.send(200, { "content-length": undefined, "transfer-encoding": "chunked" });
    },
  },
  "one-connection-only": {
    about: "is slow, and refuses (503) every connection but one",
    snatch: "Fetches over the one that it gets, and does not hammer for more.",
    outcome: completed(30),
    source: "RFC 9110 §15.6.4",
    connections: 8,
    answer: (call) => {
      const { state } = call;
      if (OPEN.has(state)) return call.send(503, {});
      OPEN.add(state);
      call.response.on("close", () => OPEN.delete(state));
      return drip(call, state.resource, 2048, 20);
    },
  },
} satisfies FaultTable;

/** The origins that are busy with an answer. */
const OPEN = new WeakSet<Call["state"]>();
