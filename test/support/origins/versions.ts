/** Faults of versions: the resource changes, or cannot tell that it did. */
import { randomBytes } from "node:crypto";
import type { FaultTable } from "./catalogue.ts";
import { type Call, resourceOf } from "./origin.ts";

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
      const { range } = call.seen;
      const { bytes, etag } = call.state.resource;
      if (!range) return call.answer();
      const field = `bytes ${range.start}-${range.end - 1}/${bytes.length}`;
      return call.send(206, { etag, "content-range": field }, bytes.subarray(range.start, range.end));
    },
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
  "shrinks-under-range": {
    about: "from the second request on answers 416: the resource is shorter now",
    answer: (call) => {
      if (call.seen.number === 1) call.answer();
      else call.send(416, { "content-range": "bytes */10" });
    },
  },
} satisfies FaultTable;
