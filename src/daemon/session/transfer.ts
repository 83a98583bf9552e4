/**
 * Sessions as lines of JSON, out and back in.
 *
 * An import is input from anywhere: each line is held against the schema, and nothing in it can make Snatch write to a
 * place by itself. What is unfinished comes in paused, without part file or planned path; those are made anew.
 */
import * as z from "zod";
import { archiveKeyOf } from "../core/archive.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { ImportOutcome } from "../core/ports/sessions.ts";
import { hasEnded, type Session } from "../core/session.ts";
import { plainSession, sessionOf, upgrade } from "./codec.ts";
import { recordWrites, SPACE } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import { archiveDigest, type SessionRecord } from "./record.ts";
import type { Records } from "./records.ts";
import { type PlainRecord, sessionSchema } from "./schema.ts";

const BATCH = 500;
/** Characters of a line. */
const LONGEST_LINE = 1024 * 1024;
const REFUSED_TOLD = 100;

/** A session as one line of JSON in the session schema, without its line feed. Secrets are in it. */
export function exportLine(session: Session): string {
  return JSON.stringify(plainSession(session));
}

/**
 * Takes sessions in; those whose id is here already are left alone. They keep their id and times and get new sequence
 * numbers.
 *
 * @param lines - without their line feeds; empty ones do not count
 */
export async function importLines(
  store: KeyValue,
  records: Records,
  ledger: Ledger,
  lines: AsyncIterable<string>,
): Promise<ImportOutcome> {
  const outcome = { imported: 0, skipped: 0, refused: [] as string[] };
  let batch = new Map<string, PlainRecord>();
  let number = 0;
  const take = async (): Promise<void> => {
    const fresh = await takeIn(store, records, ledger, batch);
    outcome.imported += fresh;
    outcome.skipped += batch.size - fresh;
    batch = new Map();
  };
  for await (const line of lines) {
    number++;
    if (line.trim() === "") continue;
    const read = readLine(line);
    if (typeof read === "string") {
      if (outcome.refused.length < REFUSED_TOLD) outcome.refused.push(`line ${number}: ${read}`);
      continue;
    }
    if (batch.has(read.session_id)) outcome.skipped++;
    else batch.set(read.session_id, read);
    if (batch.size >= BATCH) await take();
  }
  await take();
  return outcome;
}

/** The session of a line, or why it is none. */
function readLine(line: string): PlainRecord | string {
  if (line.length > LONGEST_LINE) return `has ${line.length} characters; ${LONGEST_LINE} are accepted`;
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "is not a JSON object";
    const read = sessionSchema.safeParse(upgrade(value as Record<string, unknown>));
    return read.success
      ? (read.data as PlainRecord)
      : z
          .prettifyError(read.error)
          .replaceAll(/\s*\n\s*/g, " ")
          .slice(0, 500);
  } catch (error) {
    return (error as Error).message.slice(0, 500);
  }
}

/** @returns how many were new */
async function takeIn(
  store: KeyValue,
  records: Records,
  ledger: Ledger,
  batch: ReadonlyMap<string, PlainRecord>,
): Promise<number> {
  const known = await store.getMany(SPACE.id, [...batch.keys()]);
  const fresh = [...batch.values()].filter((_, at) => known[at] === undefined).map((plain) => sessionOf(plain));
  if (fresh.length === 0) return 0;
  const archive = await store.getMany(
    SPACE.archive,
    fresh.map((session) => archiveDigest(archiveKeyOf(session))),
  );
  const changes = fresh.map((session) => ({ after: imported(session, records.state.takeSequence()) }));
  // What is here is newer than what comes from elsewhere.
  const keep: Write[] = changes.flatMap(({ after }, at) => {
    const [own] = recordWrites(undefined, after).filter(({ space }) => space === SPACE.archive);
    const value = archive[at];
    return own && value !== undefined ? [{ type: "put" as const, space: SPACE.archive, key: own.key, value }] : [];
  });
  await ledger.commit(changes, { sync: true, extra: keep });
  return fresh.length;
}

/** A record as it comes in. */
function imported(session: Session, seq: number): SessionRecord {
  const { part: _part, stage: _stage, nextAttemptAt: _next, ...kept } = session;
  if (hasEnded(session.status))
    return { session: { ...kept, seq }, batches: [], endedAt: session.completedAt ?? session.updatedAt };
  const { target: _target, file: _file, manifestRoot: _root, already: _already, completedAt: _at, ...rest } = kept;
  const total = session.progress.totalBytes;
  const progress = { downloadedBytes: 0, ...(total !== undefined && { totalBytes: total }) };
  return { session: { ...rest, seq, status: "paused", progress }, batches: [] };
}
