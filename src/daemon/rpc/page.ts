/**
 * Keeps messages below what a client accepts: 4 MiB unless it says otherwise. URLs may be long, so a count of sessions is
 * not enough; their texts are weighed.
 */
import type { Session } from "../../gen/snatch/v1/session.ts";
import type { SessionFilter, SessionStore } from "../core/ports/sessions.ts";
import type { Session as DomainSession } from "../core/session.ts";

/** Estimated bytes after which a message is full. */
const FULL = 2 * 1024 * 1024;
/** Sessions read from the store at once. */
const STEP = 250;
/** Sessions in a message. */
const MOST = 1000;

/** A generous estimate of a session's bytes on the wire. */
function weigh(session: Session): number {
  let bytes = 600 + 3 * (session.url.length + (session.metadata?.finalUrl.length ?? 0) + 2 * session.path.length);
  for (const mirror of session.mirrors) bytes += 3 * mirror.length;
  for (const header of session.options?.headers ?? []) bytes += header.name.length + 10;
  return bytes + (session.error?.message.length ?? 0);
}

/** Sessions in portions that each fit into a message; at least one portion, which may be empty. */
export function portions(sessions: readonly Session[]): Session[][] {
  let portion: Session[] = [];
  const all = [portion];
  let bytes = 0;
  for (const session of sessions) {
    const weight = weigh(session);
    if (portion.length === MOST || (portion.length > 0 && bytes + weight > FULL)) {
      portion = [];
      bytes = 0;
      all.push(portion);
    }
    bytes += weight;
    portion.push(session);
  }
  return all;
}

/** One page for the wire: at most `size` sessions, fewer if they are heavy. */
export async function readPage(
  store: Pick<SessionStore, "list">,
  filter: SessionFilter,
  page: { readonly size: number; readonly token: string; readonly reverse: boolean },
  present: (session: DomainSession) => Session,
): Promise<{ sessions: Session[]; nextPageToken: string }> {
  const sessions: Session[] = [];
  let token = page.token;
  let bytes = 0;
  do {
    const step = await store.list(filter, {
      size: Math.min(STEP, page.size - sessions.length),
      ...(token !== "" && { token }),
      reverse: page.reverse,
    });
    for (const found of step.sessions) {
      const session = present(found);
      bytes += weigh(session);
      sessions.push(session);
    }
    token = step.nextPageToken ?? "";
  } while (token !== "" && sessions.length < page.size && bytes < FULL);
  return { sessions, nextPageToken: token };
}
