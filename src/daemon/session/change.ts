/** What a patch makes of a record. Pure: the rules that keep a session consistent with its status. */
import { archiveKeyOf, archiveText } from "../core/archive.ts";
import { failure } from "../core/errors.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import { assertTransition, hasEnded, type Session } from "../core/session.ts";
import type { SessionRecord } from "./record.ts";

/** Fields that every session has: a patch cannot take them away. */
const REQUIRED = new Set<string>([
  "url",
  "mirrors",
  "options",
  "status",
  "updatedAt",
  "attempt",
  "progress",
  "metadata",
]);
/** What is true of a completed session only. */
const OF_COMPLETED = ["completedAt", "already"] as const;

/**
 * The record after a patch.
 *
 * A stage belongs to an active session, the time of the next attempt to a waiting one; both go with the status. A session
 * keeps its place in the queue until it ends.
 *
 * @param now - milliseconds since the epoch
 * @param tail - gives a place behind all others
 * @throws DownloadError WRONG_STATUS, INVALID_ARGUMENT
 */
export function patched(record: SessionRecord, patch: SessionPatch, now: number, tail: () => string): SessionRecord {
  const before = record.session;
  const fields: Record<string, unknown> = { ...before, updatedAt: now };
  for (const [name, value] of Object.entries(patch)) {
    if (value !== undefined) fields[name] = value;
    else if (REQUIRED.has(name)) throw failure("INVALID_ARGUMENT", `a session cannot be without ${name}`);
    else delete fields[name];
  }
  const status = fields["status"] as Session["status"];
  assertTransition(before, status);
  if (archiveText(archiveKeyOf(fields as unknown as Session)) !== archiveText(archiveKeyOf(before)))
    throw failure(
      "INVALID_ARGUMENT",
      `session ${before.id} keeps its URL, and the place and form that it was asked for`,
    );
  if (status !== "active") delete fields["stage"];
  if (status !== "waiting") delete fields["nextAttemptAt"];
  if (status === "completed") fields["completedAt"] ??= now;
  else for (const name of OF_COMPLETED) delete fields[name];
  const session = fields as unknown as Session;
  const { batches, place, endedAt } = record;
  if (hasEnded(status)) return { session, batches, endedAt: before.status === status ? (endedAt ?? now) : now };
  const kept = place ?? (status === "queued" ? tail() : undefined);
  return { session, batches, ...(kept !== undefined && { place: kept }) };
}
