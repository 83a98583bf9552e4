/** Statuses, redirects and names: what an origin says about the resource, not what it sends of it. */
import type { FaultTable } from "./catalogue.ts";
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

/** Served well, under a Content-Disposition. */
const named =
  (disposition: string) =>
  (call: Call): void =>
    call.answer({ "content-disposition": disposition });

export const statusFaults = {
  unauthorized: { about: "401", answer: status(401, { "www-authenticate": 'Basic realm="x"' }) },
  forbidden: { about: "403", answer: status(403) },
  "not-found": { about: "404", answer: status(404) },
  gone: { about: "410", answer: status(410) },
  "too-many-requests": { about: "429 with Retry-After: 7", answer: status(429, { "retry-after": "7" }) },
  "busy-once": {
    about: "503 with Retry-After: 1 at first, and well behaved from then on",
    answer: (call) => (call.seen.number === 1 ? status(503, { "retry-after": "1" })(call) : call.answer()),
  },
  "retry-after-date": {
    about: "503 with Retry-After as a date, by a clock that is a day off",
    answer: status(503, { date: "Sun, 22 Nov 2026 12:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 12:00:30 GMT" }),
  },
  "fails-once": {
    about: "500 at first, and well behaved from then on",
    answer: (call) => (call.seen.number === 1 ? status(500)(call) : call.answer()),
  },
  "always-fails": { about: "500, always", answer: status(500) },
  "no-content": { about: "204", answer: (call) => call.send(204, { "content-length": undefined }) },
  "head-refused": {
    about: "405 for HEAD, and well behaved for GET",
    answer: (call) => (call.seen.method === "HEAD" ? call.send(405, {}) : call.answer()),
  },
  "redirect-loop": { about: "redirects to itself", answer: redirect((call) => call.seen.path) },
  "redirect-endless": { about: "redirects ever further", answer: redirect((call) => `/further/${call.seen.number}`) },
  "redirect-nowhere": { about: "a redirect without Location", answer: redirect(() => undefined) },
  "redirect-bad": { about: "redirects to what is no URL", answer: redirect(() => "http://[") },
  "redirect-file": { about: "redirects to a file: URL", answer: redirect(() => "file:///etc/passwd") },
  "redirect-once": {
    about: "redirects (307) to /real.bin, which is well behaved",
    answer: (call) => (call.seen.path === "/real.bin" ? call.answer() : redirect(() => "/real.bin", 307)(call)),
  },
  empty: {
    about: "a resource of no bytes: 416 with `*/0` to ranges, 200 otherwise",
    answer: (call) => {
      if (call.seen.range) call.send(416, { "content-range": "bytes */0" });
      else call.send(200, { etag: '"empty"' });
    },
  },
  "empty-200": {
    about: "a resource of no bytes, answered with 200",
    answer: (call) => call.send(200, { etag: '"empty"' }),
  },
  "name-with-folders": {
    about: "a name that climbs: ../../evil.sh",
    answer: named('attachment; filename="../../evil.sh"'),
  },
  "name-extended": {
    about: "filename* in UTF-8 beside a plain filename",
    answer: named("attachment; filename=\"plain.txt\"; filename*=UTF-8''%C3%BCber%20uns.txt"),
  },
  "name-long": { about: "a name of 300 bytes", answer: named(`attachment; filename="${"n".repeat(296)}.bin"`) },
} satisfies FaultTable;
