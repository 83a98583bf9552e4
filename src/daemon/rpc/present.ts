/**
 * Domain → wire. Here secrets end: passwords and signatures in URLs and the values of header fields become "***".
 * Integers are made whole on the way, for the encoder throws on a fraction.
 */
import { basename } from "node:path";
import type { Duration } from "../../gen/google/protobuf/duration.ts";
import {
  CheckStatus,
  type CheckResult as WireCheckResult,
  type ConfigChange as WireConfigChange,
  type ConfigValue as WireConfigValue,
} from "../../gen/snatch/v1/daemon_service.ts";
import type { RefusedLine, SteerResult } from "../../gen/snatch/v1/download_service.ts";
import {
  type ErrorDetail,
  IfExists,
  SessionStatus,
  Stage,
  type DownloadOptions as WireOptions,
  type Session as WireSession,
} from "../../gen/snatch/v1/session.ts";
import type { WatchSessionsResponse } from "../../gen/snatch/v1/session_service.ts";
import type { WatchFolder } from "../../gen/snatch/v1/watch_folder_service.ts";
import { errorEntry } from "../../shared/errors.ts";
import { redactUrl } from "../../shared/redact.ts";
import type { DownloadError } from "../core/errors.ts";
import type { NumberedEvent } from "../core/events.ts";
import type { LiveProgress, SteerOutcome } from "../core/ports/downloads.ts";
import type { WatchFolderState } from "../core/ports/followed.ts";
import type { CheckReport, ConfigChange, ConfigValue } from "../core/ports/house.ts";
import type { RefusedEntry } from "../core/ports/intake.ts";
import type { DownloadOptions, Session, SessionError } from "../core/session.ts";

const STATUSES = {
  queued: SessionStatus.QUEUED,
  waiting: SessionStatus.WAITING,
  active: SessionStatus.ACTIVE,
  paused: SessionStatus.PAUSED,
  completed: SessionStatus.COMPLETED,
  failed: SessionStatus.FAILED,
  cancelled: SessionStatus.CANCELLED,
} as const;

const STAGES = {
  resolve: Stage.RESOLVE,
  plan: Stage.PLAN,
  fetch: Stage.FETCH,
  verify: Stage.VERIFY,
  process: Stage.PROCESS,
  store: Stage.STORE,
  publish: Stage.PUBLISH,
} as const;

const IF_EXISTS = { rename: IfExists.RENAME, skip: IfExists.SKIP, overwrite: IfExists.OVERWRITE } as const;

const CHECKS = {
  ok: CheckStatus.OK,
  warning: CheckStatus.WARNING,
  failed: CheckStatus.FAILED,
  skipped: CheckStatus.SKIPPED,
} as const;

/** As the contract says: a refused line is shown cut. */
const LONGEST_LINE = 1000;

const whole = (value: number): number => (Number.isFinite(value) ? Math.trunc(value) : 0);
const time = (milliseconds: number): Date => new Date(whole(milliseconds));
const duration = (seconds: number): Duration => ({
  seconds: Math.floor(seconds),
  nanos: Math.round((seconds % 1) * 1e9) % 1e9,
});

/** What only the moment knows of a session. */
export interface Momentary {
  readonly live?: LiveProgress | undefined;
  readonly queuePosition?: number | undefined;
}

/** A session as callers see it. */
export function presentSession(session: Session, { live, queuePosition }: Momentary = {}): WireSession {
  const { resource, progress, error, nextAttemptAt, completedAt } = session;
  const path = session.file?.path ?? session.target ?? "";
  const { downloadedBytes, totalBytes, segments } = progress;
  return {
    sessionId: session.id,
    sequence: session.seq,
    batchId: session.batchId ?? "",
    url: redactUrl(session.url),
    mirrors: session.mirrors.map(redactUrl),
    status: STATUSES[session.status],
    stage: session.status === "active" && session.stage ? STAGES[session.stage] : Stage.UNSPECIFIED,
    progress: {
      downloadedBytes: whole(downloadedBytes),
      totalBytes: totalBytes === undefined ? undefined : whole(totalBytes),
      percentage: percentage(session),
      bytesPerSecond: live?.bytesPerSecond ?? 0,
      connections: whole(live?.connections ?? 0),
      pendingBytes: whole(live?.pendingBytes ?? 0),
      segments: segments && {
        doneCount: whole(segments.done),
        totalCount: segments.total === undefined ? undefined : whole(segments.total),
      },
    },
    metadata: {
      title: session.metadata.title ?? basename(path),
      format: session.metadata.format ?? "",
      quality: session.metadata.quality ?? "",
      contentType: resource?.contentType ?? "",
      validator: resource?.strongValidator ?? resource?.etag ?? resource?.lastModified ?? "",
      finalUrl: redactUrl(resource?.finalUrl ?? ""),
    },
    options: presentOptions(session.options),
    path,
    error: error && presentSessionError(error),
    attempt: whole(session.attempt),
    nextAttemptTime: session.status === "waiting" && nextAttemptAt !== undefined ? time(nextAttemptAt) : undefined,
    createTime: time(session.createdAt),
    updateTime: time(session.updatedAt),
    completeTime: completedAt === undefined ? undefined : time(completedAt),
    manifestRoot: session.manifestRoot ?? "",
    already: session.already ?? false,
    queuePosition: whole(queuePosition ?? 0),
    fromCache: session.part?.sources?.[0]?.startsWith("cache:") ?? false,
    expansion: session.expansion && { batchId: session.expansion.batchId, count: whole(session.expansion.count) },
    via: [...(live?.via ?? session.via ?? [])],
    shareId: session.shareId ?? "",
  };
}

function percentage({ status, progress: { downloadedBytes, totalBytes, segments } }: Session): number {
  if (status === "completed") return 100;
  // Of media nobody says beforehand how many bytes there are.
  if (totalBytes === undefined && segments?.total) return Math.min(100, (segments.done / segments.total) * 100);
  if (totalBytes === undefined || totalBytes <= 0) return 0;
  return Math.min(100, (downloadedBytes / totalBytes) * 100);
}

function presentOptions(options: DownloadOptions): WireOptions {
  return {
    directory: options.directory ?? "",
    output: options.output ?? "",
    checksum: options.checksum && { ...options.checksum },
    headers: (options.headers ?? []).map(([name]) => ({ name, value: "***" })),
    connections: options.connections,
    limitBytesPerSecond: options.limit,
    maxRetries: options.maxRetries,
    retryDelay: options.retryDelay === undefined ? undefined : duration(options.retryDelay),
    timeout: options.timeout === undefined ? undefined : duration(options.timeout),
    ifExists: options.ifExists ? IF_EXISTS[options.ifExists] : IfExists.UNSPECIFIED,
    force: options.force ?? false,
    format: options.format ?? "",
    quality: options.quality ?? "",
    checksumFile: redactUrl(options.checksumFile ?? ""),
    followMetalink: options.followMetalink,
    ...(options.audio && { audio: { names: [...options.audio] } }),
    media: options.media,
    template: options.template ?? "",
    subtitles: options.subtitles && {
      languages: [...options.subtitles.languages],
      embed: options.subtitles.embed,
    },
    recordFor: options.recordFor === undefined ? undefined : duration(options.recordFor),
    newest: whole(options.newest ?? 0),
    tags: options.tags,
    peers: [...(options.peers ?? [])],
    share: options.share ?? false,
  };
}

function presentSessionError(error: SessionError): ErrorDetail {
  return {
    code: error.code,
    message: error.message,
    hint: errorEntry(error.code)?.hint ?? "",
    retryable: error.retryable,
    metadata: presentParticulars(error.metadata ?? {}),
    time: time(error.time),
  };
}

const presentParticulars = (metadata: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, redactUrl(value)]));

/** Why one request among others was refused. @param now - milliseconds since the epoch */
export function presentError(error: DownloadError, now: number): ErrorDetail {
  const { code, message, retryable, metadata } = error;
  return presentSessionError({ code, message, retryable, metadata, time: now } as SessionError);
}

/** What a steering call did. */
export function presentOutcome(outcome: SteerOutcome): SteerResult {
  return { changedCount: outcome.changed, sessions: outcome.sessions.map((session) => presentSession(session)) };
}

/** A refused line of a list. @param now - milliseconds since the epoch */
export function presentRefused(entry: RefusedEntry, now: number): RefusedLine {
  const row = errorEntry(entry.code);
  return {
    lineNumber: entry.lineNumber,
    line: entry.line.slice(0, LONGEST_LINE).toWellFormed(),
    error: {
      code: entry.code,
      message: entry.message,
      hint: row?.hint ?? "",
      retryable: row?.retryable ?? false,
      metadata: {},
      time: time(now),
    },
  };
}

/** An event of the log. */
export function presentEvent({ sequence, time: at, event }: NumberedEvent, live?: LiveProgress): WatchSessionsResponse {
  return { sequence, time: time(at), event: { $case: event.type, value: presentSession(event.session, { live }) } };
}

/** A value of the configuration; its secrets are masked where it comes from. */
export function presentConfigValue(value: ConfigValue): WireConfigValue {
  const { key, json, origin, originDetail, needsRestart } = value;
  return { key, valueJson: json, origin, originDetail, needsRestart };
}

/** A change of the configuration. */
export function presentConfigChange({ key, before, after, needsRestart }: ConfigChange): WireConfigChange {
  return { key, oldJson: before, newJson: after, needsRestart };
}

/** What a check found. */
export function presentCheck(report: CheckReport): WireCheckResult {
  return {
    checkId: report.id,
    title: report.title,
    status: CHECKS[report.status],
    message: report.message,
    fix: report.fix ?? "",
    details: { ...report.details },
  };
}

/** A folder that is watched. */
export function presentWatchFolder(folder: WatchFolderState): WatchFolder {
  return {
    path: folder.path,
    directory: folder.directory,
    configured: folder.configured,
    listCount: folder.listCount,
    lastListTime: folder.lastListAt === undefined ? undefined : time(folder.lastListAt),
    problem: folder.problem ?? "",
  };
}
