/** `snatchctl watch`: events as they happen. After a break it goes on from the last one seen, and says what is lost. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../../gen/snatch/v1/session.ts";
import { SessionServiceService, type WatchSessionsResponse } from "../../gen/snatch/v1/session_service.ts";
import { connect, isGone } from "../connect.ts";
import { fail, messageOf } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";
import { nameOf, percentageOf, sessionJson, shortId, stageOf, statusOf } from "../session-view.ts";
import { answers } from "../target.ts";

/** Follows events until it is interrupted. @throws ClientError if no daemon answers at the start */
export async function watch(globals: Globals, ids: readonly string[]): Promise<number> {
  using connection = connect(globals);
  const wanted = await Promise.all(ids.map((id) => fullId(connection, id)));
  let last: number | undefined;
  for (;;) {
    try {
      const request = { filter: "", ...(last !== undefined && { afterSequence: last }) };
      for await (const message of connection.receive(SessionServiceService.watchSessions, request)) {
        last = newestNumber(message, last);
        await report(message, wanted, globals);
      }
    } catch (error) {
      if (!isGone(error) || last === undefined) throw error;
      if (!globals.quiet) note(`${messageOf(error)}; waiting for the daemon to come back`);
    }
    do await sleep(200);
    while (!(await answers(connection.target.address)));
  }
}

async function fullId(connection: ReturnType<typeof connect>, sessionId: string): Promise<string> {
  const { session } = await connection.ask(SessionServiceService.getSession, { sessionId, readMask: ["session_id"] });
  if (!session) throw fail("SESSION_NOT_FOUND", `there is no session ${sessionId}`);
  return session.sessionId;
}

/** The number to go on from. A gap has none of its own: what it names is sent next. */
function newestNumber({ event, sequence }: WatchSessionsResponse, last: number | undefined): number | undefined {
  if (event?.$case === "start") return last ?? event.value.newestSequence;
  return event?.$case === "gap" ? last : sequence;
}

async function report(message: WatchSessionsResponse, wanted: readonly string[], globals: Globals): Promise<void> {
  const { event, sequence, time } = message;
  if (event === undefined || event.$case === "start") return;
  if (event.$case === "gap") {
    const text = `events before number ${event.value.oldestSequence} are lost: list again`;
    if (globals.json) await print(jsonLine({ event: "gap", oldest_sequence: event.value.oldestSequence }));
    else note(text);
    return;
  }
  const session = event.value;
  if (wanted.length > 0 && !wanted.includes(session.sessionId)) return;
  if (globals.json)
    await print(
      jsonLine({ sequence, time: time?.toISOString() ?? null, event: event.$case, session: sessionJson(session) }),
    );
  else await print(`${clock(time)} ${event.$case.padEnd(8)} ${shortId(session.sessionId)} ${describe(session)}`);
}

function clock(time: Date | undefined): string {
  return (time ?? new Date()).toTimeString().slice(0, 8);
}

function describe(session: Session): string {
  const stage = stageOf(session);
  return [
    stage ? `${statusOf(session)}/${stage}` : statusOf(session),
    percentageOf(session),
    escapeControls(nameOf(session)),
    session.error ? `${session.error.code}: ${escapeControls(session.error.message)}` : "",
  ]
    .filter((part) => part !== "")
    .join(" ");
}
