/**
 * Faults that show when the daemon has ended in the middle and a new one goes on: a first run that wins a part of the file
 * and then gets no further, and what the origin has to say in the second.
 */
import { randomBytes } from "node:crypto";
import { completed, type FaultTable, failed } from "./fault.ts";
import { type Call, resourceOf } from "./origin.ts";

/** Bytes that the first run gets: two chunks and a bit. */
const WON = 150_000;

/** The first run: right bytes up to {@link WON}, and then silence. */
function partly(call: Call, changed: Readonly<Record<string, string | undefined>> = {}): void {
  const { bytes, etag, lastModified } = call.state.resource;
  const { start, end } = call.seen.range ?? { start: 0, end: bytes.length };
  if (start >= WON) return;
  const fields: Record<string, string | undefined> = {
    etag,
    "last-modified": lastModified,
    "content-length": `${end - start}`,
    "content-range": call.seen.range && `bytes ${start}-${end - 1}/${bytes.length}`,
    ...changed,
  };
  call.response.writeHead(
    call.seen.range ? 206 : 200,
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  );
  if (end <= WON) call.response.end(bytes.subarray(start, end));
  else call.response.write(bytes.subarray(start, WON));
}

/** A good first run, and then `second`. */
const later =
  (second: (call: Call) => void) =>
  (call: Call): void =>
    call.state.run === 1 ? partly(call) : second(call);

/** Another version takes the place of the first, once. */
function another({ state }: Call, version = "2"): void {
  if (state.resource.etag === '"v1"') state.resource = resourceOf(randomBytes(state.resource.bytes.length), version);
}

/** The whole, whatever was asked. */
function whole({ send, state: { resource } }: Call): void {
  send(200, { etag: resource.etag, "last-modified": resource.lastModified }, resource.bytes);
}

/** The range, under these fields besides Content-Range, whatever If-Range says. */
function part(call: Call, fields: Record<string, string>): void {
  const { bytes } = call.state.resource;
  const { range } = call.seen;
  const { start, end } = range ?? { start: 0, end: bytes.length };
  const field = range && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
  call.send(range ? 206 : 200, { ...fields, ...field }, bytes.subarray(start, end));
}

export const runFaults = {
  "goes-on": {
    about: "is well behaved before and after the daemon's end",
    snatch: "Reads back what is on disk, and fetches only the rest, under If-Range.",
    outcome: completed(9),
    source: "RFC 9110 §13.1.5",
    resumed: true,
    answer: later((call) => call.answer()),
  },
  "changed-between-runs": {
    about: "has another version after the daemon's end, and heeds If-Range",
    snatch: "Drops what was fetched, and fetches the new version from its first byte.",
    outcome: completed(14, { version: 2 }),
    source: "RFC 9110 §13.1.5",
    resumed: true,
    answer: later((call) => {
      another(call);
      call.answer();
    }),
  },
  "changed-between-runs-ignoring-if-range": {
    about: "has another version after the daemon's end, and gives its ranges whatever If-Range says",
    snatch: "Compares the ETag of the part, drops what was fetched, and fetches the new version.",
    outcome: completed(14, { version: 2 }),
    source: "RFC 9110 §15.3.7.3",
    resumed: true,
    answer: later((call) => {
      another(call);
      part(call, { etag: call.state.resource.etag });
    }),
  },
  "changed-between-runs-same-size": {
    about: "has another version of the same size and the same name, and neither ETag nor Last-Modified, ever",
    snatch: "Has nothing to compare versions by, and so does not go on: the file comes anew, as one stream.",
    outcome: completed(6, { version: 2 }),
    source: "RFC 9110 §8.8",
    resumed: true,
    answer: (call) => {
      const silent = { etag: undefined, "last-modified": undefined };
      if (call.state.run === 1) return partly(call, silent);
      another(call);
      return call.answer(silent);
    },
  },
  "weak-etag-between-runs": {
    about: "has only a weak ETag, which stays the same while the bytes change",
    snatch:
      "Never sends the weak ETag in If-Range and puts nothing together by it: the file comes anew, as one stream.",
    outcome: completed(6, { version: 2 }),
    source: "RFC 9110 §13.1.5",
    resumed: true,
    unsent: { here: ["if-range", "if-match"] },
    answer: (call) => {
      if (call.state.run === 1) return partly(call, { etag: 'W/"same"', "last-modified": undefined });
      another(call);
      return call.answer({ etag: 'W/"same"', "last-modified": undefined });
    },
  },
  "range-ignored-between-runs": {
    about: "answers every range with the whole (200) after the daemon's end, under the same strong ETag",
    snatch: "Takes the whole into a part file of its own, and keeps the older one until it is there.",
    outcome: completed(8),
    source: "RFC 9110 §14.2",
    resumed: true,
    answer: later(whole),
  },
  "range-ignored-and-cut": {
    about: "answers every range with the whole (200) after the daemon's end, and breaks off each time on the way",
    snatch: "Keeps the older part file: what was won is still there for another time.",
    outcome: failed("TRUNCATED", 16, { partial: true, keeps: 131_072 }),
    source: "RFC 9110 §14.2",
    resumed: true,
    answer: later(({ response, state: { resource } }) => {
      response.writeHead(200, { etag: resource.etag, "content-length": resource.bytes.length });
      response.write(resource.bytes.subarray(0, 100_000), () => response.destroy());
    }),
  },
  "login-between-runs": {
    about: "sends an HTML page (200) after the daemon's end: the login has run out",
    snatch: "Leaves what was fetched untouched, and says which types it met: a person has to log in.",
    outcome: failed("CONTENT_TYPE_CHANGED", 8, { partial: true, keeps: 131_072 }),
    source: "RFC 9110 §8.3",
    resumed: true,
    answer: later(({ send }) => send(200, { "content-type": "text/html" }, "<html>Please log in</html>")),
  },
  "gone-between-runs": {
    about: "has removed the file after the daemon's end (410)",
    snatch: "Is final; what was fetched is kept, in case that the origin has it again.",
    outcome: failed("HTTP_GONE", 8, { partial: true, keeps: 131_072 }),
    source: "RFC 9110 §15.5.11",
    resumed: true,
    answer: later(({ send }) => send(410, {})),
  },
  "shrinks-between-runs": {
    about: "has a shorter version after the daemon's end: 416 with `*/N` to ranges behind its end",
    snatch: "Takes the other size for another version, and fetches that one.",
    outcome: completed(14, { version: 2 }),
    source: "RFC 9110 §15.5.17",
    resumed: true,
    answer: later((call) => {
      const { state, seen } = call;
      if (state.resource.etag === '"v1"') state.resource = resourceOf(randomBytes(70_000), "2");
      const { length } = state.resource.bytes;
      if (seen.range && seen.range.start >= length) return call.send(416, { "content-range": `bytes */${length}` });
      return call.answer();
    }),
  },
  "unsatisfiable-between-runs": {
    about: "answers ranges by 416 without a total after the daemon's end; the whole is to be had",
    snatch: "Asks for the whole, as one stream.",
    outcome: completed(8),
    source: "RFC 9110 §15.5.17",
    resumed: true,
    answer: later((call) => (call.seen.range ? call.send(416, {}) : whole(call))),
  },
  "signed-url-expires": {
    about: "redirects to a signed URL of another host, which is refused (403) after the daemon's end",
    snatch:
      "Goes on at the original URL, which leads to a fresh signature; the ETag proves that the content is the same.",
    outcome: completed(20, { name: "signed" }),
    source: "RFC 9110 §15.4.3",
    resumed: true,
    answer: (call) => {
      const { seen, state, send, elsewhere } = call;
      if (seen.at === "here") return send(302, { location: `${elsewhere}/signed?run=${state.run}` });
      if (seen.path !== `/signed?run=${state.run}`) return send(403, {});
      return state.run === 1 ? partly(call) : call.answer();
    },
  },
  "signed-url-changes": {
    about: "redirects to a signed URL, and after the daemon's end to another one, with other content",
    snatch: "Finds another ETag behind the new URL, drops what was fetched, and fetches the new version.",
    outcome: completed(28, { version: 2, name: "signed" }),
    source: "RFC 9110 §15.4.3",
    resumed: true,
    answer: (call) => {
      const { seen, state, send, elsewhere } = call;
      if (seen.at === "here") return send(302, { location: `${elsewhere}/signed?run=${state.run}` });
      if (state.run === 1) return partly(call);
      another(call);
      return call.answer();
    },
  },
} satisfies FaultTable;
