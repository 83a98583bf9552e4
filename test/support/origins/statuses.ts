/** Statuses, redirects and names: what an origin says about the resource, not what it sends of it. */
import { completed, type FaultTable, failed, waiting } from "./fault.ts";
import type { Call } from "./origin.ts";

const status =
  (code: number, fields: Record<string, string> = {}) =>
  (call: Call): void =>
    call.send(code, fields, `<html>${code}</html>`);

const redirect =
  (location: (call: Call) => string | undefined, code = 302) =>
  (call: Call): void => {
    const target = location(call);
    call.send(code, target === undefined ? {} : { location: target });
  };

/** Bytes of a long name that are kept before its extension. */
const NAME = 219;

/** Served well, under a Content-Disposition. */
const named =
  (disposition: string) =>
  (call: Call): void =>
    call.answer({ "content-disposition": disposition });

export const statusFaults = {
  unauthorized: {
    about: "401",
    snatch: "Is final, and says how to give credentials.",
    outcome: failed("HTTP_UNAUTHORIZED", 1),
    source: "RFC 9110 §15.5.2",
    answer: status(401, { "www-authenticate": 'Basic realm="x"' }),
  },
  forbidden: {
    about: "403",
    snatch: "Is final, and says what the origin may want: a cookie, a referrer, a fresh URL.",
    outcome: failed("HTTP_FORBIDDEN", 1),
    source: "RFC 9110 §15.5.4",
    answer: status(403),
  },
  "not-found": {
    about: "404",
    snatch: "Is final.",
    outcome: failed("HTTP_NOT_FOUND", 1),
    source: "RFC 9110 §15.5.5",
    answer: status(404),
  },
  gone: {
    about: "410",
    snatch: "Is final.",
    outcome: failed("HTTP_GONE", 1),
    source: "RFC 9110 §15.5.11",
    answer: status(410),
  },
  "too-many-requests": {
    about: "429 with Retry-After: 7",
    snatch: "Leaves the whole host alone for that long, and counts no attempt meanwhile.",
    outcome: waiting("HTTP_TOO_MANY_REQUESTS", 6, 7),
    source: "RFC 6585 §4",
    answer: status(429, { "retry-after": "7" }),
  },
  "busy-once": {
    about: "503 with Retry-After: 1 at first, and well behaved from then on",
    snatch: "Waits for as long as it was asked to, and then fetches the file.",
    outcome: completed(9),
    source: "RFC 9110 §10.2.3",
    answer: (call) => (call.seen.number === 1 ? status(503, { "retry-after": "1" })(call) : call.answer()),
  },
  "retry-after-date": {
    about: "503 with Retry-After as a date, by a clock that is a day off",
    snatch: "Counts from the origin's own Date, so that a clock which is off does no harm.",
    outcome: waiting("HTTP_SERVER_ERROR", 29, 30),
    source: "RFC 9110 §10.2.3",
    answer: status(503, { date: "Sun, 22 Nov 2026 12:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 12:00:30 GMT" }),
  },
  "fails-once": {
    about: "500 at first, and well behaved from then on",
    snatch: "Tries again, and fetches the file.",
    outcome: completed(9),
    source: "RFC 9110 §15.6",
    answer: (call) => (call.seen.number === 1 ? status(500)(call) : call.answer()),
  },
  "always-fails": {
    about: "500, always",
    snatch: "Tries again, each time later, and then gives up.",
    outcome: failed("HTTP_SERVER_ERROR", 2),
    source: "RFC 9110 §15.6.1",
    answer: status(500),
  },
  "no-content": {
    about: "204",
    snatch: "Takes no answer for the file that is not one.",
    outcome: failed("PROTOCOL_ERROR", 3),
    source: "RFC 9110 §15.3.5",
    answer: (call) => call.send(204, { "content-length": undefined }),
  },
  "head-refused": {
    about: "405 for HEAD, and well behaved for GET",
    snatch: "Never sends HEAD: the first range is the question, and its bytes are used.",
    outcome: completed(8),
    source: "RFC 9110 §9.3.2",
    answer: (call) => (call.seen.method === "HEAD" ? call.send(405, {}) : call.answer()),
  },
  "redirect-loop": {
    about: "redirects to itself",
    snatch: "Sees the circle at once.",
    outcome: failed("TOO_MANY_REDIRECTS", 2),
    source: "RFC 9110 §15.4",
    answer: redirect((call) => call.seen.path),
  },
  "redirect-endless": {
    about: "redirects ever further",
    snatch: "Follows ten, and no more.",
    outcome: failed("TOO_MANY_REDIRECTS", 12),
    source: "RFC 9110 §15.4",
    answer: redirect((call) => `/further/${call.seen.number}`),
  },
  "redirect-nowhere": {
    about: "a redirect without Location",
    snatch: "Says so; there is nothing to follow.",
    outcome: failed("BAD_REDIRECT", 2),
    source: "RFC 9110 §10.2.2",
    answer: redirect(() => undefined),
  },
  "redirect-bad": {
    about: "redirects to what is no URL",
    snatch: "Says so; there is nothing to follow.",
    outcome: failed("BAD_REDIRECT", 2),
    source: "RFC 9110 §10.2.2",
    answer: redirect(() => "http://["),
  },
  "redirect-file": {
    about: "redirects to a file: URL",
    snatch: "Never leaves HTTP: no redirect leads to a file of this machine.",
    outcome: failed("BAD_REDIRECT", 2),
    source: "RFC 9110 §17.4",
    answer: redirect(() => "file:///etc/passwd"),
  },
  "redirect-once": {
    about: "redirects (307) to /real.bin, which is well behaved",
    snatch: "Follows it, with the method and the range as they are.",
    outcome: completed(16, { name: "real.bin" }),
    source: "RFC 9110 §15.4.8",
    answer: (call) => (call.seen.path === "/real.bin" ? call.answer() : redirect(() => "/real.bin", 307)(call)),
  },
  empty: {
    bytes: Buffer.alloc(0),
    about: "a resource of no bytes: 416 with `*/0` to ranges, 200 otherwise",
    snatch: "Asks for the whole, which says itself that it is empty: a file of no bytes.",
    outcome: completed(3),
    source: "RFC 9110 §15.5.17",
    answer: (call) => {
      if (call.seen.range) call.send(416, { "content-range": "bytes */0" });
      else call.send(200, { etag: '"empty"' });
    },
  },
  "empty-200": {
    bytes: Buffer.alloc(0),
    about: "a resource of no bytes, answered with 200",
    snatch: "A file of no bytes.",
    outcome: completed(2),
    source: "RFC 9110 §8.6",
    answer: (call) => {
      call.send(200, { etag: '"empty"' });
    },
  },
  "name-with-folders": {
    about: "a name that climbs: ../../evil.sh",
    snatch: "Uses only the last part of the name: no folder is left.",
    outcome: completed(8, { name: "evil.sh" }),
    source: "RFC 6266 §4.3",
    answer: named('attachment; filename="../../evil.sh"'),
  },
  "name-extended": {
    about: "filename* in UTF-8 beside a plain filename",
    snatch: "Prefers the extended name.",
    outcome: completed(8, { name: "über uns.txt" }),
    source: "RFC 6266 §4.3",
    answer: named("attachment; filename=\"plain.txt\"; filename*=UTF-8''%C3%BCber%20uns.txt"),
  },
  "name-long": {
    about: "a name of 300 bytes",
    snatch: "Cuts it to what a file system takes, and keeps the extension.",
    outcome: completed(8, { name: `${"n".repeat(NAME)}.bin` }),
    source: "RFC 6266 §4.3",
    answer: named(`attachment; filename="${"n".repeat(296)}.bin"`),
  },
} satisfies FaultTable;
