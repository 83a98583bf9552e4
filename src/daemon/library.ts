/**
 * The engine as a library: the spec's DownloadManager and SessionManager, put together from a configuration. Whoever
 * brings a part along keeps it: only what was made here is started and ended here.
 */

import { assembleEngine, assembleSessions, type BroughtParts, type Engine } from "./assemble.ts";
import { asThumbnails } from "./assemble-cache.ts";
import { type ConfigReport, type InitializeOptions, initializeConfig as initialize } from "./config/initialize.ts";
import type { ConfigInput } from "./config/schema.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { PeerSharing } from "./core/peers.ts";
import type { HttpClient } from "./core/ports/http.ts";
import type { KeyValue } from "./core/ports/key-value.ts";
import type { DownloadOptions, Session } from "./core/session.ts";
import {
  type BatchResult,
  type DownloadResult,
  DownloadManager as Manager,
  type UrlOrMirrors,
} from "./download/manager.ts";
import { DownloadCache } from "./library-cache.ts";
import { type HomeOptions, libraryInit } from "./library-init.ts";
import { SHARING_OFF } from "./p2p/sharing-off.ts";
import { roomChecks } from "./room-checks.ts";
import { SessionManager as Sessions } from "./session/session-manager.ts";

/** What may be brought along. */
export interface LibraryOptions extends Partial<BroughtParts>, HomeOptions {}

/**
 * The spec's `initialize_config_async`: loads the configuration and runs the checks of every room side by side. What is
 * wrong is part of the report.
 *
 * @throws DownloadError INVALID_ARGUMENT if `ids` names a check that does not exist
 */
export function initializeConfig(options: InitializeOptions = {}): Promise<ConfigReport> {
  return initialize({ checks: roomChecks, ...options });
}

/**
 * Downloads without a daemon. State is kept in the same place and form, so one process at a time may use it: a second
 * one, or one beside a running daemon, gets ALREADY_RUNNING unless it has a `home` of its own.
 */
export class DownloadManager extends Manager {
  /** The sessions behind it: to look at, and to subscribe to. */
  readonly sessions: Sessions;
  /** What is shared, and how others are found. */
  readonly sharing: PeerSharing;
  readonly #engine: Engine;
  readonly #ownSessions: Sessions | undefined;
  readonly #ownCache: DownloadCache | undefined;
  #started: Promise<void> | undefined;

  /**
   * @param config - keys as in the configuration file; what is absent has its default
   * @param options - parts that are brought along
   * @throws DownloadError CONFIG_INVALID
   */
  constructor(config: ConfigInput = {}, options: LibraryOptions = {}) {
    const sessionManager = options.sessionManager ?? new SessionManager(config, options);
    const store = sessionManager instanceof SessionManager ? sessionManager.keyValue : undefined;
    const init = libraryInit(config, options);
    // As the daemon has it, in the same database; its client is the engine's, which is made below.
    const shared = sessionManager instanceof SessionManager && init.config().cache.enabled ? sessionManager : undefined;
    const httpClient: HttpClient = { request: (request, signal) => engine.client.request(request, signal) };
    const ownCache =
      shared && !options.downloadCache
        ? new DownloadCache(config, { ...options, sessionManager: shared, httpClient })
        : undefined;
    const downloadCache = options.downloadCache ?? ownCache;
    const brought = {
      ...options,
      sessionManager,
      ...(downloadCache && { downloadCache }),
      ...(ownCache && { thumbnails: asThumbnails(ownCache) }),
    };
    const engine = assembleEngine(init, brought, store);
    super(engine.parts, engine.settings);
    this.#engine = engine;
    this.sharing = engine.peers ?? SHARING_OFF;
    this.#ownCache = ownCache;
    this.#ownSessions = sessionManager === options.sessionManager ? undefined : sessionManager;
    this.sessions = sessionManager;
  }

  /** Starts at the first call; further calls wait for it. @throws DownloadError ALREADY_RUNNING, STORE_CORRUPT … */
  override start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  override async download(
    urls: UrlOrMirrors | readonly UrlOrMirrors[],
    options?: DownloadOptions,
  ): Promise<readonly DownloadResult[]> {
    await this.start();
    return super.download(urls, options);
  }

  override async enqueue(
    urls: UrlOrMirrors | readonly UrlOrMirrors[],
    options?: DownloadOptions,
  ): Promise<readonly Session[]> {
    await this.start();
    return super.enqueue(urls, options);
  }

  override async batchDownload(urls: readonly UrlOrMirrors[], options?: DownloadOptions): Promise<BatchResult> {
    await this.start();
    return super.batchDownload(urls, options);
  }

  override async resumeDownload(sessionId: string): Promise<DownloadResult> {
    await this.start();
    return super.resumeDownload(sessionId);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started) return;
    await this.#started.catch(() => undefined);
    await super[Symbol.asyncDispose]();
    await this.#ownCache?.[Symbol.asyncDispose]();
    for (const part of this.#engine.owned) await part[Symbol.asyncDispose]();
    await this.#ownSessions?.[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    await this.sessions.start();
    await this.#ownCache?.start();
    await this.#engine.start();
    await super.start();
    await this.#engine.peers?.start();
  }
}

/** Sessions without a daemon, in the same place and form as the daemon keeps them. */
export class SessionManager extends Sessions {
  /** The database behind it. */
  readonly keyValue: KeyValue;
  readonly #store: Startable;
  #started: Promise<void> | undefined;

  /** @throws DownloadError CONFIG_INVALID */
  constructor(config: ConfigInput = {}, options: HomeOptions = {}) {
    const { store, parts } = assembleSessions(libraryInit(config, options));
    super(parts);
    this.keyValue = parts.store;
    this.#store = store;
  }

  override start(): Promise<void> {
    this.#started ??= this.#store.start().then(() => super.start());
    return this.#started;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started) return;
    await this.#started.catch(() => undefined);
    await super[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
  }
}
