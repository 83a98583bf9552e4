/**
 * WatchSessions: events as they happen, after those that the caller missed.
 *
 * A caller that reads slowly costs a short buffer and no more: what does not fit is read again from the log when the
 * caller has caught up, and if the log has forgotten it by then, the caller is told so by a gap.
 */
import type { WatchSessionsResponse } from "../../gen/snatch/v1/session_service.ts";
import type { NumberedEvent, Replay } from "../core/events.ts";
import type { Session } from "../core/session.ts";
import type { Send } from "./calls.ts";
import type { RpcPorts } from "./deps.ts";
import { presentEvent } from "./present.ts";

/** Events that wait for a slow caller; more are left in the log. */
const BUFFER = 1024;

/** What is watched. `after`: the last number that the caller has seen; undefined: from now on. */
export interface WatchScope {
  readonly after: number | undefined;
  readonly matches: (session: Session) => boolean;
}

/** Sends until the signal aborts; rejects then with its reason. */
export async function watch(
  ports: Pick<RpcPorts, "events" | "downloads" | "clock">,
  scope: WatchScope,
  send: Send<WatchSessionsResponse>,
  signal: AbortSignal,
): Promise<void> {
  const { events } = ports;
  let pending: NumberedEvent[] = [];
  let overflow = false;
  let wake = Promise.withResolvers<void>();
  const unsubscribe = events.subscribe((event) => {
    if (!overflow && pending.length < BUFFER) pending.push(event);
    else overflow = true;
    wake.resolve();
  });
  const leave = () => wake.resolve();
  signal.addEventListener("abort", leave);
  const mark = (event: WatchSessionsResponse["event"]) =>
    send({ sequence: 0, time: new Date(ports.clock.now()), event });

  try {
    // No await between these: an event is either in the replay or in `pending`, and in one of them only.
    let cursor = scope.after ?? events.newest;
    let replay: Replay | undefined = scope.after === undefined ? undefined : events.after(scope.after);
    await mark({ $case: "start", value: { newestSequence: events.newest } });
    for (;;) {
      signal.throwIfAborted();
      if (replay?.gap === true) {
        const oldestSequence = replay.events[0]?.sequence ?? events.newest + 1;
        await mark({ $case: "gap", value: { oldestSequence } });
        cursor = oldestSequence - 1;
      }
      for (const event of replay?.events ?? []) {
        cursor = event.sequence;
        if (scope.matches(event.event.session))
          await send(presentEvent(event, ports.downloads.live(event.event.session.id)));
      }
      if (pending.length > 0) {
        replay = { gap: false, events: pending };
        pending = [];
      } else if (overflow) {
        overflow = false;
        replay = events.after(cursor);
      } else {
        replay = undefined;
        wake = Promise.withResolvers();
        if (!signal.aborted) await wake.promise;
      }
    }
  } finally {
    unsubscribe();
    signal.removeEventListener("abort", leave);
  }
}
