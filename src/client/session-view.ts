/** A session as the spec's JSON (snake_case), and in words. */
import { basename } from "node:path";
import type { DownloadOptions, ErrorDetail, Session } from "../gen/snatch/v1/session.ts";
import { formatBytes, formatDuration } from "../shared/format.ts";

/** "SESSION_STATUS_QUEUED" → "queued". */
export function statusOf(session: Session): string {
  return session.status.slice("SESSION_STATUS_".length).toLowerCase();
}

/** "STAGE_FETCH" → "fetch"; empty when there is none. */
export function stageOf(session: Session): string {
  const stage = session.stage.slice("STAGE_".length).toLowerCase();
  return stage === "unspecified" ? "" : stage;
}

/** A name for people: the title, else the file's name, else the URL. */
export function nameOf(session: Session): string {
  return session.metadata?.title || basename(session.path) || session.url;
}

/** The beginning of an id, as tables show it and commands accept it. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** True for a session on which nothing more will happen by itself. */
export function hasEnded(session: Session): boolean {
  const status = statusOf(session);
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** "45 %", or "" while the size is unknown. */
export function percentageOf(session: Session): string {
  const { progress } = session;
  if (statusOf(session) === "completed") return "100 %";
  if (progress === undefined || (progress.totalBytes === undefined && !progress.segments?.totalCount)) return "";
  return `${Math.floor(progress.percentage)} %`;
}

/** "1.50 GiB", or what has come so far while the size is unknown. */
export function sizeOf(session: Session): string {
  const { progress } = session;
  if (progress?.totalBytes !== undefined) return formatBytes(progress.totalBytes);
  return progress?.downloadedBytes ? `${formatBytes(progress.downloadedBytes)}+` : "";
}

/** "in 12 s", for a session that waits for its next attempt. */
export function nextAttempt(session: Session, now = Date.now()): string {
  return session.nextAttemptTime ? `in ${formatDuration(session.nextAttemptTime.getTime() - now)}` : "later";
}

const orNull = (text: string | undefined): string | null => text || null;
const time = (date: Date | undefined): string | null => date?.toISOString() ?? null;
const seconds = (duration: DownloadOptions["timeout"]): number | undefined =>
  duration && duration.seconds + duration.nanos / 1e9;

/** An error, with the names of docs/ERRORS.md. */
function errorJson(error: ErrorDetail): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    retryable: error.retryable,
    metadata: error.metadata,
    time: time(error.time),
  };
}

/** Only what was asked for: what is absent is the daemon's default. */
function optionsJson(options: DownloadOptions | undefined): Record<string, unknown> {
  if (!options) return {};
  const ifExists = options.ifExists.slice("IF_EXISTS_".length).toLowerCase();
  const entries = Object.entries({
    directory: options.directory || undefined,
    output: options.output || undefined,
    checksum: options.checksum && `${options.checksum.algorithm}=${options.checksum.value}`,
    checksum_file: options.checksumFile || undefined,
    follow_metalink: options.followMetalink,
    audio: options.audio?.names,
    headers: options.headers.length > 0 ? options.headers.map(({ name, value }) => `${name}: ${value}`) : undefined,
    connections: options.connections,
    limit: options.limitBytesPerSecond,
    max_retries: options.maxRetries,
    retry_delay: seconds(options.retryDelay),
    timeout: seconds(options.timeout),
    if_exists: ifExists === "unspecified" ? undefined : ifExists,
    force: options.force || undefined,
    format: options.format || undefined,
    quality: options.quality || undefined,
    media: options.media,
    template: options.template || undefined,
    subtitles: options.subtitles,
    record_for: seconds(options.recordFor),
    newest: options.newest || undefined,
    tags: options.tags,
    peers: options.peers.length > 0 ? options.peers : undefined,
    share: options.share || undefined,
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The session schema of the spec, with what Snatch adds to it. Times are ISO 8601, rates bytes a second. */
export function sessionJson(session: Session): Record<string, unknown> {
  const { progress, metadata } = session;
  return {
    session_id: session.sessionId,
    url: session.url,
    status: statusOf(session),
    stage: orNull(stageOf(session)),
    created_at: time(session.createTime),
    updated_at: time(session.updateTime),
    completed_at: time(session.completeTime),
    progress: {
      downloaded_bytes: progress?.downloadedBytes ?? 0,
      total_bytes: progress?.totalBytes ?? null,
      percentage: progress?.percentage ?? 0,
      pending_bytes: progress?.pendingBytes ?? 0,
      bytes_per_second: progress?.bytesPerSecond ?? 0,
      connections: progress?.connections ?? 0,
      segments: progress?.segments
        ? { done: progress.segments.doneCount, total: progress.segments.totalCount ?? null }
        : null,
    },
    metadata: {
      title: orNull(metadata?.title),
      format: orNull(metadata?.format),
      quality: orNull(metadata?.quality),
      content_type: orNull(metadata?.contentType),
      validator: orNull(metadata?.validator),
      final_url: orNull(metadata?.finalUrl),
    },
    options: optionsJson(session.options),
    error_info: session.error ? errorJson(session.error) : null,
    path: orNull(session.path),
    batch_id: orNull(session.batchId),
    mirrors: session.mirrors,
    sequence: session.sequence,
    attempt: session.attempt,
    next_attempt_at: time(session.nextAttemptTime),
    manifest_root: orNull(session.manifestRoot),
    already: session.already,
    from_cache: session.fromCache,
    queue_position: session.queuePosition || null,
    via: session.via,
    share_id: orNull(session.shareId),
    expansion: session.expansion ? { batch_id: session.expansion.batchId, count: session.expansion.count } : null,
  };
}
