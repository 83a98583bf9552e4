/**
 * A record as JSON, in the spec's session schema (snake_case, ISO times) with what Snatch adds. Records carry the version
 * of the schema that they were written in and are brought up when they are read.
 */
import { failure } from "../core/errors.ts";
import type { ManifestHead } from "../core/receipt.ts";
import type { Metadata, Progress, Session } from "../core/session.ts";
import { aboutOf, plainAbout } from "./about-codec.ts";
import type { SessionRecord } from "./record.ts";
import type { PlainError, PlainFile, PlainOptions, PlainPart, PlainRecord, PlainResource } from "./schema.ts";

/** Brings a plain record from one version to the next. */
export type RecordMigration = (record: Record<string, unknown>) => Record<string, unknown>;

/** The version that is written: one more than there are migrations. */
const VERSION = 1;

/** From version N (its place, counted from 1) to N + 1. Version 1 is the first. */
const MIGRATIONS: readonly RecordMigration[] = [];

/** Fields that are undefined are left out, as an optional field wants it. */
type Loose<T> = { [K in keyof T]: T[K] | undefined };

/** Copies: an object that something was deleted from is slow to use, and lists read thousands of them. */
function compact<T extends object>(fields: Loose<T>): T {
  const kept: Partial<Loose<T>> = {};
  for (const key in fields) if (fields[key] !== undefined) kept[key] = fields[key];
  return kept as T;
}

/** Times as they were last written: sessions that are made or changed together have the same ones. */
const TEXTS = new Map<number, string>();
const TEXTS_KEPT = 64;

function iso(time: number): string {
  const known = TEXTS.get(time);
  if (known !== undefined) return known;
  const text = new Date(time).toISOString();
  if (TEXTS.size >= TEXTS_KEPT) TEXTS.clear();
  TEXTS.set(time, text);
  return text;
}

const isoOr = (time: number | undefined): string | undefined => (time === undefined ? undefined : iso(time));
const time = (text: string): number => Date.parse(text);
const timeOr = (text: string | undefined): number | undefined => (text === undefined ? undefined : time(text));

/** Share of the whole in percent, 0 while the size is unknown. */
export function percentage({ downloadedBytes, totalBytes }: Progress): number {
  return totalBytes ? Math.min(100, (downloadedBytes / totalBytes) * 100) : 0;
}

/** The session in the schema: what is exported. Undefined fields are left out by JSON. */
export function plainSession(session: Session): Loose<PlainRecord> {
  const { options, resource, part, file, error, progress, metadata } = session;
  return {
    version: VERSION,
    session_id: session.id,
    sequence: session.seq,
    batch_id: session.batchId,
    url: session.url,
    mirrors: session.mirrors,
    status: session.status,
    stage: session.stage,
    created_at: iso(session.createdAt),
    updated_at: iso(session.updatedAt),
    completed_at: isoOr(session.completedAt),
    attempt: session.attempt,
    next_attempt_at: isoOr(session.nextAttemptAt),
    progress: {
      downloaded_bytes: progress.downloadedBytes,
      total_bytes: progress.totalBytes ?? null,
      percentage: Math.round(percentage(progress) * 100) / 100,
      ...(progress.segments && { segments: progress.segments }),
    },
    metadata,
    options: {
      directory: options.directory,
      output: options.output,
      checksum: options.checksum,
      checksum_file: options.checksumFile,
      size: options.size,
      follow_metalink: options.followMetalink,
      headers: options.headers,
      connections: options.connections,
      limit: options.limit,
      max_retries: options.maxRetries,
      retry_delay: options.retryDelay,
      timeout: options.timeout,
      if_exists: options.ifExists,
      force: options.force,
      format: options.format,
      quality: options.quality,
      media: options.media,
      template: options.template,
      subtitles: options.subtitles,
      record_for: options.recordFor,
      newest: options.newest,
      tags: options.tags,
      audio: options.audio,
      named_by: options.namedBy,
      depth: options.depth,
      about: options.about && (plainAbout(options.about) as PlainOptions["about"]),
      remote: options.remote,
      peers: options.peers,
      share: options.share,
    } satisfies Loose<PlainOptions> as PlainOptions,
    resource: resource && (plainResource(resource) as PlainResource),
    part: part && plainPart(part),
    target: session.target,
    file: file && { path: file.path, size: file.size, mtime_ms: file.mtimeMs, ino: file.ino },
    manifest_root: session.manifestRoot,
    digests: session.digests,
    source_manifest: session.sourceManifest && plainHead(session.sourceManifest),
    expansion: session.expansion && { batch_id: session.expansion.batchId, count: session.expansion.count },
    detour: session.detour,
    via: session.via,
    share_id: session.shareId,
    already: session.already,
    error_info: error ? ({ ...error, time: iso(error.time) } satisfies Loose<PlainError> as PlainError) : null,
  };
}

function plainPart({ path, chunkSize, epoch, sources, tracks }: NonNullable<Session["part"]>): PlainPart {
  return { path, chunk_size: chunkSize, epoch, ...(sources && { sources }), ...(tracks && { tracks }) };
}

function plainHead({ version, size, chunkSize, root }: ManifestHead): NonNullable<PlainRecord["source_manifest"]> {
  return { version, size, chunk_size: chunkSize, root };
}

/** A resource in the schema. */
export function plainResource(resource: NonNullable<Session["resource"]>): Loose<PlainResource> {
  return {
    final_url: resource.finalUrl,
    size: resource.size,
    ranges: resource.ranges,
    etag: resource.etag,
    last_modified: resource.lastModified,
    strong_validator: resource.strongValidator,
    content_type: resource.contentType,
    content_encoding: resource.contentEncoding,
    filename: resource.filename,
    digests: resource.digests,
    mirrors: resource.mirrors,
    length_unverified: resource.lengthUnverified,
    mode: resource.mode,
    answer: resource.answer && { ...resource.answer, at: iso(resource.answer.at) },
  };
}

/** The session of a plain one that has the current version. */
export function sessionOf(plain: PlainRecord): Session {
  const { options, progress, error_info: error, part, file } = plain;
  return compact<Session>({
    id: plain.session_id,
    seq: plain.sequence,
    batchId: plain.batch_id,
    url: plain.url,
    mirrors: plain.mirrors,
    options: compact<Session["options"]>({
      directory: options.directory,
      output: options.output,
      checksum: options.checksum,
      checksumFile: options.checksum_file,
      size: options.size,
      followMetalink: options.follow_metalink,
      headers: options.headers,
      connections: options.connections,
      limit: options.limit,
      maxRetries: options.max_retries,
      retryDelay: options.retry_delay,
      timeout: options.timeout,
      ifExists: options.if_exists,
      force: options.force,
      format: options.format,
      quality: options.quality,
      media: options.media,
      template: options.template,
      subtitles: options.subtitles,
      recordFor: options.record_for,
      newest: options.newest,
      tags: options.tags,
      audio: options.audio,
      namedBy: options.named_by,
      depth: options.depth,
      about: options.about && aboutOf(options.about as Parameters<typeof aboutOf>[0]),
      remote: options.remote,
      peers: options.peers,
      share: options.share,
    }),
    status: plain.status,
    stage: plain.stage,
    createdAt: time(plain.created_at),
    updatedAt: time(plain.updated_at),
    completedAt: timeOr(plain.completed_at),
    attempt: plain.attempt,
    nextAttemptAt: timeOr(plain.next_attempt_at),
    progress: compact<Progress>({
      downloadedBytes: progress.downloaded_bytes,
      totalBytes: progress.total_bytes ?? undefined,
      segments: progress.segments,
    }),
    metadata: compact<Metadata>({ ...plain.metadata }),
    resource: plain.resource && resourceOf(plain.resource),
    part: part && partOf(part),
    target: plain.target,
    file: file && fileOf(file),
    manifestRoot: plain.manifest_root,
    digests: plain.digests,
    sourceManifest: plain.source_manifest && headOf(plain.source_manifest),
    expansion: plain.expansion && { batchId: plain.expansion.batch_id, count: plain.expansion.count },
    detour: plain.detour,
    via: plain.via,
    shareId: plain.share_id,
    already: plain.already,
    error: error ? compact<NonNullable<Session["error"]>>({ ...error, time: time(error.time) }) : undefined,
  });
}

/** The resource of a plain one. */
export function resourceOf(resource: PlainResource): NonNullable<Session["resource"]> {
  return compact<NonNullable<Session["resource"]>>({
    finalUrl: resource.final_url,
    size: resource.size,
    ranges: resource.ranges,
    etag: resource.etag,
    lastModified: resource.last_modified,
    strongValidator: resource.strong_validator,
    contentType: resource.content_type,
    contentEncoding: resource.content_encoding,
    filename: resource.filename,
    digests: resource.digests,
    mirrors: resource.mirrors,
    lengthUnverified: resource.length_unverified,
    mode: resource.mode,
    answer: resource.answer && { ...resource.answer, at: time(resource.answer.at) },
  });
}

function partOf({ path, chunk_size: chunkSize, epoch, sources, tracks }: PlainPart): NonNullable<Session["part"]> {
  return { path, chunkSize, epoch, ...(sources && { sources }), ...(tracks && { tracks }) };
}

function headOf({
  version,
  size,
  chunk_size: chunkSize,
  root,
}: NonNullable<PlainRecord["source_manifest"]>): ManifestHead {
  return { version, size, chunkSize, root };
}

function fileOf({ path, size, mtime_ms, ino }: PlainFile): NonNullable<Session["file"]> {
  return { path, size, mtimeMs: mtime_ms, ino };
}

/** A record as it is written. */
export function encodeRecord(record: SessionRecord): string {
  return JSON.stringify({
    ...plainSession(record.session),
    place: record.place,
    batches: record.batches.length > 0 ? record.batches : undefined,
    ended_at: isoOr(record.endedAt),
  });
}

/**
 * Reads a record; the database guards its bytes, so that only its version is checked.
 *
 * @throws DownloadError STORE_CORRUPT if it is no record, STORE_NEWER if its version is not known
 */
export function decodeRecord(text: string, migrations: readonly RecordMigration[] = MIGRATIONS): SessionRecord {
  const plain = upgrade(parse(text), migrations) as unknown as PlainRecord & {
    place?: string;
    batches?: readonly string[];
    ended_at?: string;
  };
  return compact<SessionRecord>({
    session: sessionOf(plain),
    place: plain.place,
    batches: plain.batches ?? [],
    endedAt: timeOr(plain.ended_at),
  });
}

/** Brings a plain record to the current version. @throws as {@link decodeRecord} */
export function upgrade(
  plain: Record<string, unknown>,
  migrations: readonly RecordMigration[] = MIGRATIONS,
): Record<string, unknown> {
  const current = migrations.length + 1;
  const version = plain["version"];
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1)
    throw failure("STORE_CORRUPT", `a session's record has no version (${JSON.stringify(version)})`);
  if (version > current)
    throw failure(
      "STORE_NEWER",
      `a session's record has version ${version}; this Snatch knows versions up to ${current}`,
    );
  return migrations.slice(version - 1).reduce((record, migration) => migration(record), plain);
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw failure("STORE_CORRUPT", `a session's record is not JSON: ${(error as Error).message}`, { cause: error });
  }
  throw failure("STORE_CORRUPT", "a session's record is not a JSON object");
}
