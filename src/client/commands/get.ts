/** `snatchctl get`: asks for files and waits until every one of them is whole and in place, or has failed. */
import { DownloadServiceService, type Selection } from "../../gen/snatch/v1/download_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { Connection } from "../connect.ts";
import { ClientError } from "../failure.ts";
import { follow } from "../follow.ts";
import type { Globals } from "../globals.ts";
import { Interrupt } from "../interrupt.ts";
import { ensureDaemon } from "../launch.ts";
import { occurrenceLine, remarkLine } from "../lines.ts";
import { MadeShares } from "../made-shares.ts";
import { type OrderFlags, readOrder } from "../order.ts";
import { jsonLine, note, print } from "../output.ts";
import { openView, type ProgressView } from "../progress.ts";
import { reportRefusals } from "../refusals.ts";
import { sessionJson, shortId, statusOf } from "../session-view.ts";
import { hideArguments, isShareLink } from "../share-link.ts";
import { openList, refusedUrls, type Submitted, submit } from "../submit.ts";
import { type Occurrence, Tally } from "../tally.ts";
import { resolveTarget } from "../target.ts";

/** How long a daemon that went away may stay away. */
const PATIENCE_MS = 60_000;
/** Ids in the advice after Ctrl-C; more are named by their batch. */
const MOST_IDS = 5;

/** @returns 0 only if every file is whole and in place; else the exit code of the first failure */
export async function get(flags: OrderFlags & Globals, urls: readonly string[]): Promise<number> {
  if (urls.some(isShareLink)) hideArguments("get");
  const target = resolveTarget(flags);
  const order = readOrder(urls, flags, target);
  const hopeless = refusedUrls(order);
  if (urls.length > 0 && hopeless.length === urls.length) return reportRefusals(hopeless, hopeless.length, flags);
  await using list = order.list === undefined ? undefined : await openList(order.list);
  using interrupt = new Interrupt();
  const started = await ensureDaemon(flags, target);
  if (interrupt.signal.aborted) return leave("nothing was asked for yet", flags);
  using connection = new Connection(target);
  const submission = submit(connection, order, list);
  // A list may come from a keyboard or a slow pipe: it is not waited for.
  const submitted = await (list ? Promise.race([submission, aborted(interrupt.signal)]) : submission);
  if (submitted === undefined) return leave("lines that were taken already stay: see `snatchctl list`", flags);

  const refused = await reportRefusals(submitted.refusals, submitted.refusedCount, flags);
  if (submitted.acceptedCount === 0) return refused;
  const tally = new Tally();
  const lost = await wait(connection, submitted, tally, interrupt.signal, flags, started !== undefined);
  if (interrupt.signal.aborted) return await pause(connection, submitted, tally, flags);
  if (lost) throw lost;
  return refused || tally.exit;
}

/** @returns the error that ended the waiting, if one did */
async function wait(
  connection: Connection,
  submitted: Submitted,
  tally: Tally,
  signal: AbortSignal,
  globals: OrderFlags & Globals,
  startedHere: boolean,
): Promise<unknown> {
  using view = await openView(globals);
  const shares = globals.share ? new MadeShares(connection) : undefined;
  const ids = submitted.sessions.map(({ sessionId }) => sessionId);
  const request = ids.length > 0 ? { sessionIds: ids, batchId: "" } : { sessionIds: [], batchId: submitted.batchId };
  try {
    await follow(connection, {
      request,
      tally,
      signal,
      patienceMs: PATIENCE_MS,
      say: (text) => view.line(text),
      onNews: async (news) => {
        for (const occurrence of news) await report(occurrence, view, globals, shares);
        view.show(tally);
      },
      ...(startedHere && { restart: () => ensureDaemon(globals, connection.target) }),
    });
    for (const session of tally.paused)
      await view.line(`PAUSED ${session.url}: snatchctl resume ${shortId(session.sessionId)}`);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function report(
  occurrence: Occurrence,
  view: ProgressView,
  globals: Globals,
  shares: MadeShares | undefined,
): Promise<void> {
  const { kind, session } = occurrence;
  const made = kind === "ended" ? await shares?.of(session) : undefined;
  if (globals.json) {
    if (kind === "ended") await print(jsonLine({ ...sessionJson(session), ...(made && { code: made.code }) }));
    return;
  }
  if (kind === "waiting" && globals.quiet) return;
  const completed = kind === "ended" && statusOf(session) === "completed";
  await view.line(occurrenceLine(occurrence), completed);
  // What was asked for without a share may have failed to be shared at another time.
  const remark = completed && shares ? remarkLine(session) : undefined;
  if (remark !== undefined) await view.line(remark);
  if (made?.isNew) await view.line(made.line, true);
}

/** After Ctrl-C: pauses what was asked for and has not ended, and says how to go on. */
async function pause(connection: Connection, submitted: Submitted, tally: Tally, globals: Globals): Promise<number> {
  const open = submitted.sessions.map(({ sessionId }) => sessionId).filter((id) => !tally.knows(id));
  const many = submitted.sessions.length === 0 || open.length > MOST_IDS;
  if (submitted.sessions.length > 0 && open.length === 0 && tally.open.size === 0) return EXIT.interrupted;
  // What a folder or a feed has led to goes on by itself, whatever became of that.
  const batches = [...(many ? [submitted.batchId] : []), ...tally.batches];
  const ids = many ? [] : open;
  const selections: Selection[] = [
    ...batches.map((batchId) => ({ sessionIds: [], all: false, batchId })),
    ...ids.map((id) => ({ sessionIds: [id], all: false, batchId: "" })),
  ];
  for (const selection of selections) {
    try {
      await connection.ask(DownloadServiceService.pauseDownloads, { selection }, 10);
    } catch (error) {
      // It has ended in this moment: there is nothing to pause.
      if (error instanceof ClientError && error.code === "WRONG_STATUS") continue;
      if (!(error instanceof ClientError)) throw error;
      return leave(`not paused, ${error.message}; what was asked for goes on when the daemon runs`, globals);
    }
  }
  const where = [
    ...(globals.home === undefined ? [] : ["--home", globals.home]),
    ...(globals.address === undefined ? [] : ["--address", globals.address]),
  ];
  const command = (which: readonly string[]): string => ["snatchctl", ...where, "resume", ...which].join(" ");
  const commands = [
    ...batches.map((batchId) => command(["--batch", batchId])),
    ...(ids.length > 0 ? [command(ids.map(shortId))] : []),
  ];
  return leave(`paused; go on with: ${commands.join(" && ")}`, globals);
}

function leave(text: string, globals: Globals): number {
  if (!globals.quiet) note(text);
  return EXIT.interrupted;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
