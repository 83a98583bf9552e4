/**
 * An intake with sessions behind it, as far as lists need them: on any `KeyValue`, so that what was accepted survives a
 * process exactly when the list's ledger does. Nothing is fetched: the test says how a session ends.
 */
import { randomUUID } from "node:crypto";
import { failure } from "../../src/daemon/core/errors.ts";
import { EventLog, type NumberedEvent } from "../../src/daemon/core/events.ts";
import type { Accepted, AcceptOptions, Intake } from "../../src/daemon/core/ports/intake.ts";
import type { KeyValue, Write } from "../../src/daemon/core/ports/key-value.ts";
import type { DownloadOptions, DownloadRequest, Session, SessionError } from "../../src/daemon/core/session.ts";

const SESSIONS = "test-session";
const ARCHIVE = "test-archive";

const put = (space: string, key: string, value: string): Write => ({ type: "put", space, key, value });

/** Accepts requests: one session for the same URL to the same place. */
export class ListSessions implements Intake {
  readonly #store: KeyValue;
  readonly #log = new EventLog(1, 100);
  /** How many requests each call of `accept` brought. */
  readonly calls: number[] = [];
  /** Called before each `accept`; may throw. */
  beforeAccept: (call: number) => void | Promise<void> = () => {};

  constructor(store: KeyValue) {
    this.#store = store;
  }

  check(urls: readonly string[], options: DownloadOptions): DownloadRequest {
    const [url = "", ...mirrors] = urls.map((text) => {
      if (!URL.canParse(text)) throw failure("INVALID_URL", `"${text}" is not a URL`);
      const { href, protocol } = new URL(text);
      if (!protocol.startsWith("http")) throw failure("UNSUPPORTED_SCHEME", `nothing here can fetch ${protocol} URLs`);
      return href;
    });
    return { url, mirrors, options };
  }

  async accept(requests: readonly DownloadRequest[], options: AcceptOptions = {}): Promise<readonly Accepted[]> {
    await this.beforeAccept(this.calls.length);
    this.calls.push(requests.length);
    const keys = requests.map(({ url, options: { output, directory } }) => `${url}\t${output ?? directory}`);
    const known = await this.#store.getMany(ARCHIVE, keys);
    const records = await this.#store.getMany(
      SESSIONS,
      known.map((id) => id ?? ""),
    );
    const made = new Map<string, Session>();
    const accepted = requests.map((request, at): Accepted => {
      const record = records[at];
      if (record !== undefined) return { session: JSON.parse(record) as Session, created: false };
      const key = keys[at] ?? "";
      const session = made.get(key) ?? newSession(request, options.batchId);
      made.set(key, session);
      return { session, created: true };
    });
    const writes = [...made].flatMap(([key, session]) => [
      put(SESSIONS, session.id, JSON.stringify(session)),
      put(ARCHIVE, key, session.id),
    ]);
    await this.#store.write([...writes, ...(options.with?.(accepted) ?? [])], { sync: true });
    for (const session of made.values()) this.#log.emit({ type: "created", session });
    return accepted;
  }

  async get(id: string): Promise<Session | undefined> {
    const record = await this.#store.get(SESSIONS, id);
    return record === undefined ? undefined : (JSON.parse(record) as Session);
  }

  async all(): Promise<Session[]> {
    const sessions: Session[] = [];
    for await (const [, record] of this.#store.entries(SESSIONS)) sessions.push(JSON.parse(record) as Session);
    return sessions;
  }

  subscribe(listener: (event: NumberedEvent) => void): () => void {
    return this.#log.subscribe(listener);
  }

  /** Ends a session, with its file in place or with an error. */
  async end(previous: Session, error?: Pick<SessionError, "code" | "message">): Promise<void> {
    const path = previous.options.output ?? `${previous.options.directory}/${new URL(previous.url).pathname.slice(1)}`;
    const session: Session = error
      ? { ...previous, status: "failed", error: { ...error, retryable: false, time: 0 } }
      : { ...previous, status: "completed", file: { path, size: 7, mtimeMs: 0, ino: 1 } };
    await this.#store.write([put(SESSIONS, session.id, JSON.stringify(session))]);
    this.#log.emit({ type: "updated", session, previous });
  }

  /** Forgets a session. */
  async remove(session: Session): Promise<void> {
    await this.#store.write([{ type: "del", space: SESSIONS, key: session.id }]);
    this.#log.emit({ type: "cleaned", session });
  }
}

function newSession({ url, mirrors, options }: DownloadRequest, batchId: string | undefined): Session {
  return {
    id: randomUUID(),
    seq: 0,
    ...(batchId !== undefined && { batchId }),
    url,
    mirrors,
    options,
    status: "queued",
    createdAt: 0,
    updatedAt: 0,
    attempt: 0,
    progress: { downloadedBytes: 0 },
    metadata: {},
  };
}
