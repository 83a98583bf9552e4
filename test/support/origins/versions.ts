/** Faults of versions: the resource changes, or cannot tell that it did. */
import { randomBytes } from "node:crypto";
import type { FaultTable } from "./catalogue.ts";
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
    answer: (call) => {
      changesAfterFirst(call);
      call.answer();
    },
  },
  "changes-ignoring-if-range": {
    about: "serves another version from the second request on, as a 206, whatever If-Range says",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, { etag: call.state.resource.etag });
    },
  },
  "changes-etag-omitted": {
    about: "serves another version from the second request on, as a 206 without ETag, whatever If-Range says",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, call.seen.number === 1 ? { etag: call.state.resource.etag } : {});
    },
  },
  "changes-etag-omitted-dated": {
    about: "the same, but its Last-Modified tells",
    answer: (call) => {
      changesAfterFirst(call);
      if (call.seen.number === 1) call.answer();
      else partOf(call, { "last-modified": "Tue, 07 Jan 2020 10:00:00 GMT" });
    },
  },
  "changes-date-omitted": {
    about:
      "no ETag; another version from the second request on, as a 206 without Last-Modified, whatever If-Range says",
    answer: (call) => {
      changesAfterFirst(call);
      partOf(call, call.seen.number === 1 ? { "last-modified": call.state.resource.lastModified } : {});
    },
  },
  "changes-under-one-etag": {
    about: "another version from the second request on, under the same strong ETag; only Last-Modified tells",
    answer: (call) => {
      changesAfterFirst(call);
      const modified = call.seen.number === 1 ? call.state.resource.lastModified : "Tue, 07 Jan 2020 10:00:00 GMT";
      partOf(call, { etag: '"same"', "last-modified": modified });
    },
  },
  "last-modified-omitted": {
    about: "leaves Last-Modified out of a 206 to If-Range, as it may (RFC 9110 §15.3.7); the ETag is there",
    answer: (call) => call.answer(call.seen.headers["if-range"] === undefined ? {} : { "last-modified": undefined }),
  },
  "changes-without-etag": {
    about: "no ETag; Last-Modified is long ago, and changes with the second request",
    answer: (call) => {
      changesAfterFirst(call);
      const modified = call.seen.number === 1 ? call.state.resource.lastModified : "Tue, 07 Jan 2020 10:00:00 GMT";
      call.state.resource = { ...call.state.resource, lastModified: modified };
      call.answer({ etag: undefined });
    },
  },
  "weak-etag": {
    about: "only a weak ETag, that stays the same while the bytes change",
    answer: (call) => {
      changesAfterFirst(call);
      call.answer({ etag: 'W/"same"' });
    },
  },
  "last-modified-fresh": {
    about: "no ETag, and a Last-Modified in the second of its Date: a weak validator",
    answer: (call) => {
      const now = new Date().toUTCString();
      call.answer({ etag: undefined, "last-modified": now, date: now });
    },
  },
  "no-validator": {
    about: "ranges, but neither ETag nor Last-Modified",
    answer: (call) => call.answer({ etag: undefined, "last-modified": undefined }),
  },
  "login-page": {
    about: "from the second request on an HTML page (200), as where a login has run out",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(200, { "content-type": "text/html" }, "<html>Please log in</html>");
    },
  },
  "login-page-elsewhere": {
    about: "from the second request on a redirect to an HTML page (200), as where a login has run out",
    answer: (call) => {
      if (call.seen.number === 1) call.answer({ "content-type": "application/zip" });
      else if (call.seen.path !== "/login") call.send(302, { location: "/login" });
      else call.send(200, { "content-type": "text/html; charset=utf-8" }, "<html>Please log in</html>");
    },
  },
  "page-changes": {
    about: "an HTML page that is another one from the second request on",
    answer: (call) => {
      changesAfterFirst(call);
      call.answer({ "content-type": "text/html" });
    },
  },
  "shrinks-under-range": {
    about: "from the second request on answers 416: the resource is shorter now",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(416, { "content-range": "bytes */10" });
    },
  },
} satisfies FaultTable;
