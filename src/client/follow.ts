/**
 * Waits for downloads until all of them have ended or are paused, whatever happens to the daemon in between: when it
 * goes away, this says so, waits for it to come back, and goes on.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DownloadServiceService, type FollowDownloadsRequest } from "../gen/snatch/v1/download_service.ts";
import type { Session } from "../gen/snatch/v1/session.ts";
import { SessionServiceService } from "../gen/snatch/v1/session_service.ts";
import { type Connection, isGone } from "./connect.ts";
import { ClientError, messageOf } from "./failure.ts";
import type { Occurrence, Tally } from "./tally.ts";
import { answers } from "./target.ts";

/** What the waiting needs to know. */
export interface FollowOptions {
  readonly request: FollowDownloadsRequest;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  /** Called after each message, with what was new in it. */
  readonly onNews: (news: readonly Occurrence[]) => Promise<void>;
  /** Something to say that is no result. */
  readonly say: (text: string) => Promise<void>;
  /** Starts the daemon again, if that is this program's business. */
  readonly restart?: () => Promise<unknown>;
  /** How long to wait for a daemon that went away, in milliseconds. */
  readonly patienceMs: number;
}

/** @throws ClientError DAEMON_UNREACHABLE if the daemon does not come back, or what the daemon refuses */
export async function follow(connection: Connection, options: FollowOptions): Promise<void> {
  const { request, tally, signal, onNews, say } = options;
  while (!signal.aborted) {
    try {
      // The daemon ends the stream when all has settled: a summary may be ahead of the sessions that follow it.
      for await (const message of connection.receive(DownloadServiceService.followDownloads, request, signal))
        await onNews(tally.take(message));
      if (signal.aborted) return;
      // Of none of them is anything known: they are asked for by their names, and that is refused.
      if (tally.settled || tally.summary?.totalCount === 0) {
        await reconcile(connection, options);
        if (tally.allOpenPaused) return;
      }
      // The stream ended before the downloads did: the daemon is about to go.
      await sleep(250, undefined, { signal }).catch(() => {});
    } catch (error) {
      if (!isGone(error)) throw error;
      await say(`${messageOf(error)}; waiting for the daemon to come back`);
      await comeBack(connection, options, error);
      if (!signal.aborted) await say("the daemon is back");
    }
  }
}

/**
 * Sessions may have ended before the first message, or been removed, or brought back by a person, while nobody was connected:
 * asks for those.
 */
async function reconcile(connection: Connection, options: FollowOptions): Promise<void> {
  const { request, tally, onNews } = options;
  if (tally.open.size === 0 && tally.endedCount === tally.summary?.totalCount) return;
  const note = async (sessions: readonly Session[]): Promise<void> =>
    onNews(sessions.map((session) => tally.note(session)).filter((news) => news !== undefined));
  const looked = new Set<string>();
  for (const sessionId of request.sessionIds) {
    if (tally.knows(sessionId)) continue;
    const { session } = await connection.ask(SessionServiceService.getSession, { sessionId });
    looked.add(sessionId);
    if (session) await note([session]);
  }
  let pageToken = "";
  while (request.batchId !== "") {
    const page = await connection.ask(SessionServiceService.listSessions, {
      pageSize: 1000,
      pageToken,
      filter: `batch_id = "${request.batchId}"`,
      orderBy: "",
    });
    for (const { sessionId } of page.sessions) looked.add(sessionId);
    await note(page.sessions.filter(({ sessionId }) => !tally.knows(sessionId)));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  // What others led to belongs to no batch that was asked for.
  for (const sessionId of [...tally.open.keys()]) {
    if (looked.has(sessionId)) continue;
    const session = await find(connection, sessionId);
    if (session) await note([session]);
    else tally.forget(sessionId);
  }
}

/** The session; undefined if it was removed. */
async function find(connection: Connection, sessionId: string): Promise<Session | undefined> {
  try {
    return (await connection.ask(SessionServiceService.getSession, { sessionId })).session;
  } catch (error) {
    if (error instanceof ClientError && error.code === "SESSION_NOT_FOUND") return undefined;
    throw error;
  }
}

async function comeBack(connection: Connection, options: FollowOptions, cause: unknown): Promise<void> {
  const { signal, restart, patienceMs } = options;
  const deadline = Date.now() + patienceMs;
  // Whoever stopped the daemon may be starting it again: leave them a moment.
  const restartAt = Date.now() + Math.min(2000, patienceMs / 2);
  let restarted = false;
  while (!signal.aborted) {
    await sleep(100, undefined, { signal }).catch(() => {});
    if (await answers(connection.target.address)) return;
    if (Date.now() > deadline) throw cause;
    if (restart && !restarted && Date.now() > restartAt) {
      restarted = true;
      await restart();
    }
  }
}
