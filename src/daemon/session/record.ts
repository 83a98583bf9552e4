/** A session as it is kept: the session itself, and what only this room needs to find it again. */
import { hash } from "node:crypto";
import { archiveText } from "../core/archive.ts";
import type { ArchiveKey } from "../core/ports/sessions.ts";
import type { Session } from "../core/session.ts";

/** What is kept of a session. */
export interface SessionRecord {
  readonly session: Session;
  /** Its place in the queue (see place.ts). Kept through active, waiting and paused, so that it comes back to it. */
  readonly place?: string;
  /** Batches that it joined besides the one it was made in. */
  readonly batches: readonly string[];
  /** When it last came to an end, in milliseconds since the epoch; what its age is counted from. */
  readonly endedAt?: number;
}

/** The archive's key, of one length whatever the URL's. */
export function archiveDigest(key: ArchiveKey): string {
  return hash("sha256", archiveText(key), "hex");
}

/** Every batch of a session, the first one first. */
export function batchesOf({ session, batches }: SessionRecord): readonly string[] {
  return session.batchId === undefined ? batches : [session.batchId, ...batches];
}
