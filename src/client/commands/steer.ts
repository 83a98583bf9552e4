/** `pause`, `resume`, `cancel`, `retry`, `rm`, `move` and `limit`: what a person does to downloads that are there. */
import { DownloadServiceService, type Selection, type SteerResult } from "../../gen/snatch/v1/download_service.ts";
import type { Session } from "../../gen/snatch/v1/session.ts";
import { formatRate, parseBytes } from "../../shared/format.ts";
import { type Connection, connect, type Method } from "../connect.ts";
import { misuse, option } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, print } from "../output.ts";
import { nameOf, sessionJson, shortId } from "../session-view.ts";

/** The options of the commands that take several ids. */
export interface SteerFlags extends Globals {
  readonly all?: boolean;
  readonly batch?: string;
}

type SteerMethod = Method<{ selection?: Selection | undefined }, { result?: SteerResult | undefined }>;

const ACTIONS = {
  pause: [DownloadServiceService.pauseDownloads, "paused"],
  resume: [DownloadServiceService.resumeDownloads, "resumed"],
  cancel: [DownloadServiceService.cancelDownloads, "cancelled"],
  retry: [DownloadServiceService.retryDownloads, "queued again"],
  rm: [DownloadServiceService.removeDownloads, "removed"],
} as const satisfies Record<string, readonly [SteerMethod, string]>;

/** Applies an action to sessions by id, to all it can apply to, or to a batch. */
export async function steer(action: keyof typeof ACTIONS, flags: SteerFlags, ids: readonly string[]): Promise<number> {
  const selection = select(flags, ids);
  const [method, done] = ACTIONS[action];
  using connection = connect(flags);
  const { result } = await connection.ask<{ selection: Selection }, { result?: SteerResult | undefined }>(method, {
    selection,
  });
  const { changedCount = 0, sessions = [] } = result ?? {};
  if (flags.json) {
    if (ids.length === 0) await print(jsonLine({ changed_count: changedCount }));
    for (const session of sessions) await print(jsonLine(sessionJson(session)));
  } else if (!flags.quiet) {
    if (ids.length === 0) await print(`${done} ${changedCount} ${changedCount === 1 ? "session" : "sessions"}`);
    for (const session of sessions) await print(`${done} ${describe(session)}`);
  }
  return 0;
}

function select({ all = false, batch = "" }: SteerFlags, ids: readonly string[]): Selection {
  const ways = Number(ids.length > 0) + Number(all) + Number(batch !== "");
  if (ways === 0) throw misuse("no session is named", "Give ids, --batch BATCH or --all.");
  if (ways > 1) throw misuse("ids, --batch and --all do not go together");
  return { sessionIds: [...ids], all, batchId: batch };
}

const describe = (session: Session): string => `${shortId(session.sessionId)} ${escapeControls(nameOf(session))}`;

/** Moves a queued session to the top, the bottom, a place up or down, or a place by number. */
export async function move(globals: Globals, sessionId: string, where: string): Promise<number> {
  const destination = readPlace(where);
  using connection = connect(globals);
  const { session } = await connection.ask(DownloadServiceService.moveDownload, { sessionId, destination });
  if (session && globals.json) await print(jsonLine(sessionJson(session)));
  else if (session && !globals.quiet) await print(`${describe(session)} is at place ${session.queuePosition}`);
  return 0;
}

function readPlace(where: string) {
  if (where === "top") return { $case: "top", value: true } as const;
  if (where === "bottom") return { $case: "bottom", value: true } as const;
  if (where === "up" || where === "down") return { $case: "by", value: where === "up" ? -1 : 1 } as const;
  if (/^[1-9]\d{0,14}$/.test(where)) return { $case: "position", value: Number(where) } as const;
  throw misuse(`"${where}" is no place in the queue`, "Say top, up, down, bottom, or a number from 1 on.");
}

/** Limits the rate of the daemon, or of one session. */
export async function limit(globals: Globals, rate: string, sessionId = ""): Promise<number> {
  const bytesPerSecond = option("the rate", () => parseBytes(rate));
  using connection: Connection = connect(globals);
  const answer = await connection.ask(DownloadServiceService.setLimit, { sessionId, bytesPerSecond });
  const text = answer.bytesPerSecond === 0 ? "unlimited" : formatRate(answer.bytesPerSecond);
  if (globals.json) await print(jsonLine({ session_id: sessionId || null, bytes_per_second: answer.bytesPerSecond }));
  else if (!globals.quiet) await print(`${sessionId ? `session ${sessionId}` : "all downloads"}: ${text}`);
  return 0;
}
