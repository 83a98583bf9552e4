/** A session manager with everything it needs, for tests. */
import type { KeyValue } from "../../src/daemon/core/ports/key-value.ts";
import type { DownloadOptions, DownloadRequest } from "../../src/daemon/core/session.ts";
import { SessionManager, type SessionOptions } from "../../src/daemon/session/session-manager.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";
import { RecordLogger } from "./record-logger.ts";
import { TestClock } from "./test-clock.ts";

/** A request for a file of this name. */
export function requestFor(name: string, options: DownloadOptions = {}): DownloadRequest {
  return { url: `http://origin.test/${name}`, mirrors: [], options };
}

/** A started manager and its parts; a second one on the same store is a restart. */
export async function sessionFixture(
  options: Partial<SessionOptions> = {},
  store: KeyValue = new MemoryKeyValue(),
  clock: TestClock = new TestClock(),
): Promise<{ sessions: SessionManager; store: KeyValue; clock: TestClock; logger: RecordLogger }> {
  const logger = new RecordLogger();
  const sessions = new SessionManager({
    store,
    clock,
    logger,
    options: { keepDays: 90, keepCount: 100_000, milestones: [25, 50, 75, 100], eventsKept: 10_000, ...options },
  });
  await sessions.start();
  return { sessions, store, clock, logger };
}
