/** One line of a list's report: JSON, for people with `grep` and for programs; secrets are kept out. */
import { redactUrl } from "../../shared/redact.ts";
import type { Session } from "../core/session.ts";
import type { RefusedRow, WaitingLine } from "./ledger.ts";

/** What became of a line of a list. */
interface ReportLine {
  readonly line: number;
  readonly url?: string;
  readonly status: "completed" | "already" | "failed" | "cancelled" | "refused";
  readonly session_id?: string;
  readonly path?: string;
  readonly bytes?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The report of a line whose session has ended, or is forgotten (then `session` may be absent). */
export function outcomeLine(row: WaitingLine, session: Session | undefined): string {
  const url = session && redactUrl(session.url);
  const base = { line: row.lineNumber, ...(url !== undefined && { url }), session_id: row.sessionId };
  if (session?.status === "completed") {
    const status = row.already || session.already === true ? "already" : "completed";
    const path = session.file?.path ?? session.target;
    const bytes = session.file?.size ?? session.progress.downloadedBytes;
    return json({ ...base, status, ...(path !== undefined && { path }), bytes });
  }
  if (session?.status === "failed") {
    const { code, message } = session.error ?? { code: "INTERNAL", message: "the session has failed" };
    return json({ ...base, status: "failed", error: { code, message } });
  }
  const message = session?.status === "cancelled" ? "the download was called off" : "the session was removed";
  return json({ ...base, status: "cancelled", error: { code: "CANCELLED", message } });
}

/** The report of a line that was refused. */
export function refusedLine(row: RefusedRow): string {
  const url = row.url === "" ? {} : { url: redactUrl(row.url) };
  return json({ line: row.lineNumber, ...url, status: "refused", error: { code: row.code, message: row.message } });
}

function json(line: ReportLine): string {
  return `${JSON.stringify(line)}\n`;
}
