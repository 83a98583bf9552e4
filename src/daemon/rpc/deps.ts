/** What the services work on. The composition root hands it over. */

import type { Session as WireSession } from "../../gen/snatch/v1/session.ts";
import type { AudioWork } from "../core/audio-work.ts";
import type { EventLog } from "../core/events.ts";
import type { PeerSharing } from "../core/peers.ts";
import type { CacheControl } from "../core/ports/cache.ts";
import type { Downloads } from "../core/ports/downloads.ts";
import type { FeedControl, WatchFolderControl } from "../core/ports/followed.ts";
import type { DaemonControl } from "../core/ports/house.ts";
import type { ListTaker } from "../core/ports/intake.ts";
import type { FileVerifier, ReceiptStore } from "../core/ports/receipts.ts";
import type { FormatLister } from "../core/ports/resolve.ts";
import type { Clock, Logger, MemoryPressure } from "../core/ports/runtime.ts";
import type { SessionStore, SessionTransfer } from "../core/ports/sessions.ts";
import type { Session } from "../core/session.ts";
import { presentSession } from "./present.ts";

/** The ports behind the RPCs. */
export interface RpcPorts {
  readonly downloads: Downloads;
  readonly sessions: Pick<SessionStore, "find" | "get" | "list" | "counts" | "queuePosition">;
  readonly transfer: SessionTransfer;
  readonly receipts: Pick<ReceiptStore, "byPath" | "bySession" | "forget" | "write">;
  readonly verifier: FileVerifier;
  readonly formats: FormatLister;
  /** The log that the session store emits into. */
  readonly events: Pick<EventLog, "after" | "newest" | "oldest" | "subscribe">;
  readonly lists: Pick<ListTaker, "take">;
  readonly watchFolders: WatchFolderControl;
  readonly audio: Pick<AudioWork, "run" | "filters">;
  readonly cache: CacheControl;
  readonly feeds: FeedControl;
  readonly sharing: Omit<PeerSharing, "registerDiscoveryMethod">;
  readonly control: DaemonControl;
  readonly memory: Pick<MemoryPressure, "report" | "wake">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A session with what it does at this moment. */
export function presentNow(session: Session, ports: Pick<RpcPorts, "downloads">): WireSession {
  return presentSession(session, { live: session.status === "active" ? ports.downloads.live(session.id) : undefined });
}
