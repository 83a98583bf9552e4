/** Faults with a second address: redirects to another origin, and mirrors that are not what they are said to be. */
import { randomBytes } from "node:crypto";
import { completed, type FaultTable, failed, waiting } from "./fault.ts";
import type { Call } from "./origin.ts";

/** What a download may be asked for with that is for nobody else. */
const SECRETS = [
  ["Authorization", "Bearer abc"],
  ["Cookie", "id=1"],
  ["X-Api-Token", "t"],
  ["X-Mine", "anything"],
] as const;

const SECRET_NAMES = SECRETS.map(([name]) => name.toLowerCase());

/** Answers of the mirror are another's. */
const mirror =
  (theirs: (call: Call) => void, ours: (call: Call) => void = (call) => call.answer()) =>
  (call: Call): void =>
    call.seen.at === "elsewhere" ? theirs(call) : ours(call);

/** Right answers, slow enough that another place would help. */
function slowly({ seen, response, state: { resource } }: Call): void {
  const { bytes, etag } = resource;
  const { start, end } = seen.range ?? { start: 0, end: bytes.length };
  response.writeHead(206, {
    etag,
    "content-length": end - start,
    "content-range": `bytes ${start}-${end - 1}/${bytes.length}`,
  });
  let at = start;
  const timer = setInterval(() => {
    response.write(bytes.subarray(at, Math.min(at + 2048, end)));
    at += 2048;
    if (at < end) return;
    clearInterval(timer);
    response.end();
  }, 20);
  response.on("close", () => clearInterval(timer));
}

export const elsewhereFaults = {
  "redirect-with-secrets": {
    about: "redirects (302) to another origin, which writes down what it is told",
    snatch: "What was given for one origin (credentials, cookies, any header) is not told to the other.",
    outcome: completed(20, { name: "there.bin" }),
    source: "RFC 9110 §15.4",
    options: { headers: SECRETS },
    unsent: { elsewhere: SECRET_NAMES },
    answer: (call) =>
      call.seen.at === "here" ? call.send(302, { location: `${call.elsewhere}/there.bin` }) : call.answer(),
  },
  "redirect-back-with-secrets": {
    about: "redirects to another origin, which redirects back",
    snatch: "What was dropped on the way stays dropped at the other origin; each is told only what is its own.",
    outcome: completed(30, { name: "back.bin" }),
    source: "RFC 9110 §15.4",
    options: { headers: SECRETS },
    unsent: { elsewhere: SECRET_NAMES },
    answer: (call) => {
      if (call.seen.at === "elsewhere") return call.send(307, { location: `${call.base}/back.bin` });
      return call.seen.path === "/back.bin" ? call.answer() : call.send(307, { location: `${call.elsewhere}/there` });
    },
  },
  "mirror-other-bytes": {
    about: "is slow, and its mirror has other bytes of the same length",
    snatch: "Compares a piece that is here with the mirror's, and does not use it.",
    outcome: completed(40),
    source: "RFC 6249 §6",
    mirror: true,
    connections: 4,
    answer: mirror((call) => {
      const { range } = call.seen;
      const length = call.state.resource.bytes.length;
      if (!range) return call.send(200, { etag: '"other"' }, randomBytes(length));
      const field = `bytes ${range.start}-${range.end - 1}/${length}`;
      return call.send(206, { etag: '"other"', "content-range": field }, randomBytes(range.end - range.start));
    }, slowly),
  },
  "mirror-missing": {
    about: "is slow, and its mirror has no such file (404)",
    snatch: "Leaves the mirror alone; the origin is enough.",
    outcome: completed(40),
    source: "RFC 6249 §4",
    mirror: true,
    connections: 4,
    answer: mirror((call) => call.send(404, {}), slowly),
  },
  "origin-missing": {
    about: "has no such file (404), but its mirror does",
    snatch: "Fetches from the mirror.",
    outcome: completed(16),
    source: "RFC 6249 §4",
    mirror: true,
    answer: mirror(
      (call) => call.answer(),
      (call) => call.send(404, {}),
    ),
  },
  "too-many-requests-midway": {
    about: "gives the first range and then 429 with Retry-After: 5",
    snatch: "Keeps what was fetched, and leaves the whole host alone for that long.",
    outcome: waiting("HTTP_TOO_MANY_REQUESTS", 4, 5, 4),
    source: "RFC 6585 §4",
    answer: (call) => (call.seen.number === 1 ? call.answer() : call.send(429, { "retry-after": "5" })),
  },
  "retry-after-a-year": {
    about: "503 with Retry-After: 31536000",
    snatch: "Does not obey for a year: asks again after a day.",
    outcome: waiting("HTTP_SERVER_ERROR", 86_390, 86_400),
    source: "RFC 9110 §10.2.3",
    answer: (call) => call.send(503, { "retry-after": "31536000" }),
  },
  "retry-after-garbled": {
    about: "503 with a Retry-After that is neither seconds nor a date",
    snatch: "Does as if there were none: tries again, each time later, and then gives up.",
    outcome: failed("HTTP_SERVER_ERROR", 2),
    source: "RFC 9110 §10.2.3",
    answer: (call) => call.send(503, { "retry-after": "soon" }),
  },
} satisfies FaultTable;
