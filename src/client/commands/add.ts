/** `snatchctl add`: asks for files and does not wait for them. What is accepted is durable. */
import { Connection } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { ensureDaemon } from "../launch.ts";
import { type OrderFlags, readOrder } from "../order.ts";
import { jsonLine, note, print } from "../output.ts";
import { reportRefusals } from "../refusals.ts";
import { sessionJson } from "../session-view.ts";
import { hideArguments, isShareLink } from "../share-link.ts";
import { openList, refusedUrls, type Submitted, submit } from "../submit.ts";
import { resolveTarget } from "../target.ts";

/** @returns 0 if everything was accepted; else the exit code of the first refusal */
export async function add(flags: OrderFlags & Globals, urls: readonly string[]): Promise<number> {
  if (urls.some(isShareLink)) hideArguments("add");
  const target = resolveTarget(flags);
  const order = readOrder(urls, flags, target);
  const hopeless = refusedUrls(order);
  if (urls.length > 0 && hopeless.length === urls.length) return reportRefusals(hopeless, hopeless.length, flags);
  await using list = order.list === undefined ? undefined : await openList(order.list);
  await ensureDaemon(flags, target);
  using connection = new Connection(target);
  const submitted = await submit(connection, order, list);
  if (list) await reportList(submitted, flags);
  else await reportSessions(submitted, flags);
  return reportRefusals(submitted.refusals, submitted.refusedCount, flags);
}

async function reportSessions({ sessions, batchId }: Submitted, globals: Globals): Promise<void> {
  for (const session of sessions) await print(globals.json ? jsonLine(sessionJson(session)) : session.sessionId);
  if (batchId && !globals.json && !globals.quiet) note(`batch ${batchId}`);
}

async function reportList({ batchId, acceptedCount, refusedCount }: Submitted, globals: Globals): Promise<void> {
  if (globals.json)
    await print(jsonLine({ batch_id: batchId, accepted_count: acceptedCount, refused_count: refusedCount }));
  else {
    await print(batchId);
    if (!globals.quiet) note(`${acceptedCount} accepted, ${refusedCount} refused`);
  }
}
