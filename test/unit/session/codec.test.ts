import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import { decodeRecord, encodeRecord } from "../../../src/daemon/session/codec.ts";
import type { SessionRecord } from "../../../src/daemon/session/record.ts";
import { exportLine } from "../../../src/daemon/session/transfer.ts";
import { anySession } from "../../support/arbitrary-session.ts";

const record: fc.Arbitrary<SessionRecord> = fc.record(
  {
    session: anySession,
    batches: fc.array(fc.string(), { maxLength: 3 }),
    place: fc.stringMatching(/^[0-9a-z]{1,12}$/),
    endedAt: fc.nat(),
  },
  { requiredKeys: ["session", "batches"] },
);

const failsWith = (code: string, message: RegExp) => (error: DownloadError) =>
  error.code === code && message.test(error.message);

/** As deepEqual would have it: fast-check's objects have no prototype. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("what is written is read", () => {
  fc.assert(
    fc.property(record, (value) => {
      const read = decodeRecord(encodeRecord(value));
      assert.deepEqual(plain(read), plain(value));
      // No field is there as undefined: `in` and spreads would take it for one that is set.
      for (const part of [read, read.session, read.session.options, read.session.progress, read.session.resource ?? {}])
        for (const field of Object.values(part)) assert.notEqual(field, undefined);
    }),
    { numRuns: 300 },
  );
});

test("a record is in the spec's schema", () => {
  const text = exportLine({
    id: "0b0f6c1e-0000-4000-8000-000000000000",
    seq: 7,
    url: "https://x.test/a",
    mirrors: [],
    options: { maxRetries: 3 },
    status: "failed",
    createdAt: 0,
    updatedAt: 1500,
    attempt: 1,
    progress: { downloadedBytes: 1, totalBytes: 3 },
    metadata: { title: "A", format: "bestaudio" },
    error: { code: "TIMED_OUT", message: "no byte", retryable: true, time: 1500 },
  });
  assert.deepEqual(JSON.parse(text), {
    version: 1,
    session_id: "0b0f6c1e-0000-4000-8000-000000000000",
    sequence: 7,
    url: "https://x.test/a",
    mirrors: [],
    status: "failed",
    created_at: "1970-01-01T00:00:00.000Z",
    updated_at: "1970-01-01T00:00:01.500Z",
    attempt: 1,
    progress: { downloaded_bytes: 1, total_bytes: 3, percentage: 33.33 },
    metadata: { title: "A", format: "bestaudio" },
    options: { max_retries: 3 },
    error_info: { code: "TIMED_OUT", message: "no byte", retryable: true, time: "1970-01-01T00:00:01.500Z" },
  });
});

test("older records are brought up, newer and broken ones refused", () => {
  const text = encodeRecord(fc.sample(record, 1)[0] as SessionRecord);
  const migrations = [(old: Record<string, unknown>) => ({ ...old, version: 2, metadata: { title: "migrated" } })];
  assert.equal(decodeRecord(text, migrations).session.metadata.title, "migrated");
  const newer = text.replace('"version":1', '"version":2');
  assert.throws(() => decodeRecord(newer), failsWith("STORE_NEWER", /version 2.*versions up to 1/));
  for (const bad of ["", "{", "null", "[]", '"x"', '{"version":0}', '{"version":"1"}', text.slice(0, -1)])
    assert.throws(() => decodeRecord(bad), failsWith("STORE_CORRUPT", /record/));
});
