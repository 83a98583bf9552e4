/** Downloads, as those who steer them see them. */
import type { PeerPath } from "../peers.ts";
import type { Session } from "../session.ts";
import type { Intake } from "./intake.ts";

/** Names sessions: ids (or unambiguous beginnings), all that the call can apply to, or all of a batch. */
export type Selection = { readonly ids: readonly string[] } | { readonly all: true } | { readonly batchId: string };

/** What a steering call did. `sessions` are those asked for by id, as they are now. */
export interface SteerOutcome {
  readonly changed: number;
  readonly sessions: readonly Session[];
}

/** What an active session does at this moment; never written down. */
export interface LiveProgress {
  readonly bytesPerSecond: number;
  readonly connections: number;
  /** Received, not yet on disk and proved. */
  readonly pendingBytes: number;
  /** By which ways the bytes come, where they come from peers. */
  readonly via?: readonly PeerPath[];
}

/** Steers downloads; implemented by the download manager. Each throws SESSION_NOT_FOUND, SESSION_AMBIGUOUS, WRONG_STATUS. */
export interface Downloads extends Intake {
  /** Stops; what is on disk stays. */
  pause(selection: Selection): Promise<SteerOutcome>;
  /** Queues paused and waiting sessions again. */
  resume(selection: Selection): Promise<SteerOutcome>;
  /** Calls off and removes part files. */
  cancel(selection: Selection): Promise<SteerOutcome>;
  /** Queues failed and cancelled sessions again, with attempts counted from zero. */
  retry(selection: Selection): Promise<SteerOutcome>;
  /** Forgets, calling off what is unfinished; finished files stay. The sessions returned are as they were before. */
  remove(selection: Selection): Promise<SteerOutcome>;
  move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<Session>;
  /** Bytes a second, 0 for unlimited; of one session, or of the whole daemon. @returns the limit in force */
  setLimit(bytesPerSecond: number, sessionId?: string): Promise<number>;
  limit(): number;
  live(id: string): LiveProgress | undefined;
  /** Bytes a second, all downloads. */
  rate(): number;
}
