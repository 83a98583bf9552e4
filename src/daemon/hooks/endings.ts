/** Which of its ends a session has come to with an event, if any. */
import type { SessionEvent } from "../core/events.ts";

/** The status that a session has newly reached, if it is an end. */
export function endOf(event: SessionEvent): "completed" | "failed" | "cancelled" | undefined {
  if (event.type !== "updated" || event.session.status === event.previous.status) return undefined;
  const { status } = event.session;
  return status === "completed" || status === "failed" || status === "cancelled" ? status : undefined;
}
