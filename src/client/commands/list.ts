/** `snatchctl list`: sessions in the order of creation, page by page, so that any number of them needs little memory. */

import type { Session } from "../../gen/snatch/v1/session.ts";
import { SessionServiceService } from "../../gen/snatch/v1/session_service.ts";
import { formatRate } from "../../shared/format.ts";
import { connect } from "../connect.ts";
import { misuse } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, paint, print } from "../output.ts";
import { nameOf, nextAttempt, percentageOf, sessionJson, shortId, sizeOf, stageOf, statusOf } from "../session-view.ts";
import { type Column, header, row, terminalWidth } from "../table.ts";

/** The most that the daemon gives at once. */
const PAGE = 1000;
/** What a row of the table shows; the daemon makes a title of the path. */
const COLUMN_FIELDS = [
  "session_id",
  "url",
  "status",
  "stage",
  "progress.downloaded_bytes",
  "progress.total_bytes",
  "progress.percentage",
  "progress.bytes_per_second",
  "metadata.title",
  "error.code",
  "next_attempt_time",
];

const COLUMNS: readonly Column[] = [
  { title: "ID", width: 8 },
  { title: "STATUS", width: 9 },
  { title: "SIZE", width: 9, right: true },
  { title: "DONE", width: 5, right: true },
  { title: "NAME", width: 0 },
];

/** The options of `list`. */
export interface ListFlags extends Globals {
  readonly status?: string;
  readonly batch?: string;
  readonly limit?: string;
  readonly newest?: boolean;
}

/** Prints sessions: a table, or a line of JSON each. */
export async function list(flags: ListFlags): Promise<number> {
  const filter = [
    ...(flags.status === undefined ? [] : [`status = ${flags.status}`]),
    ...(flags.batch === undefined ? [] : [`batch_id = ${quoted(flags.batch)}`]),
  ].join(" AND ");
  let left = flags.limit === undefined ? Number.POSITIVE_INFINITY : readLimit(flags.limit);
  using connection = connect(flags);
  const width = terminalWidth();
  let pageToken = "";
  let shown = 0;
  do {
    const page = await connection.ask(SessionServiceService.listSessions, {
      pageSize: Math.min(PAGE, left),
      pageToken,
      filter,
      orderBy: flags.newest ? "create_time desc" : "create_time",
      ...(!flags.json && { readMask: COLUMN_FIELDS }),
    });
    const lines = page.sessions.map((session) =>
      flags.json ? jsonLine(sessionJson(session)) : sessionRow(session, width),
    );
    if (shown === 0 && lines.length > 0 && !flags.json) lines.unshift(header(COLUMNS));
    if (lines.length > 0) await print(lines.join("\n"));
    shown += page.sessions.length;
    left -= page.sessions.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
  if (shown === 0 && !flags.json && !flags.quiet) note("no sessions");
  return 0;
}

function readLimit(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw misuse(`--limit: "${text}" is not a whole number from 1 on`);
  return Number(text);
}

function quoted(text: string): string {
  if (!/^[\w.-]+$/.test(text)) throw misuse(`--batch: "${text}" is not the id of a batch`);
  return `"${text}"`;
}

const STYLES = { completed: "green", failed: "red", cancelled: "gray", waiting: "yellow", active: "cyan" } as const;

function sessionRow(session: Session, width: number | undefined): string {
  const status = statusOf(session);
  const remark =
    status === "failed"
      ? ` (${session.error?.code ?? "failed"})`
      : status === "waiting"
        ? ` (${session.error?.code ?? "waits"}, ${nextAttempt(session)})`
        : status === "active"
          ? ` (${stageOf(session)}, ${formatRate(session.progress?.bytesPerSecond ?? 0)})`
          : "";
  const text = row(
    COLUMNS,
    [
      shortId(session.sessionId),
      status,
      sizeOf(session),
      percentageOf(session),
      escapeControls(nameOf(session) + remark),
    ],
    width,
  );
  const style = Object.hasOwn(STYLES, status) ? STYLES[status as keyof typeof STYLES] : undefined;
  return style ? text.replace(status, paint(style, status)) : text;
}
