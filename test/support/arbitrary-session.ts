/** Any session that there can be, for property tests. */
import fc from "fast-check";
import type { Session } from "../../src/daemon/core/session.ts";
import { ERRORS, type ErrorCode } from "../../src/shared/errors.ts";

/** Fields that may be absent, never undefined. */
function maybe<T extends object>(
  fields: { [K in keyof T]-?: fc.Arbitrary<NonNullable<T[K]>> },
  required: readonly (keyof T)[],
): fc.Arbitrary<T> {
  return fc.record(fields, { requiredKeys: required as never }) as unknown as fc.Arbitrary<T>;
}

const time = fc.integer({ min: 0, max: 4_000_000_000_000 });
const bytes = fc.nat(2 ** 40);
const text = fc.string({ unit: "grapheme", maxLength: 30 });
const line = fc.stringMatching(/^[ -~\u00e4\u4e2d\u{1f4be}]{0,30}$/u);
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const path = line.map((name) => `/d/${name}`);
const url = fc.webUrl({ withQueryParameters: true });

const headers = fc.array(fc.tuple(fc.stringMatching(/^[A-Za-z-]{1,10}$/), line), { maxLength: 3 });

const number = fc.double({ min: 0, max: 4e12, noNaN: true }).map((value) => value + 0);

const about = maybe<NonNullable<Session["options"]["about"]>>(
  {
    id: text,
    title: text,
    description: text,
    uploader: text,
    channel: text,
    artist: text,
    album: text,
    series: text,
    season: fc.nat(),
    episode: fc.nat(),
    genre: text,
    publishedAt: time,
    durationSeconds: number,
    thumbnail: text,
    chapters: fc.array(fc.record({ title: text, start: number, end: number }), { maxLength: 2 }),
    playlist: fc.record({ title: text, index: fc.nat(), count: fc.nat() }),
    type: text,
    fileSizeApprox: bytes,
  },
  [],
);

const options = maybe<Session["options"]>(
  {
    directory: path,
    output: path,
    checksum: fc.oneof(
      fc.record({ algorithm: fc.constant("sha-256" as const), value: hex(64) }),
      fc.record({ algorithm: fc.constant("md5" as const), value: hex(32) }),
    ),
    checksumFile: fc.oneof(fc.constant("auto"), url),
    size: bytes,
    followMetalink: fc.boolean(),
    headers,
    connections: fc.integer({ min: 1, max: 64 }),
    limit: bytes,
    maxRetries: fc.nat(100),
    retryDelay: fc.double({ min: 0, max: 100, noNaN: true }).map((value) => value + 0),
    timeout: fc.nat(1000),
    ifExists: fc.constantFrom("rename" as const, "skip" as const, "overwrite" as const),
    force: fc.boolean(),
    format: line,
    quality: line,
    media: fc.boolean(),
    template: line,
    subtitles: fc.record({ languages: fc.array(line, { maxLength: 3 }), embed: fc.boolean() }),
    recordFor: fc.nat(100_000),
    newest: fc.integer({ min: 1, max: 1000 }),
    tags: fc.boolean(),
    audio: fc.array(line, { maxLength: 3 }),
    namedBy: url,
    about,
    depth: fc.nat(10),
    remote: fc.constant(true as const),
    peers: fc.array(line, { maxLength: 3 }),
    share: fc.boolean(),
  },
  [],
);

const digests = fc.array(
  fc.record({ algorithm: fc.constantFrom("sha-256" as const, "crc32c" as const), value: hex(64), from: line }),
  { maxLength: 3 },
);

/** A session with any fields, consistent or not. */
export const anySession: fc.Arbitrary<Session> = maybe<Session>(
  {
    id: fc.uuid({ version: 4 }),
    seq: fc.nat(),
    batchId: line,
    url,
    mirrors: fc.array(url, { maxLength: 3 }),
    options,
    status: fc.constantFrom("queued", "waiting", "active", "paused", "completed", "failed", "cancelled"),
    stage: fc.constantFrom("resolve", "plan", "fetch", "verify", "process", "store", "publish"),
    createdAt: time,
    updatedAt: time,
    completedAt: time,
    attempt: fc.nat(100),
    nextAttemptAt: time,
    progress: maybe<Session["progress"]>(
      {
        downloadedBytes: bytes,
        totalBytes: bytes,
        segments: maybe<NonNullable<Session["progress"]["segments"]>>({ done: fc.nat(), total: fc.nat() }, ["done"]),
      },
      ["downloadedBytes"],
    ),
    metadata: maybe<Session["metadata"]>({ title: text, format: line, quality: line }, []),
    resource: maybe<NonNullable<Session["resource"]>>(
      {
        finalUrl: url,
        size: bytes,
        ranges: fc.boolean(),
        etag: line,
        lastModified: line,
        strongValidator: line,
        contentType: line,
        contentEncoding: line,
        filename: text,
        digests,
        mirrors: fc.array(url, { maxLength: 3 }),
        lengthUnverified: fc.boolean(),
        mode: fc.integer({ min: 0, max: 0o7777 }),
        answer: maybe<NonNullable<NonNullable<Session["resource"]>["answer"]>>(
          { at: time, redirects: fc.array(url, { maxLength: 3 }), certificate: hex(64) },
          ["at"],
        ),
      },
      ["finalUrl", "ranges"],
    ),
    part: maybe<NonNullable<Session["part"]>>(
      {
        path,
        chunkSize: fc.integer({ min: 1, max: 2 ** 30 }),
        epoch: fc.nat(1000),
        sources: fc.array(url, { maxLength: 3 }),
        tracks: fc.array(fc.record({ path, epoch: fc.nat(1000), identity: hex(64) }), { maxLength: 3 }),
      },
      ["path", "chunkSize", "epoch"],
    ),
    target: path,
    detour: fc.record({ url, headers }),
    file: fc.record({
      path,
      size: bytes,
      mtimeMs: fc.double({ min: 0, max: 4e12, noNaN: true }).map((value) => value + 0),
      ino: fc.nat(),
    }),
    manifestRoot: hex(64),
    digests,
    sourceManifest: fc.record({
      version: fc.constant(1 as const),
      size: bytes,
      chunkSize: fc.integer({ min: 1, max: 2 ** 30 }),
      root: hex(64),
    }),
    expansion: fc.record({ batchId: line, count: fc.nat() }),
    via: fc.uniqueArray(fc.constantFrom("lan" as const, "mapped" as const, "relay-udp" as const)),
    shareId: hex(32),
    already: fc.boolean(),
    error: maybe<NonNullable<Session["error"]>>(
      {
        code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
        message: text,
        retryable: fc.boolean(),
        metadata: fc.dictionary(fc.stringMatching(/^[a-z_]{1,10}$/), text, { maxKeys: 3 }),
        time,
      },
      ["code", "message", "retryable", "time"],
    ),
  },
  ["id", "seq", "url", "mirrors", "options", "status", "createdAt", "updatedAt", "attempt", "progress", "metadata"],
);
