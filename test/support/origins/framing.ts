/** Faults of framing and of the connection: lengths that lie, bodies that end early or never. */
import { gzipSync } from "node:zlib";
import { completed, type FaultTable, failed, goesOn } from "./fault.ts";
import type { Call } from "./origin.ts";

/** A raw head for the whole resource. */
const head = (...fields: string[]): string =>
  `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;

/** The first half of the whole resource behind `fields`, and then `end`. */
const half =
  (end: "close" | "reset" | "keep", ...fields: string[]) =>
  (call: Call): void => {
    const { bytes } = call.state.resource;
    const length = `Content-Length: ${bytes.length}`;
    call.raw(Buffer.concat([Buffer.from(head(length, ...fields)), bytes.subarray(0, bytes.length / 2)]), end);
  };

export const framingFaults = {
  "close-early": {
    about: "closes the connection half-way",
    snatch:
      "Does not take half for the whole. Without a range it cannot go on in the middle: another attempt, then an error.",
    outcome: failed("TRUNCATED", 3, { partial: true }),
    source: "RFC 9112 §8",
    answer: half("close"),
  },
  "close-early-no-keepalive": {
    about: "closes the connection half-way, and said Connection: close",
    snatch: "Believes Content-Length, not the end of the connection.",
    outcome: failed("TRUNCATED", 3, { partial: true }),
    source: "RFC 9112 §8",
    answer: half("close", "Connection: close"),
  },
  "reset-early": {
    about: "resets the connection half-way",
    snatch: "Another attempt, then an error.",
    outcome: failed("CONNECTION_LOST", 3, { partial: true }),
    source: "RFC 9112 §9.5",
    answer: half("reset"),
  },
  "stall-in-body": {
    about: "sends half of the body and then nothing more",
    snatch: "Gives up after the timeout without a byte, by a clock that nobody can set.",
    outcome: failed("TIMED_OUT", 3, { partial: true }),
    source: "RFC 9112 §9.5",
    answer: half("keep"),
  },
  "stall-before-head": {
    about: "accepts the request and never answers",
    snatch: "Gives up after the timeout without a byte, by a clock that nobody can set.",
    outcome: failed("TIMED_OUT", 3),
    source: "RFC 9112 §9.5",
    answer: () => undefined,
  },
  "close-before-head": {
    about: "closes the connection without an answer",
    snatch: "Another attempt, then an error.",
    outcome: failed("CONNECTION_LOST", 3),
    source: "RFC 9112 §9.6",
    answer: (call) => call.raw(""),
  },
  "reset-before-head": {
    about: "resets the connection without an answer",
    snatch: "Another attempt, then an error.",
    outcome: failed("CONNECTION_LOST", 3),
    source: "RFC 9112 §9.6",
    answer: (call) => call.raw("", "reset"),
  },
  "no-length-chunked": {
    about: "the whole, chunked, without a length",
    snatch: "The whole has come when the last chunk has.",
    outcome: completed(2),
    source: "RFC 9112 §7.1",
    answer: (call) =>
      call.send(200, { "content-length": undefined, "transfer-encoding": "chunked" }, call.state.resource.bytes),
  },
  "no-length-close": {
    about: "the whole, ended only by the end of the connection",
    snatch: "The whole has come when the connection was closed in good order; the length is marked as unverified.",
    outcome: completed(2, { unverified: true }),
    source: "RFC 9112 §6.3",
    answer: (call) => call.raw(Buffer.concat([Buffer.from(head("Connection: close")), call.state.resource.bytes])),
  },
  "chunked-cut": {
    about: "a chunked body without its last chunk",
    snatch: "Without its last chunk a chunked body is not whole: another attempt, then an error.",
    outcome: failed("TRUNCATED", 3),
    source: "RFC 9112 §7.1",
    answer: (call) => call.raw(`${head("Transfer-Encoding: chunked")}5\r\nhello\r\n`),
  },
  "length-and-chunked": {
    about: "Content-Length together with Transfer-Encoding (RFC 9112 §6.3: smells of smuggling)",
    snatch: "Trusts neither of the two.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9112 §6.3",
    answer: (call) => call.raw(`${head("Content-Length: 3", "Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\n\r\n`),
  },
  "transfer-coding": {
    about: "Transfer-Encoding: gzip, chunked, although no TE asked for it (RFC 9112 §7.4)",
    snatch: "Refuses a transfer coding that nobody asked for.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9112 §7.4",
    answer: (call) => {
      const coded = gzipSync(call.state.resource.bytes);
      const chunk = Buffer.concat([
        Buffer.from(`${coded.length.toString(16)}\r\n`),
        coded,
        Buffer.from("\r\n0\r\n\r\n"),
      ]);
      call.raw(Buffer.concat([Buffer.from(head("Transfer-Encoding: gzip, chunked")), chunk]));
    },
  },
  "transfer-coding-close": {
    about: "Transfer-Encoding: gzip, ended by the end of the connection",
    snatch: "Refuses a transfer coding that nobody asked for.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9112 §7.4",
    answer: (call) =>
      call.raw(Buffer.concat([Buffer.from(head("Transfer-Encoding: gzip")), gzipSync(call.state.resource.bytes)])),
  },
  "two-lengths": {
    about: "two Content-Length fields that contradict each other",
    snatch: "Trusts neither of the two.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9112 §6.3",
    answer: (call) => call.raw(`${head("Content-Length: 5", "Content-Length: 6")}hello!`),
  },
  "length-too-small": {
    about: "more bytes than Content-Length announced",
    snatch:
      "Takes as many bytes as were announced; the rest is no part of the answer, and the connection is not used again.",
    outcome: completed(2),
    source: "RFC 9112 §6.3",
    bytes: Buffer.from("hello"),
    answer: (call) => call.raw(`${head("Content-Length: 5")}hello, and more`),
  },
  "not-http": {
    about: "does not speak HTTP",
    snatch: "Says that it is no HTTP.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9112 §4",
    answer: (call) => call.raw("SSH-2.0-OpenSSH_9.2\r\n"),
  },
  "huge-header": {
    about: "a header section of 256 KiB",
    snatch: "Does not read on.",
    outcome: failed("HEADERS_TOO_LARGE", 2),
    source: "RFC 9110 §5.4",
    answer: (call) => call.raw(`${head(`X-Big: ${"x".repeat(256 * 1024)}`, "Content-Length: 0")}`),
  },
  "early-hints": {
    about: "an interim 103 before the answer",
    snatch: "Waits for the answer proper.",
    outcome: completed(8),
    source: "RFC 8297 §2",
    answer: (call) => {
      call.response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      call.answer();
    },
  },
  "interim-endless": {
    about: "interim answers (103), one every 20 ms, and never the real one",
    snatch: "Interim answers do not count as an answer: gives up after the timeout.",
    outcome: failed("TIMED_OUT", 3),
    source: "RFC 9110 §15.2",
    answer: (call) => {
      const timer = setInterval(() => call.response.writeEarlyHints({ link: "</style.css>; rel=preload" }), 20);
      call.response.on("close", () => clearInterval(timer));
    },
  },
  "gzip-unasked": {
    about: "Content-Encoding: gzip although identity was asked for, also in ranges",
    snatch: "Asks for the whole without a range and decodes it: ranges of a coded body cannot be put together.",
    outcome: completed(3),
    source: "RFC 9110 §8.4",
    answer: (call) => {
      const coded = gzipSync(call.state.resource.bytes);
      const { range } = call.seen;
      const fields = { "content-encoding": "gzip", etag: '"gz"' };
      if (!range) return call.send(200, fields, coded);
      const end = Math.min(range.end, coded.length);
      const field = `bytes ${range.start}-${end - 1}/${coded.length}`;
      return call.send(206, { ...fields, "content-range": field }, coded.subarray(range.start, end));
    },
  },
  "gzip-cut": {
    about: "Content-Encoding: gzip unasked, chunked, and the coded body ends early, in good order",
    snatch: "Sees that the coded body ends early, although its framing is right.",
    outcome: failed("TRUNCATED", 6, { partial: true }),
    source: "RFC 1952 §2.3.1",
    answer: (call) => {
      const coded = gzipSync(call.state.resource.bytes);
      const fields = { "content-encoding": "gzip", "content-length": undefined, "transfer-encoding": "chunked" };
      call.send(200, fields, coded.subarray(0, -8));
    },
  },
  "gzip-and-more": {
    about: "Content-Encoding: gzip unasked, and a comment behind the end of the coded body",
    snatch: "Refuses what comes behind the end of the coded body.",
    outcome: failed("PROTOCOL_ERROR", 6, { partial: true }),
    source: "RFC 1952 §2.2",
    answer: (call) => {
      const coded = gzipSync(call.state.resource.bytes);
      call.send(200, { "content-encoding": "gzip" }, Buffer.concat([coded, Buffer.from("<!-- cached -->")]));
    },
  },
  "coding-unknown": {
    about: "a content coding that nobody knows",
    snatch: "Says which coding; bytes that cannot be decoded are not the file.",
    outcome: failed("CONTENT_CODING_UNKNOWN", 3),
    source: "RFC 9110 §8.4.1",
    answer: (call) => call.answer({ "content-encoding": "exi" }),
  },
  drip: {
    about: "one byte every 20 ms, without end",
    snatch: "A byte now and then is no stall: it goes on, for as long as somebody lets it.",
    outcome: goesOn(2),
    source: "RFC 9112 §9.5",
    answer: (call) => {
      call.response.writeHead(200);
      const timer = setInterval(() => call.response.write("x"), 20);
      call.response.on("close", () => clearInterval(timer));
    },
  },
} satisfies FaultTable;
