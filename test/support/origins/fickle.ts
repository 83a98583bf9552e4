/**
 * An origin that cannot be relied on: it behaves in one way for a few requests and then in another, drawn from the
 * catalogue and from changes of version, each of which it tells by a validator of its own. What it draws depends on its
 * seed alone; whether a lie is in it that nobody could find out does not: there is none.
 */
import { ORIGINS, type OriginName } from "./catalogue.ts";
import { type Call, type Origin, type Resource, serve } from "./origin.ts";

/** What it is made of. */
export interface FickleOptions {
  /** Chance, in [0, 1). */
  readonly random: () => number;
  /** Bytes of a version of about this size. */
  readonly make: (size: number) => Buffer;
  readonly size: number;
  /** After so many requests it is well behaved for good; Infinity: never. */
  readonly honestAfter: number;
}

/** Answers by weight. */
type Choice = readonly [weight: number, answer: (call: Call) => void];

/**
 * Faults of the catalogue that leave the versions alone. Not among them are those that serve bytes of no version under a
 * validator of one: a strong ETag for two contents is a lie that cannot be noticed.
 */
const CATALOGUE: readonly OriginName[] = [
  "range-ignored",
  "if-range-hostile",
  "if-range-hostile-denies",
  "range-as-200",
  "accept-ranges-none-lie",
  "content-range-missing",
  "content-range-garbled",
  "content-range-start",
  "content-range-start-chunked",
  "content-range-end",
  "content-range-unit",
  "content-range-total",
  "content-range-total-unknown",
  "content-range-total-unknown-capped",
  "range-shorter",
  "range-chunked",
  "range-chunked-short",
  "range-chunked-long",
  "range-length-differs",
  "multipart",
  "unsatisfiable-with-total",
  "unsatisfiable-without-total",
  "unsatisfiable-empty-lie",
  "last-modified-omitted",
  "no-validator",
  "close-early",
  "close-early-no-keepalive",
  "reset-early",
  "stall-in-body",
  "stall-before-head",
  "close-before-head",
  "reset-before-head",
  "no-length-chunked",
  "no-length-close",
  "chunked-cut",
  "length-and-chunked",
  "transfer-coding",
  "two-lengths",
  "not-http",
  "early-hints",
  "gzip-unasked",
  "gzip-cut",
  "gzip-and-more",
  "always-fails",
  "no-content",
  "redirect-once",
];

/** Faults that end a download at once. */
const FINAL: readonly OriginName[] = [
  "huge-header",
  "coding-unknown",
  "unauthorized",
  "forbidden",
  "not-found",
  "gone",
  "redirect-loop",
  "redirect-nowhere",
];

/** What is served in place of the file where somebody is to log in. */
export const LOGIN_PAGE = "<html>Please log in</html>";

/** The range as it is now, whatever a condition says. */
function unconditionally(call: Call, fields: Record<string, string | undefined>): void {
  const { range } = call.seen;
  const { bytes } = call.state.resource;
  const { start, end } = range ?? { start: 0, end: bytes.length };
  const part = range && start < end ? { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` } : {};
  const told = Object.entries({ ...fields, ...part }).filter(([, value]) => value !== undefined);
  if (start > 0 && start >= end) call.send(416, { "content-range": `bytes */${bytes.length}` });
  else call.send("content-range" in part ? 206 : 200, Object.fromEntries(told), bytes.subarray(start, end));
}

/** The head of a right answer to a range. @returns its body; undefined if there is none, and all has been said */
function begin(call: Call): Buffer | undefined {
  const { bytes, etag, lastModified } = call.state.resource;
  const { start, end } = call.seen.range ?? { start: 0, end: bytes.length };
  const condition = call.seen.headers["if-range"];
  if (start >= end || (condition !== undefined && condition !== etag)) {
    call.answer();
    return undefined;
  }
  call.response.writeHead(call.seen.range ? 206 : 200, {
    etag,
    "last-modified": lastModified,
    "content-length": end - start,
    ...(call.seen.range && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  return bytes.subarray(start, end);
}

/** A right answer that takes its time: the daemon may die meanwhile, or the version be another one at its end. */
function slowly(call: Call, random: () => number): void {
  const body = begin(call);
  const piece = 2048 * (1 + Math.floor(random() * 8));
  let at = 0;
  const timer = setInterval(() => {
    if (body === undefined || at >= body.length) return void clearInterval(timer);
    call.response.write(body.subarray(at, at + piece));
    at += piece;
    if (at >= body.length) call.response.end();
  }, 20);
  call.response.on("close", () => clearInterval(timer));
}

/** A right head, and a part of the body before the end. */
function breakOff(call: Call, random: () => number): void {
  const body = begin(call);
  const how = random();
  if (body === undefined) return;
  call.response.write(body.subarray(0, Math.floor(random() * body.length)), () => {
    if (how < 0.4) call.response.socket?.resetAndDestroy();
    else if (how < 0.8) call.response.socket?.end();
  });
}

/** Starts one. Its {@link Origin.versions} are all that it ever served. */
export function serveFickle({ random, make, size, honestAfter }: FickleOptions): Promise<Origin> {
  let number = 0;
  const version = (): Resource => {
    number++;
    const day = String((number % 28) + 1).padStart(2, "0");
    const length = number === 1 || random() < 0.5 ? size : Math.floor(random() * size * 1.5);
    const lastModified = new Date(`2020-01-${day}T10:00:00Z`).toUTCString();
    return { bytes: make(length), etag: `"v${number}"`, lastModified };
  };
  const changed =
    (then: (call: Call) => void) =>
    (call: Call): void => {
      // A date can be told apart for a month only.
      if (number < 28 && random() < 0.3) call.state.resource = version();
      then(call);
    };
  const own: readonly Choice[] = [
    [12, (call) => call.answer()],
    [10, (call) => slowly(call, random)],
    [10, (call) => breakOff(call, random)],
    [3, changed((call) => call.answer())],
    [3, changed((call) => unconditionally(call, { etag: call.state.resource.etag }))],
    [2, changed((call) => unconditionally(call, {}))],
    [2, changed((call) => unconditionally(call, { etag: 'W/"same"' }))],
    [2, changed((call) => call.answer({ etag: undefined }))],
    [1, (call) => call.send(503, { "retry-after": "1" })],
    [1, (call) => call.send(429, { "retry-after": "0" })],
    [1, (call) => call.send(302, { location: `${call.elsewhere}${call.seen.path}` })],
    [0.3, (call) => call.send(200, { "content-type": "text/html" }, LOGIN_PAGE)],
  ];
  const choices: readonly Choice[] = [
    ...own,
    ...CATALOGUE.map((name) => [0.4, ORIGINS[name].answer] as const),
    ...FINAL.map((name) => [0.03, ORIGINS[name].answer] as const),
  ];
  const all = choices.reduce((sum, [weight]) => sum + weight, 0);
  const draw = (): ((call: Call) => void) => {
    let at = random() * all;
    for (const [weight, chosen] of choices) {
      at -= weight;
      if (at < 0) return chosen;
    }
    return (call) => call.answer();
  };
  let left = 0;
  let answer = draw();
  return serve(version(), (call) => {
    if (call.seen.number > honestAfter) return call.answer();
    if (left-- <= 0) {
      answer = draw();
      left = Math.floor(random() * 4);
    }
    return answer(call);
  });
}
