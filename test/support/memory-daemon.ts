/**
 * A daemon in memory: the ports behind the RPC room, faithful in what callers see (statuses, transitions, order, events,
 * batches, pages, errors), without a network, a disk or an engine. Tests move its sessions by hand.
 */
import { randomUUID } from "node:crypto";
import { failure } from "../../src/daemon/core/errors.ts";
import { EventLog } from "../../src/daemon/core/events.ts";
import type { CacheControl, CacheFreed } from "../../src/daemon/core/ports/cache.ts";
import type { Downloads, LiveProgress, Selection, SteerOutcome } from "../../src/daemon/core/ports/downloads.ts";
import type {
  FeedControl,
  FeedState,
  WatchFolderControl,
  WatchFolderState,
} from "../../src/daemon/core/ports/followed.ts";
import type { DaemonControl } from "../../src/daemon/core/ports/house.ts";
import type {
  Accepted,
  AcceptOptions,
  ListJob,
  ListTaken,
  ListTaker,
  RefusedEntry,
} from "../../src/daemon/core/ports/intake.ts";
import type { Resolver } from "../../src/daemon/core/ports/resolve.ts";
import type {
  ImportOutcome,
  SessionFilter,
  SessionPage,
  SessionStore,
  SessionTransfer,
} from "../../src/daemon/core/ports/sessions.ts";
import {
  assertTransition,
  type DownloadOptions,
  type DownloadRequest,
  hasEnded,
  type Session,
  type SessionStatus,
  sessionError,
} from "../../src/daemon/core/session.ts";
import { matchesFilter } from "../../src/daemon/session/filter.ts";
import { MemorySharing } from "./memory-sharing.ts";

const STATUSES = ["queued", "waiting", "active", "paused", "completed", "failed", "cancelled"] as const;

/** What a test may change in a session. */
export type Change = { -readonly [K in keyof Session]?: Session[K] | undefined };

/** The sessions and everything that works on them. */
export class MemoryDaemon
  implements
    Downloads,
    Pick<SessionStore, "find" | "get" | "list" | "counts" | "queuePosition">,
    SessionTransfer,
    Pick<ListTaker, "take">
{
  readonly events: EventLog;
  readonly lives = new Map<string, LiveProgress>();
  /** Reasons of the shutdowns that were asked for. */
  readonly shutdowns: string[] = [];
  /** Jobs of the lists that were taken. */
  readonly jobs: ListJob[] = [];
  /** Who says what URLs mean, for those who ask for formats. */
  readonly resolvers: Resolver[] = [];
  /** Thrown by the next call of `pause`. */
  breakage: Error | undefined;
  readonly #sessions = new Map<string, Session>();
  /** Sessions that joined a batch later. */
  readonly #adopted = new Map<string, Set<string>>();
  #queue: string[] = [];
  #nextSeq = 1;
  #limit = 0;
  readonly #folders = new Map<string, WatchFolderState>();
  readonly #config = new Map<string, unknown>([
    ["chunk_size", 8388608],
    ["audio.on_download", false],
  ]);

  constructor(keep = 1000) {
    this.events = new EventLog(100, keep);
  }

  // ── by hand ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes a queued session. */
  add(url = `https://example.org/${this.#nextSeq}.bin`, more: Change = {}): Session {
    const now = Date.now();
    const session = {
      id: randomUUID(),
      seq: this.#nextSeq++,
      url,
      mirrors: [],
      options: {},
      status: "queued",
      createdAt: now,
      updatedAt: now,
      attempt: 0,
      progress: { downloadedBytes: 0 },
      metadata: {},
      ...more,
    } as Session;
    this.#sessions.set(session.id, session);
    if (session.status === "queued") this.#queue.push(session.id);
    this.events.emit({ type: "created", session });
    return session;
  }

  /** Lets an existing session belong to a batch too. Tells nobody, as the real store. */
  adopt(batchId: string, id: string): void {
    this.#adopted.set(batchId, (this.#adopted.get(batchId) ?? new Set()).add(id));
  }

  /** Changes a session and tells of it. */
  change(id: string, change: Change): Session {
    const previous = this.#must(id);
    if (change.status !== undefined) assertTransition(previous, change.status);
    const session = { ...previous, ...change, updatedAt: Date.now() } as Session;
    this.#sessions.set(id, session);
    this.#queue = this.#queue.filter((queued) => queued !== id);
    if (session.status === "queued") this.#queue.push(id);
    this.events.emit({ type: "updated", session, previous });
    if (session.error !== undefined && session.error !== previous.error)
      this.events.emit({ type: "error", session, error: session.error });
    return session;
  }

  /** New progress, which no event tells. */
  progress(id: string, downloadedBytes: number, totalBytes?: number): void {
    const session = this.#must(id);
    const progress = { downloadedBytes, ...(totalBytes !== undefined && { totalBytes }) };
    this.#sessions.set(id, { ...session, progress });
  }

  /** Fails a session with an error of the network. */
  fail(id: string): Session {
    const error = sessionError(failure("CONNECT_FAILED", "no connection to example.org"), Date.now());
    return this.change(id, { status: "failed", error });
  }

  // ── SessionStore ──────────────────────────────────────────────────────────────────────────────────────────────────

  get(id: string): Promise<Session | undefined> {
    return Promise.resolve(this.#sessions.get(id));
  }

  find(idOrPrefix: string): Promise<Session> {
    const found = [...this.#sessions.values()].filter(({ id }) => id.startsWith(idOrPrefix));
    const [first] = found;
    if (first === undefined)
      return Promise.reject(
        failure("SESSION_NOT_FOUND", `there is no session ${idOrPrefix}`, { metadata: { session_id: idOrPrefix } }),
      );
    if (found.length > 1) return Promise.reject(failure("SESSION_AMBIGUOUS", `${found.length} ids begin so`));
    return Promise.resolve(first);
  }

  list(filter: SessionFilter, page: { size: number; token?: string; reverse?: boolean }): Promise<SessionPage> {
    const adopted = filter.batchId === undefined ? undefined : this.#adopted.get(filter.batchId);
    let all = [...this.#sessions.values()].filter((session) => {
      const joined = filter.batchId !== undefined && adopted?.has(session.id) === true ? [filter.batchId] : [];
      return matchesFilter(session, filter, session.batchId === undefined ? joined : [session.batchId, ...joined]);
    });
    if (page.reverse === true) all.reverse();
    if (page.token !== undefined) {
      const after = Number(page.token);
      if (!Number.isInteger(after)) return Promise.reject(failure("INVALID_ARGUMENT", "page_token: not one of ours"));
      all = all.filter(({ seq }) => (page.reverse === true ? seq < after : seq > after));
    }
    const sessions = all.slice(0, page.size);
    const last = sessions.at(-1);
    return Promise.resolve({
      sessions,
      ...(last !== undefined && all.length > page.size && { nextPageToken: String(last.seq) }),
    });
  }

  counts(): Readonly<Record<SessionStatus, number>> {
    const all = [...this.#sessions.values()];
    return Object.fromEntries(
      STATUSES.map((status) => [status, all.filter((session) => session.status === status).length]),
    ) as Record<SessionStatus, number>;
  }

  queuePosition(id: string): Promise<number | undefined> {
    const index = this.#queue.indexOf(id);
    return Promise.resolve(index === -1 ? undefined : index + 1);
  }

  // ── Downloads ─────────────────────────────────────────────────────────────────────────────────────────────────────

  check(urls: readonly string[], options: DownloadOptions): DownloadRequest {
    const [url = "", ...mirrors] = urls;
    if (!URL.canParse(url)) throw failure("INVALID_URL", `"${url}" is not a URL`, { metadata: { url } });
    if (!/^https?:/.test(url)) throw failure("UNSUPPORTED_SCHEME", `${new URL(url).protocol} is not fetched`);
    return { url, mirrors, options };
  }

  accept(requests: readonly DownloadRequest[], { batchId }: AcceptOptions = {}): Promise<readonly Accepted[]> {
    return Promise.resolve(
      requests.map(({ url, mirrors, options }) => {
        const known = [...this.#sessions.values()].find((session) => session.url === url && options.force !== true);
        if (known !== undefined) {
          if (batchId !== undefined) this.adopt(batchId, known.id);
          return { session: known, created: false };
        }
        return {
          session: this.add(url, { mirrors, options, ...(batchId !== undefined && { batchId }) }),
          created: true,
        };
      }),
    );
  }

  pause(selection: Selection): Promise<SteerOutcome> {
    const { breakage } = this;
    this.breakage = undefined;
    if (breakage !== undefined) return Promise.reject(breakage);
    return this.#steer(selection, "paused", (status) => !hasEnded(status) && status !== "paused");
  }

  resume(selection: Selection): Promise<SteerOutcome> {
    return this.#steer(selection, "queued", (status) => status === "paused" || status === "waiting");
  }

  cancel(selection: Selection): Promise<SteerOutcome> {
    return this.#steer(selection, "cancelled", (status) => status !== "completed" && status !== "cancelled");
  }

  retry(selection: Selection): Promise<SteerOutcome> {
    return this.#steer(selection, "queued", (status) => status === "failed" || status === "cancelled");
  }

  async remove(selection: Selection): Promise<SteerOutcome> {
    const chosen = await this.#select(selection, () => true);
    for (const session of chosen) {
      this.#sessions.delete(session.id);
      this.#queue = this.#queue.filter((id) => id !== session.id);
      this.events.emit({ type: "cleaned", session });
    }
    return { changed: chosen.length, sessions: "ids" in selection ? chosen : [] };
  }

  move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<Session> {
    const session = this.#must(id);
    const from = this.#queue.indexOf(id);
    if (from === -1) return Promise.reject(failure("WRONG_STATUS", `session ${id} is not queued`));
    this.#queue.splice(from, 1);
    const last = this.#queue.length;
    const place = to === "top" ? 0 : to === "bottom" ? last : "by" in to ? from + to.by : to.position - 1;
    this.#queue.splice(Math.max(0, Math.min(last, place)), 0, id);
    return Promise.resolve(session);
  }

  setLimit(bytesPerSecond: number, sessionId?: string): Promise<number> {
    if (sessionId === undefined) this.#limit = bytesPerSecond;
    else this.change(sessionId, { options: { ...this.#must(sessionId).options, limit: bytesPerSecond } });
    return Promise.resolve(bytesPerSecond);
  }

  limit(): number {
    return this.#limit;
  }

  live(id: string): LiveProgress | undefined {
    return this.lives.get(id);
  }

  rate(): number {
    return [...this.lives.values()].reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  }

  // ── lists, exports, folders ───────────────────────────────────────────────────────────────────────────────────────

  async take(job: ListJob): Promise<ListTaken> {
    this.jobs.push(job);
    const batchId = job.batchId ?? randomUUID();
    const pieces: Uint8Array[] = [];
    for await (const bytes of job.bytes) pieces.push(bytes);
    const refusedLines: RefusedEntry[] = [];
    let accepted = 0;
    for (const [index, line] of Buffer.concat(pieces).toString().split("\n").entries()) {
      if (line === "") continue;
      try {
        accepted += (await this.accept([this.check([line], job.options)], { batchId })).length;
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        refusedLines.push({ lineNumber: index + 1, line, code, message });
      }
    }
    return { batchId, accepted, refused: refusedLines.length, refusedLines };
  }

  async *exportLines(filter: SessionFilter): AsyncIterable<string> {
    for (const session of (await this.list(filter, { size: Number.MAX_SAFE_INTEGER })).sessions)
      yield JSON.stringify({ session_id: session.id, url: session.url });
  }

  async importLines(lines: AsyncIterable<string>): Promise<ImportOutcome> {
    let [imported, skipped] = [0, 0];
    const refused: string[] = [];
    for await (const line of lines) {
      try {
        const { session_id: id, url } = JSON.parse(line) as { session_id: string; url: string };
        if (this.#sessions.has(id)) skipped++;
        else {
          this.add(url, { id });
          imported++;
        }
      } catch {
        refused.push(`not JSON: ${line.slice(0, 20)}`);
      }
    }
    return { imported, skipped, refused };
  }

  readonly watchFolders: WatchFolderControl = {
    list: () => [...this.#folders.values()],
    add: (path, directory = "/d") => {
      const state = { path, directory, configured: false, listCount: 0 };
      this.#folders.set(path, state);
      return Promise.resolve(state);
    },
    remove: (path) => {
      if (this.#folders.delete(path)) return Promise.resolve();
      return Promise.reject(failure("WATCH_FOLDER_INVALID", `${path} is not watched`));
    },
  };

  readonly #feeds = new Map<string, FeedState>();

  readonly feeds: FeedControl = {
    list: () => [...this.#feeds.values()],
    add: (url, settings) => {
      const state = { ...settings, id: `${"f".repeat(7)}${this.#feeds.size}`, url, nextPollAt: 1000, episodeCount: 0 };
      this.#feeds.set(url, state);
      return Promise.resolve(state);
    },
    remove: (feed) => {
      if (this.#feeds.delete(feed)) return Promise.resolve();
      return Promise.reject(failure("FEED_NOT_FOUND", `${feed} is not followed`));
    },
    poll: (feed) =>
      Promise.resolve(
        [...this.#feeds.values()]
          .filter(({ url }) => feed === undefined || url === feed)
          .map((state) => ({ feed: { ...state, title: "Polled", lastPollAt: 2000 }, newCount: 3, removedCount: 1 })),
      ),
  };

  readonly sharing = new MemorySharing();

  /** What it was asked to do. */
  readonly cared: string[] = [];

  readonly cache: CacheControl = {
    stats: () =>
      Promise.resolve({
        enabled: true,
        directory: "/c/snatch",
        maxBytes: 1024 ** 3,
        bytes: 5000,
        kinds: [
          { kind: "metadata", entries: 2, bytes: 5000, maxBytes: 1e6, hits: 3, misses: 4, evicted: 5, damaged: 6 },
          { kind: "sessions", entries: 1, bytes: 0, maxEntries: 1000, hits: 7, misses: 8, evicted: 0, damaged: 0 },
        ],
        cleanedAt: Date.parse("2026-11-22T12:00:00Z"),
      }),
    clean: () => this.#care("clean"),
    compact: () => this.#care("compact"),
    clear: (kind) => this.#care(`clear ${kind ?? "all"}`),
  };

  #care(what: string): Promise<CacheFreed> {
    this.cared.push(what);
    return Promise.resolve({ entries: 2, bytes: 5000 });
  }

  // ── the house ─────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly control: DaemonControl = {
    version: "0.0.0-test",
    startedAt: Date.parse("2026-11-22T12:00:00Z"),
    addresses: ["unix:/s/snatchd.sock"],
    paths: { configFile: "/c/config.toml", stateDir: "/s", logFile: "/s/log", downloadDir: "/d" },
    config: () =>
      [...this.#config].map(([key, value]) => ({
        key,
        json: JSON.stringify(value),
        origin: "default",
        originDetail: "",
        needsRestart: false,
      })),
    setConfig: (values) => {
      for (const key of Object.keys(values))
        if (!this.#config.has(key)) return Promise.reject(failure("CONFIG_INVALID", `${key}: there is no such key`));
      const changes = Object.entries(values).map(([key, value]) => {
        const before = JSON.stringify(this.#config.get(key));
        this.#config.set(key, value);
        return { key, before, after: JSON.stringify(value), needsRestart: false };
      });
      return Promise.resolve(changes);
    },
    reload: () => Promise.resolve([]),
    // Lasts until the caller leaves: what a check without a limit of its own would do.
    check: (ids, signal) =>
      ids.includes("endless")
        ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))
        : Promise.resolve([{ id: "download_dir", title: "Download folder", status: "ok", message: "can be written" }]),
    shutdown: (reason) => void this.shutdowns.push(reason),
  };

  #must(id: string): Session {
    const session = this.#sessions.get(id);
    if (session === undefined) throw failure("SESSION_NOT_FOUND", `there is no session ${id}`);
    return session;
  }

  async #select(selection: Selection, applies: (status: SessionStatus) => boolean): Promise<Session[]> {
    if ("ids" in selection) return await Promise.all(selection.ids.map((id) => this.find(id)));
    const filter = "batchId" in selection ? { batchId: selection.batchId } : {};
    const { sessions } = await this.list(filter, { size: Number.MAX_SAFE_INTEGER });
    return sessions.filter(({ status }) => applies(status));
  }

  async #steer(
    selection: Selection,
    status: SessionStatus,
    applies: (status: SessionStatus) => boolean,
  ): Promise<SteerOutcome> {
    const chosen = await this.#select(selection, applies);
    for (const session of chosen) assertTransition(session, status);
    const changed = chosen.filter((session) => session.status !== status).map(({ id }) => this.change(id, { status }));
    return { changed: changed.length, sessions: "ids" in selection ? changed : [] };
  }
}
