/**
 * Coordinates downloads: takes requests, runs as many at once as is set, and steers them. The spec's
 * AsyncDownloadManager; what happens to one session is in pipeline.ts.
 */
import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { DownloadChunk } from "../core/manifest.ts";
import type { Downloads, LiveProgress, Selection, SteerOutcome } from "../core/ports/downloads.ts";
import type { Accepted, AcceptOptions } from "../core/ports/intake.ts";
import { RateLimit } from "../core/rate-limit.ts";
import { type DownloadOptions, type DownloadRequest, hasEnded, type Session } from "../core/session.ts";
import { acceptRequests } from "./accept.ts";
import { ChunkHasher } from "./chunk-hasher.ts";
import { sha256 } from "./digest.ts";
import type { Hooks } from "./hook-calls.ts";
import { HookRunner } from "./hook-runner.ts";
import { Meter } from "./meter.ts";
import { Parked } from "./parked.ts";
import { Queue } from "./queue.ts";
import { checkRequest, concealed } from "./request.ts";
import type { Engine, EngineParts } from "./run.ts";
import { Runner } from "./runner.ts";
import type { DownloadSettings } from "./settings.ts";
import { Slabs } from "./slabs.ts";
import { Steering } from "./steering.ts";

/** Memory that idle slabs may hold, in bytes. */
const IDLE_SLAB_BYTES = 64 * 1024 * 1024;

/** Sessions that only wait for peers, beside those that run. */
const MOST_SEEKING = 32;

/** Sessions of a batch that are read at once. */
const PAGE = 1000;

/** A URL to fetch, or the same bytes at several. */
export type UrlOrMirrors = string | readonly string[];

/** What became of a URL. */
export interface DownloadResult {
  readonly url: string;
  readonly sessionId: string;
  readonly status: "completed" | "failed" | "cancelled";
  /** The file, once completed. */
  readonly path?: string;
  /** Size of the file. */
  readonly bytes?: number;
  /** The file was there already and unchanged. */
  readonly already: boolean;
  readonly error?: DownloadError;
  /** Of a page, playlist or feed: what became of all that it named. Then there is no file of its own. */
  readonly items?: readonly DownloadResult[];
}

/** The results of URLs that were asked for together, in their order. */
export interface BatchResult {
  readonly batchId: string;
  readonly results: readonly DownloadResult[];
}

/** Takes, runs and steers downloads. */
export class DownloadManager implements Downloads, Startable {
  readonly #engine: Engine;
  readonly #settings: () => DownloadSettings;
  readonly #runner: Runner;
  readonly #queue: Queue;
  readonly #steering: Steering;
  readonly #parked = new Parked();
  readonly #waiters = new Map<string, PromiseWithResolvers<Session>>();
  #unsubscribe: (() => void) | undefined;
  #stopReleasing: (() => void) | undefined;
  #stopListening: (() => void) | undefined;
  #configuredLimit = 0;
  #accepting: Promise<void> = Promise.resolve();

  /** @param settings - read anew for every download */
  constructor(parts: EngineParts, settings: () => DownloadSettings) {
    const { clock, logger, store, memory } = parts;
    this.#settings = settings;
    this.#engine = {
      ...parts,
      intake: this,
      hooks: new HookRunner(clock, logger),
      hasher: new ChunkHasher(clock),
      slabs: new Slabs(() => (memory?.level ? 0 : IDLE_SLAB_BYTES)),
      limit: new RateLimit(clock),
      meter: new Meter(clock),
    };
    this.#runner = new Runner(this.#engine, settings);
    this.#queue = new Queue({
      store,
      clock,
      logger,
      slots: () => (memory?.level === 2 ? 1 : settings().maxConcurrent),
      idle: () => Math.min(this.#runner.seeking, MOST_SEEKING),
      launch: (session) => this.#runner.run(session),
    });
    this.#steering = new Steering(this.#engine, this.#runner, this.#queue);
  }

  start(): Promise<void> {
    this.#configuredLimit = this.#settings().limit;
    this.#engine.limit.set(this.#configuredLimit);
    const { memory, slabs } = this.#engine;
    this.#stopReleasing = memory?.onRelease(() => slabs.clear());
    this.#unsubscribe = this.#engine.store.subscribe((event) => {
      memory?.wake();
      if (!this.#engine.hooks.idle) this.#engine.hooks.sessionEvent(event);
      if (event.event.type === "updated") {
        this.#tell(event.event.session);
        this.#parked.note(event.event.session);
      }
      // Forgotten while somebody waits for it: as good as called off.
      if (event.event.type === "cleaned") {
        this.#tell({ ...event.event.session, status: "cancelled" });
        this.#parked.note({ ...event.event.session, status: "cancelled" });
      }
    });
    this.#stopListening = this.#engine.peers?.onPresence?.((share, here) =>
      here ? this.#queue.hurry(this.#parked.take(share)) : this.#queue.wake(),
    );
    this.#queue.start();
    return Promise.resolve();
  }

  /** Stops every download where it is; all go on at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.#queue.stop();
    this.#runner.stopAll();
    await stopped;
    this.#unsubscribe?.();
    this.#stopReleasing?.();
    this.#stopListening?.();
    await this.#engine.hooks.settled();
    this.#engine.slabs.clear();
    await this.#engine.hasher[Symbol.asyncDispose]();
    for (const { reject } of this.#waiters.values())
      reject(failure("SHUTTING_DOWN", "the download manager ended; what is unfinished goes on at the next start"));
    this.#waiters.clear();
  }

  /** The settings have changed: limits hold at once, the rest from the next download on. */
  settingsChanged(): void {
    const { limit } = this.#settings();
    // A limit that was set at run time stays, unless it is this that was changed.
    if (limit !== this.#configuredLimit) this.#engine.limit.set(limit);
    this.#configuredLimit = limit;
    this.#queue.wake();
  }

  // ── taking ──

  /**
   * Fetches URLs and waits for all of them. A URL that fails does not stop the others: its result carries the error.
   *
   * @throws DownloadError INVALID_URL, UNSUPPORTED_SCHEME or INVALID_ARGUMENT, and then nothing is fetched
   */
  async download(
    urls: UrlOrMirrors | readonly UrlOrMirrors[],
    options: DownloadOptions = {},
  ): Promise<readonly DownloadResult[]> {
    return this.#wait(await this.#take(asList(urls), options));
  }

  /** Like {@link DownloadManager.download}, but does not wait: the sessions are durable when it resolves. */
  async enqueue(
    urls: UrlOrMirrors | readonly UrlOrMirrors[],
    options: DownloadOptions = {},
  ): Promise<readonly Session[]> {
    return (await this.#take(asList(urls), options)).map(({ session }) => session);
  }

  /** Fetches URLs as one batch: its id selects all of them in every other call. */
  async batchDownload(urls: readonly UrlOrMirrors[], options: DownloadOptions = {}): Promise<BatchResult> {
    const batchId = randomUUID();
    return { batchId, results: await this.#wait(await this.#take(urls, options, batchId)) };
  }

  /**
   * Goes on with a session that was paused, failed or cancelled, and waits for its end.
   *
   * @throws DownloadError SESSION_NOT_FOUND
   */
  async resumeDownload(sessionId: string): Promise<DownloadResult> {
    const session = await this.#engine.store.find(sessionId);
    if (session.status === "paused" || session.status === "waiting") await this.resume({ ids: [session.id] });
    if (session.status === "failed" || session.status === "cancelled") await this.retry({ ids: [session.id] });
    return this.#withItems(resultOf(await this.#ended(session.id), session.status === "completed"));
  }

  /** True if the chunk's bytes have this SHA-256 (hex). @throws DownloadError INVALID_ARGUMENT if it carries no bytes */
  async validateChunk(chunk: DownloadChunk, expectedHash: string): Promise<boolean> {
    if (!chunk.data) throw failure("INVALID_ARGUMENT", `the chunk ${chunk.start}-${chunk.end} carries no bytes`);
    if (chunk.data.length !== chunk.end - chunk.start) return false;
    return (await sha256(new Uint8Array(chunk.data))) === expectedHash.toLowerCase();
  }

  /** Adds hooks under a name; the same name again replaces them. Lower priorities run first. @returns takes them out */
  registerHooks(name: string, hooks: Hooks, options: { readonly priority?: number } = {}): () => void {
    return this.#engine.hooks.register(name, hooks, options.priority);
  }

  check(urls: readonly string[], options: DownloadOptions): DownloadRequest {
    const { resolvers, steps } = this.#engine;
    // A step that nobody has is told now, not when the file is here.
    steps?.steps(options.audio ?? []);
    const request = checkRequest(urls, options, this.#settings(), (url) =>
      resolvers.some((resolver) => resolver.claims(url)),
    );
    return concealed(request, resolvers);
  }

  /** One after the other: two callers who ask for the same URL at once get the same session. */
  accept(requests: readonly DownloadRequest[], options: AcceptOptions = {}): Promise<readonly Accepted[]> {
    const turn = this.#accepting.then(() => acceptRequests(this.#engine, requests, options));
    // Also after a failure: sessions that were brought back before it are queued.
    const wake = (): void => this.#queue.wake();
    this.#accepting = turn.then(wake, wake);
    return turn;
  }

  // ── steering ──

  pause(selection: Selection): Promise<SteerOutcome> {
    return this.#steering.pause(selection);
  }

  resume(selection: Selection): Promise<SteerOutcome> {
    return this.#steering.resume(selection);
  }

  cancel(selection: Selection): Promise<SteerOutcome> {
    return this.#steering.cancel(selection);
  }

  retry(selection: Selection): Promise<SteerOutcome> {
    return this.#steering.retry(selection);
  }

  remove(selection: Selection): Promise<SteerOutcome> {
    return this.#steering.remove(selection);
  }

  async move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<Session> {
    const { store } = this.#engine;
    const session = await store.find(id);
    await store.move(session.id, to);
    this.#queue.reorder();
    return store.find(session.id);
  }

  async setLimit(bytesPerSecond: number, sessionId?: string): Promise<number> {
    if (!(Number.isSafeInteger(bytesPerSecond) && bytesPerSecond >= 0))
      throw failure("INVALID_ARGUMENT", `${bytesPerSecond} is not a number of bytes a second; 0 is unlimited`);
    if (sessionId === undefined) {
      this.#engine.limit.set(bytesPerSecond);
      return bytesPerSecond;
    }
    const { id, options } = await this.#engine.store.find(sessionId);
    await this.#engine.store.update(id, { options: { ...options, limit: bytesPerSecond } });
    this.#runner.setLimit(id, bytesPerSecond);
    return bytesPerSecond;
  }

  limit(): number {
    return this.#engine.limit.rate;
  }

  live(id: string): LiveProgress | undefined {
    return this.#runner.live(id);
  }

  rate(): number {
    return this.#engine.meter.rate();
  }

  // ── waiting ──

  async #take(urls: readonly UrlOrMirrors[], options: DownloadOptions, batchId?: string): Promise<readonly Accepted[]> {
    const absolute = {
      ...options,
      ...(options.directory !== undefined && { directory: resolve(options.directory) }),
      ...(options.output !== undefined && { output: resolve(options.output) }),
    };
    const requests = urls.map((url) => this.check(typeof url === "string" ? [url] : url, absolute));
    return this.accept(requests, batchId === undefined ? {} : { batchId });
  }

  /** @param seen - lists that are waited for already; for each that was asked for its own, if left out */
  #wait(accepted: readonly Accepted[], seen?: Set<string>): Promise<readonly DownloadResult[]> {
    return Promise.all(
      accepted.map(async ({ session, created }) => {
        const already = !created && session.status === "completed";
        return this.#withItems(resultOf(already ? session : await this.#ended(session.id), already), seen);
      }),
    );
  }

  /**
   * Waits for what the URL led to as well. It failed if one of them did: with the first one's error. Lists may lead to each
   * other: each is waited for once.
   */
  async #withItems(result: DownloadResult, seen = new Set<string>()): Promise<DownloadResult> {
    const expansion = (await this.#engine.store.get(result.sessionId))?.expansion;
    if (!expansion || seen.has(expansion.batchId)) return result;
    seen.add(expansion.batchId);
    const items: DownloadResult[] = [];
    let token: string | undefined;
    do {
      const page = await this.#engine.store.list(
        { batchId: expansion.batchId },
        { size: PAGE, ...(token !== undefined && { token }) },
      );
      const there = page.sessions.map((session) => ({ session, created: session.status !== "completed" }));
      items.push(...(await this.#wait(there, seen)));
      token = page.nextPageToken;
    } while (token !== undefined);
    const failed = items.find(({ status }) => status !== "completed");
    return { ...result, items, ...(failed?.error && { status: "failed", error: failed.error }) };
  }

  /** The session once it has ended. */
  async #ended(id: string): Promise<Session> {
    const waiter = this.#waiters.get(id) ?? Promise.withResolvers<Session>();
    this.#waiters.set(id, waiter);
    // Subscribed first, looked at second: nothing can happen in between unseen.
    const session = await this.#engine.store.get(id);
    if (session) this.#tell(session);
    // Forgotten before anybody waited for it: nothing will be heard of it.
    else {
      waiter.reject(failure("SESSION_NOT_FOUND", `there is no session ${id}`, { metadata: { session_id: id } }));
      this.#waiters.delete(id);
    }
    return waiter.promise;
  }

  #tell(session: Session): void {
    if (!hasEnded(session.status)) return;
    this.#waiters.get(session.id)?.resolve(session);
    this.#waiters.delete(session.id);
  }
}

const asList = (urls: UrlOrMirrors | readonly UrlOrMirrors[]): readonly UrlOrMirrors[] =>
  typeof urls === "string" ? [urls] : urls;

function resultOf(session: Session, already: boolean): DownloadResult {
  const { status, error, file } = session;
  if (status !== "completed" && status !== "failed" && status !== "cancelled")
    throw asDownloadError(new Error(`session ${session.id} has not ended: ${status}`));
  return {
    url: session.url,
    sessionId: session.id,
    status,
    ...(file && { path: file.path, bytes: file.size }),
    already,
    ...(status === "cancelled" && {
      error: failure("CANCELLED", `the download of ${redactUrl(session.url)} was called off`),
    }),
    ...(error &&
      status === "failed" && {
        error: failure(error.code, error.message, { ...(error.metadata && { metadata: error.metadata }) }),
      }),
  };
}
