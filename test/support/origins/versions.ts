/** Faults of versions: the resource changes, or cannot tell that it did. */
import { randomBytes } from "node:crypto";
import { completed, type FaultTable, failed } from "./fault.ts";
import { type Call, resourceOf } from "./origin.ts";

/** The range that was asked for, under exactly these fields besides Content-Range, whatever If-Range says. */
const partOf = (call: Call, fields: Record<string, string>): void => {
  const { range } = call.seen;
  const { bytes } = call.state.resource;
  const field = range && `bytes ${range.start}-${range.end - 1}/${bytes.length}`;
  if (!range) call.answer();
  else call.send(206, { ...fields, "content-range": field }, bytes.subarray(range.start, range.end));
};

/** From the second request on another version is served. */
const changesAfterFirst = (call: Call): void => {
  if (call.seen.number === 2) call.state.resource = resourceOf(randomBytes(call.state.resource.bytes.length), "2");
};

export const versionFaults = {
  "changes-after-first": {
    about: "serves another version from the second request on, and heeds If-Range",
    snatch: "The 200 to If-Range says it: all chunks are dropped, and the new version is fetched from its first byte.",
    outcome: completed(12, { version: 2 }),
    source: "RFC 9110 §13.1.5",
    answer: (call) => {
      changesAfterFirst(call);
      call.answer();
    },
  },
  "changes-ignoring-if-range": {
    about: "serves another version from the second request on, as a 206, whatever If-Range says",
    snatch: "Compares the ETag of every part; begins again with the new version.",
    outcome: completed(12, { version: 2 }),
    source: "RFC 9110 §15.3.7.3",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, { etag: call.state.resource.etag });
    },
  },
  "changes-etag-omitted": {
    about: "serves another version from the second request on, as a 206 without ETag, whatever If-Range says",
    snatch: "A part that does not name the version proves nothing: the whole, as one stream.",
    outcome: completed(6, { version: 2 }),
    source: "RFC 9110 §15.3.7",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, call.seen.number === 1 ? { etag: call.state.resource.etag } : {});
    },
  },
  "changes-etag-omitted-dated": {
    about: "serves another version from the second request on, as a 206 without ETag; its Last-Modified tells",
    snatch: "Compares Last-Modified too; begins again with the new version.",
    outcome: completed(12, { version: 2 }),
    source: "RFC 9110 §15.3.7",
    answer: (call) => {
      changesAfterFirst(call);
      if (call.seen.number === 1) call.answer();
      else partOf(call, { "last-modified": "Tue, 07 Jan 2020 10:00:00 GMT" });
    },
  },
  "changes-date-omitted": {
    about:
      "no ETag; another version from the second request on, as a 206 without Last-Modified, whatever If-Range says",
    snatch: "A part that does not name the version proves nothing: the whole, as one stream.",
    outcome: completed(6, { version: 2 }),
    source: "RFC 9110 §15.3.7",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, call.seen.number === 1 ? { "last-modified": call.state.resource.lastModified } : {});
    },
  },
  "changes-under-one-etag": {
    about: "another version from the second request on, under the same strong ETag; only Last-Modified tells",
    snatch: "One of ETag and Last-Modified is wrong, and nobody can tell which: the whole, as one stream.",
    outcome: completed(6, { version: 2 }),
    source: "RFC 9110 §8.8.1",
    answer: (call) => {
      changesAfterFirst(call);
      const modified = call.seen.number === 1 ? call.state.resource.lastModified : "Tue, 07 Jan 2020 10:00:00 GMT";
      partOf(call, { etag: '"same"', "last-modified": modified });
    },
  },
  "last-modified-omitted": {
    about: "leaves Last-Modified out of a 206 to If-Range, as it may (RFC 9110 §15.3.7); the ETag is there",
    snatch: "Is content with the ETag alone.",
    outcome: completed(8),
    source: "RFC 9110 §15.3.7",
    answer: (call) => call.answer(call.seen.headers["if-range"] === undefined ? {} : { "last-modified": undefined }),
  },
  "changes-without-etag": {
    about: "no ETag; Last-Modified is long ago, and changes with the second request",
    snatch: "Uses Last-Modified in If-Range, because it is strong here; begins again with the new version.",
    outcome: completed(12, { version: 3 }),
    source: "RFC 9110 §8.8.2.2",
    answer: (call) => {
      changesAfterFirst(call);
      const modified = call.seen.number === 1 ? call.state.resource.lastModified : "Tue, 07 Jan 2020 10:00:00 GMT";
      call.state.resource = { ...call.state.resource, lastModified: modified };
      call.answer({ etag: undefined });
    },
  },
  "weak-etag": {
    about: "only a weak ETag, that stays the same while the bytes change",
    snatch: "Never puts a weak ETag into If-Range: without a strong validator the file comes as one stream.",
    outcome: completed(3, { version: 2 }),
    source: "RFC 9110 §13.1.5",
    answer: (call) => {
      changesAfterFirst(call);
      call.answer({ etag: 'W/"same"' });
    },
  },
  "last-modified-fresh": {
    about: "no ETag, and a Last-Modified in the second of its Date: a weak validator",
    snatch: "A date of the same second may stand for two versions: the file comes as one stream.",
    outcome: completed(3),
    source: "RFC 9110 §8.8.2.2",
    answer: (call) => {
      const now = new Date().toUTCString();
      call.answer({ etag: undefined, "last-modified": now, date: now });
    },
  },
  "no-validator": {
    about: "ranges, but neither ETag nor Last-Modified",
    snatch: "Cannot tell versions apart, so the file comes as one stream.",
    outcome: completed(3),
    source: "RFC 9110 §14.2",
    answer: (call) => call.answer({ etag: undefined, "last-modified": undefined }),
  },
  "login-page": {
    about: "from the second request on an HTML page (200), as where a login has run out",
    snatch: "Leaves what was fetched untouched and says which types it met: a person has to log in.",
    outcome: failed("CONTENT_TYPE_CHANGED", 3, { partial: true }),
    source: "RFC 9110 §8.3",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(200, { "content-type": "text/html" }, "<html>Please log in</html>");
    },
  },
  "login-page-elsewhere": {
    about: "from the second request on a redirect to an HTML page (200), as where a login has run out",
    snatch: "Leaves what was fetched untouched and says which types it met: a person has to log in.",
    outcome: failed("CONTENT_TYPE_CHANGED", 4, { partial: true }),
    source: "RFC 9110 §8.3",
    answer: (call) => {
      if (call.seen.number === 1) call.answer({ "content-type": "application/zip" });
      else if (call.seen.path !== "/login") call.send(302, { location: "/login" });
      else call.send(200, { "content-type": "text/html; charset=utf-8" }, "<html>Please log in</html>");
    },
  },
  "page-changes": {
    about: "an HTML page that is another one from the second request on",
    snatch: "A page in place of a page is a new version like any other.",
    outcome: completed(12, { version: 2 }),
    source: "RFC 9110 §13.1.5",
    answer: (call) => {
      changesAfterFirst(call);
      call.answer({ "content-type": "text/html" });
    },
  },
  "shrinks-under-range": {
    about: "from the second request on answers 416: the resource is shorter now",
    snatch: "Takes the other size for another version, and gives up when the whole is refused as well.",
    outcome: failed("HTTP_CLIENT_ERROR", 6, { partial: true }),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(416, { "content-range": "bytes */10" });
    },
  },
} satisfies FaultTable;
