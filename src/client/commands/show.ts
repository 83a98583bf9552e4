/** `snatchctl show`: everything that is known of one session. */

import type { Session } from "../../gen/snatch/v1/session.ts";
import { SessionServiceService } from "../../gen/snatch/v1/session_service.ts";
import { formatBytes, formatRate } from "../../shared/format.ts";
import { connect } from "../connect.ts";
import { type ClientError, fail, fromDetail } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { describeError, escapeControls, jsonLine, print } from "../output.ts";
import { nextAttempt, percentageOf, sessionJson, stageOf, statusOf } from "../session-view.ts";
import { viaText } from "../share-view.ts";

/** Prints one session. @throws ClientError SESSION_NOT_FOUND, SESSION_AMBIGUOUS */
export async function show(globals: Globals, id: string): Promise<number> {
  using connection = connect(globals);
  const { session } = await connection.ask(SessionServiceService.getSession, { sessionId: id });
  if (!session) throw fail("SESSION_NOT_FOUND", `there is no session ${id}`);
  if (globals.json) await print(jsonLine(sessionJson(session)));
  else for (const [name, value] of fields(session)) if (value) await print(`${name.padEnd(12)} ${value}`);
  return 0;
}

function fields(session: Session): ReadonlyArray<readonly [string, string | undefined]> {
  const { progress, metadata, options, error } = session;
  const total = progress?.totalBytes === undefined ? "" : ` of ${formatBytes(progress.totalBytes)}`;
  const status = statusOf(session);
  const text = escapeControls;
  return [
    ["session", session.sessionId],
    ["batch", session.batchId],
    ["url", text(session.url)],
    ["led to", metadata?.finalUrl === session.url ? "" : text(metadata?.finalUrl ?? "")],
    ["mirrors", session.mirrors.map(text).join(" ")],
    ["status", status + remark(session)],
    ["in queue", session.queuePosition > 0 ? `at place ${session.queuePosition}` : ""],
    ["progress", `${formatBytes(progress?.downloadedBytes ?? 0)}${total} ${percentageOf(session)}`.trim()],
    [
      "rate",
      status === "active"
        ? `${formatRate(progress?.bytesPerSecond ?? 0)}, ${progress?.connections ?? 0} connections`
        : "",
    ],
    ["peers", text(viaText(session.via))],
    ["segments", segments(session)],
    ["led to", session.expansion ? `${session.expansion.count} downloads, batch ${session.expansion.batchId}` : ""],
    ["file", text(session.path)],
    ["title", text(metadata?.title ?? "")],
    ["type", text(metadata?.contentType ?? "")],
    ["asked for", text([options?.format, options?.quality].filter(Boolean).join(" "))],
    ["format", text([metadata?.format, metadata?.quality].filter(Boolean).join(" "))],
    ["version", text(metadata?.validator ?? "")],
    ["checksum", options?.checksum && `${options.checksum.algorithm}=${options.checksum.value}`],
    ["checksum in", text(options?.checksumFile ?? "")],
    ["manifest", session.manifestRoot],
    ["shared as", session.shareId],
    ["created", session.createTime?.toLocaleString()],
    ["completed", session.completeTime?.toLocaleString()],
    ["attempt", session.attempt > 0 ? String(session.attempt) : ""],
    ["next attempt", session.nextAttemptTime && nextAttempt(session)],
    ["error", error && describeError(asError(error))],
  ];
}

function segments({ progress }: Session): string {
  const { doneCount, totalCount } = progress?.segments ?? {};
  return doneCount === undefined ? "" : `${doneCount}${totalCount === undefined ? "" : ` of ${totalCount}`}`;
}

function remark(session: Session): string {
  const stage = stageOf(session);
  if (stage) return ` (${stage})`;
  if (session.already) return " (it was here already)";
  return session.fromCache ? " (copied from a file that was here)" : "";
}

const asError = (error: NonNullable<Session["error"]>): ClientError => fromDetail(error);
