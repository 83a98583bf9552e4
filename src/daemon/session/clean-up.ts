/** Which ended sessions have been kept long enough: the oldest first, in bounded batches. */
import type { KeyValue } from "../core/ports/key-value.ts";
import { hasEnded } from "../core/session.ts";
import { SPACE, sequenceAtEnd, timeOfKey } from "./keys.ts";
import type { Records } from "./records.ts";

const BATCH = 200;
const DAY_MS = 86_400_000;

/** How long ended sessions are kept. */
export interface Retention {
  /** Days since they ended. */
  readonly keepDays: number;
  /** Ended sessions at most. */
  readonly keepCount: number;
}

/**
 * The ids of the next sessions to forget, at most one batch; empty when there are none. Unfinished ones are never among
 * them.
 */
export async function overdue(
  store: KeyValue,
  records: Records,
  { keepDays, keepCount }: Retention,
  now: number,
): Promise<string[]> {
  const { completed, failed, cancelled } = records.state.counts;
  let excess = completed + failed + cancelled - keepCount;
  const sequences: string[] = [];
  for await (const [key] of store.entries(SPACE.ended, { limit: BATCH })) {
    if (timeOfKey(key) > now - keepDays * DAY_MS && excess <= 0) break;
    excess--;
    sequences.push(sequenceAtEnd(key));
  }
  const found = await records.bySequence(sequences, false);
  return found.flatMap(({ session }) => (hasEnded(session.status) ? [session.id] : []));
}
