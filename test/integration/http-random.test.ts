/**
 * The HTTP source against origins that get any of it wrong, in any combination, but tell their version where they tell one:
 * whatever it lets through has the bytes of the expected version, at their place.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { DownloadError } from "../../src/daemon/core/errors.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { type Call, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const client = new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() });
after(() => client[Symbol.asyncDispose]());

const factory = new HttpSourceFactory({ client, clock });

const SIZE = 4000;
const BEFORE = resourceOf(randomBytes(SIZE), "1");
const AFTER = randomBytes(SIZE);
const MODIFIED = "Tue, 07 Jan 2020 10:00:00 GMT";

/** Right five times in six: an answer with everything wrong is refused by the first look at it. */
const mostly = <T>(right: T, ...wrong: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(right) }, { weight: 1, arbitrary: fc.constantFrom(...wrong) });

const answer = fc.record({
  status: mostly(206, 200, 412, 416),
  changed: mostly(false, true),
  /** Bytes more than before, of a changed version. */
  grown: mostly(0, 1),
  etag: mostly<"strong" | "weak" | "absent">("strong", "weak", "absent"),
  lastModified: mostly(true, false),
  range: mostly<Place>("right", "absent", "later", "longer", "no total", "other total", "unit", "unsatisfied"),
  body: mostly<Body>("range", "whole", "whole", "short", "long", "empty"),
  chunked: fc.boolean(),
  coding: mostly<string | undefined>(undefined, "gzip", "identity"),
  type: mostly<string | undefined>(undefined, "text/html", "application/zip"),
});
type Place = "right" | "absent" | "later" | "longer" | "no total" | "other total" | "unit" | "unsatisfied";
type Body = "range" | "whole" | "short" | "long" | "empty";
type Answer = typeof answer extends fc.Arbitrary<infer T> ? T : never;

function give(call: Call, how: Answer): void {
  const bytes = how.changed ? Buffer.concat([AFTER, AFTER.subarray(0, how.grown)]) : BEFORE.bytes;
  const etag = how.changed ? '"v2"' : BEFORE.etag;
  const { start, end } = call.seen.range ?? { start: 0, end: bytes.length };
  const last = Math.min(end, bytes.length) - 1;
  const ranges: Record<Answer["range"], string | undefined> = {
    right: `bytes ${start}-${last}/${bytes.length}`,
    absent: undefined,
    later: `bytes ${start + 1}-${last}/${bytes.length}`,
    longer: `bytes ${start}-${last + 1}/${bytes.length + 2}`,
    "no total": `bytes ${start}-${last}/*`,
    "other total": `bytes ${start}-${last}/${bytes.length + 1}`,
    unit: `items ${start}-${last}/${bytes.length}`,
    unsatisfied: `bytes */${bytes.length}`,
  };
  const part = bytes.subarray(start, last + 1);
  const bodies: Record<Answer["body"], Buffer> = {
    range: part,
    whole: bytes,
    short: part.subarray(0, -1),
    long: Buffer.concat([part, Buffer.alloc(1)]),
    empty: Buffer.alloc(0),
  };
  const body = how.coding === "gzip" ? gzipSync(bodies[how.body]) : bodies[how.body];
  const fields = {
    etag: how.etag === "absent" ? undefined : how.etag === "weak" ? `W/${etag}` : etag,
    "last-modified": how.lastModified ? (how.changed ? MODIFIED : BEFORE.lastModified) : undefined,
    "content-range": ranges[how.range],
    "content-encoding": how.coding,
    "content-type": how.type,
    ...(how.chunked && { "content-length": undefined, "transfer-encoding": "chunked" }),
  };
  call.send(how.status, fields, body);
}
test("whatever comes through is of the expected version, at its place", async () => {
  let through = 0;
  const validator = fc.constantFrom(BEFORE.etag, BEFORE.lastModified);
  const range = fc.constantFrom({ start: 1000, end: 2000 }, { start: 0, end: 1000 }, { start: 3000 }, { start: 0 });
  const property = fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 3 }), validator, range, check);
  async function check(answers: Answer[], strongValidator: string, wanted: { start: number; end?: number }) {
    await using origin = await serve(BEFORE, (call) =>
      give(call, answers[(call.seen.number - 1) % answers.length] ?? assert.fail()),
    );
    const tagged = strongValidator === BEFORE.etag;
    const expected = {
      finalUrl: origin.url,
      ranges: true,
      strongValidator,
      lastModified: BEFORE.lastModified,
      contentType: "application/zip",
      ...(tagged && { etag: strongValidator }),
      size: SIZE,
    };
    const signal = AbortSignal.timeout(5000);
    const pieces: Buffer[] = [];
    try {
      const stream = await factory.http(origin.url, { timeoutMs: 1000 }).open({ ...wanted, expected, signal });
      await stream.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
      const found = Buffer.concat(pieces);
      assert.ok(stream.start === wanted.start, "another place");
      assert.equal(found.length, (stream.end ?? SIZE) - stream.start);
      assert.ok(found.equals(BEFORE.bytes.subarray(stream.start, stream.start + found.length)), "a wrong byte");
      through++;
    } catch (error) {
      assert.ok(error instanceof DownloadError, String(error));
    }
  }
  await fc.assert(property, { numRuns: 1500 });
  assert.ok(through > 50, `only ${through} came through: nothing was tested`);
});
