/** Faults of ranges: what is sent is not what was asked for. */
import { randomBytes } from "node:crypto";
import { completed, type FaultTable, failed } from "./fault.ts";
import { type Call, resourceOf } from "./origin.ts";

/** A 206 whose Content-Range is `field`, with the bytes that were asked for. */
const contentRange =
  (field: (start: number, end: number, size: number) => string | undefined, chunked = false) =>
  (call: Call): void => {
    const { range } = call.seen;
    if (!range) {
      call.answer();
      return;
    }
    const { bytes, etag } = call.state.resource;
    const value = field(range.start, range.end, bytes.length);
    call.send(
      206,
      {
        etag,
        ...(value !== undefined && { "content-range": value }),
        ...(chunked && { "content-length": undefined, "transfer-encoding": "chunked" }),
      },
      bytes.subarray(range.start, range.end),
    );
  };

export const rangeFaults = {
  "well-behaved": {
    about: "does everything right",
    snatch: "Fetches it chunk by chunk, every later range under If-Range.",
    outcome: completed(8),
    source: "RFC 9110 §14.2",
    answer: (call) => call.answer(),
  },
  "range-ignored": {
    about: "answers every range with the whole (200)",
    snatch: "Takes the whole as one stream, from its first byte to its last; nothing is written at a guessed place.",
    outcome: completed(2),
    source: "RFC 9110 §14.2",
    answer: (call) => {
      const { bytes, etag, lastModified } = call.state.resource;
      call.send(200, { etag, "last-modified": lastModified }, bytes);
    },
  },
  "range-ignored-on-resume": {
    about: "gives the first range, and answers later ones with the whole (200) under the same strong ETag",
    snatch: "Puts no byte of the 200 behind the first chunk: asks for the whole, in a part file of its own.",
    outcome: completed(6),
    source: "RFC 9110 §14.2",
    answer: (call) => {
      if (call.seen.number === 1) return call.answer();
      const { bytes, etag } = call.state.resource;
      return call.send(200, { etag }, bytes);
    },
  },
  "if-range-hostile": {
    about: "answers a range with If-Range by the whole (200) under the same strong ETag; without it gives ranges",
    snatch: "Asks once more under If-Match, compares the ETag, and from then on only so.",
    outcome: completed(9),
    source: "RFC 9110 §13.1.1",
    answer: ifRangeHostile((call) => call.answer()),
  },
  "if-range-hostile-changes": {
    about: "answers If-Range by the whole (200), and gives as a range another version, whatever If-Match says",
    snatch: "Sees another ETag in the part, drops all chunks and begins again with the new version.",
    outcome: completed(16, { version: 2 }),
    source: "RFC 9110 §13.1.1",
    answer: ifRangeHostile((call) => {
      if (call.state.resource.etag === '"v1"' && call.seen.number > 1)
        call.state.resource = resourceOf(randomBytes(call.state.resource.bytes.length), "2");
      call.answer();
    }),
  },
  "if-range-hostile-denies": {
    about: "answers If-Range by the whole (200), and If-Match by 412, although the ETag is what it just said",
    snatch: "Gives up ranges at this origin and takes the whole as one stream.",
    outcome: completed(6),
    source: "RFC 9110 §13.1.1",
    answer: ifRangeHostile((call) => (call.seen.headers["if-match"] ? call.send(412, {}) : call.answer())),
  },
  "range-as-200": {
    about: "answers a range with just that range and its Content-Range, but as if it were the whole (200)",
    snatch: "Reads the Content-Range that a 200 cannot have, takes the body for no whole, and asks without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: (call) => {
      const { range } = call.seen;
      const { bytes, etag } = call.state.resource;
      if (!range) return call.answer();
      const field = `bytes ${range.start}-${range.end - 1}/${bytes.length}`;
      return call.send(200, { etag, "content-range": field }, bytes.subarray(range.start, range.end));
    },
  },
  "accept-ranges-none-lie": {
    about: "says Accept-Ranges: none, and gives ranges all the same",
    snatch: "Does not care what is said: the first range is the question.",
    outcome: completed(8),
    source: "RFC 9110 §14.3",
    answer: (call) => call.answer({ "accept-ranges": "none" }),
  },
  "accept-ranges-bytes-lie": {
    about: "says Accept-Ranges: bytes, and gives none",
    snatch: "Does not care what is said: a 200 is the whole, one stream.",
    outcome: completed(2),
    source: "RFC 9110 §14.3",
    answer: (call) => call.send(200, { "accept-ranges": "bytes", etag: '"v1"' }, call.state.resource.bytes),
  },
  "content-range-missing": {
    about: "a 206 without Content-Range",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §15.3.7",
    answer: contentRange(() => undefined),
  },
  "content-range-garbled": {
    about: "a 206 whose Content-Range is no range",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: contentRange(() => "bytes all/of it"),
  },
  "content-range-start": {
    about: "a 206 that begins one byte later than was asked for",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: contentRange((start, end, size) => `bytes ${start + 1}-${end}/${size + 1}`),
  },
  "content-range-start-chunked": {
    about: "a chunked 206 that begins one byte later than was asked for",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: contentRange((start, end, size) => `bytes ${start + 1}-${end}/${size + 1}`, true),
  },
  "content-range-end": {
    about: "a 206 that says it ends behind what was asked for",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: contentRange((start, end, size) => `bytes ${start}-${end}/${size + 1}`),
  },
  "content-range-unit": {
    about: "a 206 in another unit",
    snatch: "Uses no byte of it and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.1",
    answer: contentRange((start, end, size) => `items ${start}-${end - 1}/${size}`),
  },
  "content-range-total": {
    about: "a 206 whose total differs from request to request",
    snatch: "Puts nothing together whose total differs; takes the whole as one stream.",
    outcome: completed(6),
    source: "RFC 9110 §14.4",
    answer: (call) => contentRange((start, end, size) => `bytes ${start}-${end - 1}/${size + call.seen.number}`)(call),
  },
  "content-range-total-unknown": {
    about: "a 206 that does not tell the total (*)",
    snatch: "Cannot tell how much there is from a part, and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: contentRange((start, end) => `bytes ${start}-${end - 1}/*`),
  },
  "content-range-total-unknown-capped": {
    about: "gives at most 4,096 bytes a range, in a 206 that does not tell the total (*); the whole is to be had",
    snatch: "Never takes such a part for the whole; asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §14.4",
    answer: (call) => {
      const { range } = call.seen;
      const { bytes, etag } = call.state.resource;
      if (!range) return call.answer();
      const end = Math.min(range.end, range.start + 4096);
      const field = `bytes ${range.start}-${end - 1}/*`;
      return call.send(206, { etag, "content-range": field }, bytes.subarray(range.start, end));
    },
  },
  "range-shorter": {
    about: "a right 206 with half of what was asked for",
    snatch: "Takes what came and asks again from its end, as long as each answer brings at least a byte.",
    outcome: completed(120),
    source: "RFC 9110 §15.3.7",
    answer: (call) => {
      const { range } = call.seen;
      const { bytes, etag } = call.state.resource;
      if (!range) return call.answer();
      const end = range.start + Math.ceil((range.end - range.start) / 2);
      const field = `bytes ${range.start}-${end - 1}/${bytes.length}`;
      return call.send(206, { etag, "content-range": field }, bytes.subarray(range.start, end));
    },
  },
  "range-chunked": {
    about: "a right 206 with a chunked body and no length",
    snatch: "Counts the bytes against Content-Range, since there is no length.",
    outcome: completed(8),
    source: "RFC 9110 §15.3.7",
    answer: contentRange((start, end, size) => `bytes ${start}-${end - 1}/${size}`, true),
  },
  "range-chunked-short": {
    about: "a chunked 206 that ends in good order, one byte short of its range",
    snatch: "Keeps what is right, asks again for what is missing, and gives up when nothing more comes.",
    outcome: failed("TRUNCATED", 40, { partial: true }),
    source: "RFC 9110 §15.3.7",
    answer: chunkedOff(-1),
  },
  "range-chunked-long": {
    about: "a chunked 206 with one byte more than its range",
    snatch: "Breaks the connection at the first byte too many, asks again, and gives up when it goes on so.",
    outcome: failed("PROTOCOL_ERROR", 40, { partial: true }),
    source: "RFC 9110 §14.4",
    answer: chunkedOff(1),
  },
  "range-length-differs": {
    about: "a 206 whose Content-Length is not the length of its range",
    snatch:
      "Uses no byte of it; asked for the whole, the origin sends a part that nobody asked for, which is refused too.",
    outcome: failed("RANGE_INVALID", 6),
    source: "RFC 9110 §8.6",
    answer: contentLengthOff,
  },
  multipart: {
    about: "answers a single range with multipart/byteranges",
    snatch: "Refuses several parts where one was asked for, and asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §15.3.7.2",
    answer: (call) => {
      const { range } = call.seen;
      const { bytes } = call.state.resource;
      if (!range) return call.answer();
      const head = `--x\r\nContent-Range: bytes ${range.start}-${range.end - 1}/${bytes.length}\r\n\r\n`;
      const body = Buffer.concat([
        Buffer.from(head),
        bytes.subarray(range.start, range.end),
        Buffer.from("\r\n--x--\r\n"),
      ]);
      return call.send(206, { "content-type": "multipart/byteranges; boundary=x" }, body);
    },
  },
  "unsatisfiable-with-total": {
    about: "answers every range with 416 and `*/N`; the whole is to be had",
    snatch: "Asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      const { bytes } = call.state.resource;
      if (call.seen.range) call.send(416, { "content-range": `bytes */${bytes.length}` });
      else call.send(200, { etag: call.state.resource.etag }, bytes);
    },
  },
  "unsatisfiable-without-total": {
    about: "answers every range with 416 that tells nothing; the whole is to be had",
    snatch: "Asks for the whole without a range.",
    outcome: completed(3),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      if (call.seen.range) call.send(416, {});
      else call.send(200, { etag: call.state.resource.etag }, call.state.resource.bytes);
    },
  },
  "unsatisfiable-empty-lie": {
    about: "answers every range with 416 and `*/0`, as if there were no bytes; the whole is to be had",
    snatch: "Believes only a whole answer that there is nothing: asks for it, and gets the file.",
    outcome: completed(3),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      if (call.seen.range) call.send(416, { "content-range": "bytes */0" });
      else call.answer();
    },
  },
  "unsatisfiable-on-resume": {
    about: "from the second request on 416, with the total that makes the range satisfiable",
    snatch: "Asks for the whole, and gives up when even that is answered by 416. What was fetched is kept.",
    outcome: failed("HTTP_CLIENT_ERROR", 6, { partial: true }),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(416, { "content-range": `bytes */${call.state.resource.bytes.length}` });
    },
  },
} satisfies FaultTable;

function ifRangeHostile(otherwise: (call: Call) => void): (call: Call) => void {
  return (call) => {
    const { bytes, etag } = call.state.resource;
    if (call.seen.headers["if-range"] === undefined) otherwise(call);
    else call.send(200, { etag }, bytes);
  };
}

function chunkedOff(by: number): (call: Call) => void {
  return (call) => {
    const { range } = call.seen;
    if (!range) return call.answer();
    const { bytes, etag } = call.state.resource;
    const part = bytes.subarray(range.start, range.end);
    const body = by < 0 ? part.subarray(0, by) : Buffer.concat([part, Buffer.alloc(by)]);
    const field = `bytes ${range.start}-${range.end - 1}/${bytes.length}`;
    const fields = { etag, "content-range": field, "content-length": undefined, "transfer-encoding": "chunked" };
    return call.send(206, fields, body);
  };
}

function contentLengthOff(call: Call): void {
  const { range } = call.seen;
  const { bytes, etag } = call.state.resource;
  const { start, end } = range ?? { start: 0, end: bytes.length };
  call.send(
    206,
    { etag, "content-range": `bytes ${start}-${end - 1}/${bytes.length}` },
    bytes.subarray(start, end - 1),
  );
}
