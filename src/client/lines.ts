/** The lines of `get`: one for each file that ended, and what the progress says in words. */
import type { FollowSummary } from "../gen/snatch/v1/download_service.ts";
import type { Session } from "../gen/snatch/v1/session.ts";
import { formatBytes, formatDuration, formatRate } from "../shared/format.ts";
import { redactUrl } from "../shared/redact.ts";
import { type ClientError, fromDetail } from "./failure.ts";
import { describeError, escapeControls } from "./output.ts";
import { nameOf, nextAttempt, percentageOf, stageOf, statusOf } from "./session-view.ts";
import { viaText } from "./share-view.ts";
import type { Refusal } from "./submit.ts";
import type { Occurrence } from "./tally.ts";

/** "saved PATH (SIZE, RATE)", or what went wrong with which URL. */
export function occurrenceLine(occurrence: Occurrence): string {
  const { session } = occurrence;
  const url = escapeControls(session.url);
  const error = session.error && fromDetail(session.error);
  if (occurrence.kind === "waiting") return waitingLine(session, url, error);
  const status = statusOf(session);
  if (status === "cancelled") return `CANCELLED ${url}`;
  if (status === "failed") return `FAILED ${url}: ${error ? describeError(error) : "for an unknown reason"}`;
  if (session.expansion) return `led to ${countOf(session.expansion.count)} ${url}`;
  const path = escapeControls(session.path);
  const size = formatBytes(session.progress?.downloadedBytes ?? session.progress?.totalBytes ?? 0);
  if (session.fromCache) return `saved ${path} (${size}, copied from a file that was here)`;
  if (session.already) return `already here ${path} (${size})`;
  return `saved ${path} (${[size, formatRate(occurrence.rate), ...via(session)].join(", ")})`;
}

/** Where a person can do something about it, and does not see that from the message, it is said once what. */
function waitingLine(session: Session, url: string, error: ClientError | undefined): string {
  const why = error ? `${error.code}: ${escapeControls(error.message).replace(/\.$/, "")}; ` : "";
  const status = statusOf(session);
  const first = session.attempt === (status === "active" ? 2 : 1);
  const hint = first && error?.code.startsWith("PEER") ? `\n  ${escapeControls(error.hint)}` : "";
  return `WAITING ${url}: ${why}${status === "waiting" ? `next attempt ${nextAttempt(session)}` : "trying again"}${hint}`;
}

/** What went wrong with a file that is whole and in its place all the same, such as that it is not shared. */
export function remarkLine({ error }: Session): string | undefined {
  return error && describeError(fromDetail(error));
}

const via = (session: Session): readonly string[] =>
  session.via.length === 0 ? [] : [escapeControls(viaText(session.via))];

const countOf = (count: number): string => (count === 1 ? "1 download:" : `${count} downloads:`);

/** "FAILED URL: CODE: message", or with the line of the list. */
export function refusalLine({ text, lineNumber, error }: Refusal): string {
  const where = lineNumber === undefined ? "FAILED" : `REFUSED line ${lineNumber}`;
  return `${where} ${escapeControls(redactUrl(text))}: ${describeError(error)}`;
}

/** Time left at the present rate; undefined while that cannot be known. */
function timeLeft(session: Session): number | undefined {
  const { totalBytes, downloadedBytes = 0, pendingBytes = 0, bytesPerSecond = 0 } = session.progress ?? {};
  if (totalBytes === undefined || bytesPerSecond <= 0) return undefined;
  return (Math.max(totalBytes - downloadedBytes - pendingBytes, 0) / bytesPerSecond) * 1000;
}

/** "12 of 500 segments, ", while nobody knows the size; of a live stream "12 segments, ". */
function segmentsOf({ progress }: Session): string {
  const { segments } = progress ?? {};
  if (!segments) return "";
  return `${segments.doneCount}${segments.totalCount === undefined ? "" : ` of ${segments.totalCount}`} segments, `;
}

/** One session's state in words, after its name. */
export function stateLine(session: Session): string {
  const status = statusOf(session);
  if (status === "waiting") return `waiting, next attempt ${nextAttempt(session)}`;
  if (status !== "active") return status;
  const { totalBytes, downloadedBytes = 0, pendingBytes = 0, bytesPerSecond = 0 } = session.progress ?? {};
  const come = formatBytes(downloadedBytes + pendingBytes);
  const stage = stageOf(session);
  if (stage !== "fetch" && downloadedBytes + pendingBytes === 0)
    return stage === "resolve" && session.url.startsWith("snatch:") ? "looking for whoever shares it" : stage;
  const left = timeLeft(session);
  return [
    totalBytes === undefined ? segmentsOf(session) + come : `${percentageOf(session)} of ${formatBytes(totalBytes)}`,
    ...(stage === "fetch" ? [formatRate(bytesPerSecond)] : [stage]),
    ...(left !== undefined && stage === "fetch" ? [`${formatDuration(left)} left`] : []),
    ...via(session),
  ].join(", ");
}

/** All of several in words: "3 of 10 files, 1 failed, 45.2 MiB, 12.5 MiB/s". */
export function summaryLine(summary: FollowSummary): string {
  const { totalCount, completedCount, failedCount, pausedCount, downloadedBytes, bytesPerSecond } = summary;
  return [
    `${completedCount} of ${totalCount} files`,
    ...(failedCount > 0 ? [`${failedCount} failed`] : []),
    ...(pausedCount > 0 ? [`${pausedCount} paused`] : []),
    formatBytes(downloadedBytes),
    formatRate(bytesPerSecond),
  ].join(", ");
}

/** A name and its state, for plain output. */
export function plainLine(session: Session): string {
  return `${escapeControls(nameOf(session))}: ${stateLine(session)}`;
}
