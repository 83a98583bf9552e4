/**
 * The composition root: the only place where all rooms meet. `start` puts the daemon together in the order of its lines;
 * disposal takes it apart in the reverse.
 */
import { parseAddress } from "../shared/address.ts";
import { formatRate } from "../shared/format.ts";
import { VERSION } from "../shared/version.ts";
import {
  assembleEngine,
  assembleHooks,
  assembleLog,
  assemblePlugins,
  assembleSessions,
  type Engine,
} from "./assemble.ts";
import { assembleCaches, type Caches, scheduleCaches } from "./assemble-cache.ts";
import { namedShares } from "./assemble-peers.ts";
import { initializeConfig } from "./config/initialize.ts";
import type { LoadedConfig, LoadOptions } from "./config/load.ts";
import { problemLine } from "./config/problems.ts";
import type { Config } from "./config/schema.ts";
import { diffConfig } from "./config/values.ts";
import { writeConfig } from "./config/write.ts";
import { asDownloadError, failure } from "./core/errors.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { CheckReport, ConfigChange, ConfigValue, DaemonControl } from "./core/ports/house.ts";
import type { Logger } from "./core/ports/runtime.ts";
import { safeName } from "./disk/filename.ts";
import { DownloadManager } from "./download/manager.ts";
import { Verifier } from "./download/verifier.ts";
import { Feeds } from "./feeds/feeds.ts";
import { ListIntake } from "./intake/list-intake.ts";
import { SystemClock } from "./os/clock.ts";
import { heap } from "./os/heap.ts";
import type { Log } from "./os/log.ts";
import { repeat } from "./os/repeat.ts";
import { SdNotify } from "./os/sd-notify.ts";
import { SingleInstance } from "./os/single-instance.ts";
import { SHARING_OFF } from "./p2p/sharing-off.ts";
import type { Plugins } from "./plugins/plugins.ts";
import { readFeed } from "./resolve/feed-read.ts";
import { FormatLookup } from "./resolve/format-lookup.ts";
import { readMetalink } from "./resolve/metalink.ts";
import { roomChecks } from "./room-checks.ts";
import { answersItself } from "./rpc/self-check.ts";
import { RpcServer } from "./rpc/server.ts";
import { Scheduler } from "./schedule/scheduler.ts";
import { SessionManager } from "./session/session-manager.ts";
import { WatchFolders } from "./watch/watch-folders.ts";

/** Milliseconds between two updates of what `systemctl status` shows. */
const STATUS_MS = 10_000;

/** What a daemon is made from. */
export interface DaemonInit {
  readonly loaded: LoadedConfig;
  /** Loads the configuration anew. */
  readonly load: () => Promise<LoadedConfig>;
  /** How it is loaded. */
  readonly options: LoadOptions;
}

/** The daemon, and what its RPCs may do to it. */
export class Daemon implements Startable, DaemonControl {
  readonly version = VERSION;
  readonly logger: Logger;
  /** Resolves when a signal or a caller asks for the end. */
  readonly shutdownRequested: Promise<void>;
  readonly #init: DaemonInit;
  readonly #log: Log;
  readonly #clock = new SystemClock();
  readonly #stack = new AsyncDisposableStack();
  readonly #requestShutdown: () => void;
  readonly #appliers: ((config: Config) => void | Promise<void>)[] = [];
  #loaded: LoadedConfig;
  #startedAt = 0;
  #addresses: readonly string[] = [];
  #engine: Engine | undefined;
  #caches: Caches | undefined;
  #plugins: Plugins | undefined;
  #notify: SdNotify | undefined;
  #status: () => string = () => "";
  /** Reloads wait for the start and for one another. */
  #turn: Promise<unknown> = Promise.resolve();
  #ending = false;
  #leaving: NodeJS.Timeout | undefined;

  constructor(init: DaemonInit) {
    this.#init = init;
    this.#loaded = init.loaded;
    this.#log = assembleLog(init.loaded, init.options.env ?? process.env);
    this.logger = this.#log.logger;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.shutdownRequested = promise;
    this.#requestShutdown = resolve;
  }

  /**
   * @throws DownloadError ALREADY_RUNNING, STORE_CORRUPT, STORE_NEWER, CONFIG_INVALID, FileSystemError; SHUTTING_DOWN if it
   *   was told to end meanwhile
   */
  start(): Promise<void> {
    const started = this.#start();
    this.#turn = started.catch(nothing);
    return started;
  }

  async #start(): Promise<void> {
    const { paths, problems } = this.#loaded;
    const { logger } = this;
    const clock = this.#clock;
    const config = () => this.#loaded.config;
    for (const problem of problems) logger.warn({ key: problem.key }, problemLine(problem));
    this.#stack.use(this.#log);
    await this.#begin(new SingleInstance({ stateDir: paths.stateDir }));
    const notify = this.#stack.use(
      new SdNotify({ clock, logger: logger.child({ room: "os" }), env: this.#environment() }),
    );
    this.#notify = notify;

    const init = { config, paths, clock, logger, heap };
    const kept = assembleSessions(init);
    const keyValue = kept.parts.store;
    await this.#begin(kept.store);
    const sessions = await this.#begin(new SessionManager(kept.parts));
    // Made below, before anything is downloaded.
    const guarded = () => watchFolders.guarded();
    const caches = assembleCaches({ ...init, busy: () => sessions.counts().active > 0 }, keyValue, sessions.hot);
    this.#caches = caches;
    for (const part of caches.parts) await this.#begin(part);
    const engine = assembleEngine(
      { ...init, guarded, env: this.#environment() },
      {
        sessionManager: sessions,
        ...(caches.kept && { downloadCache: caches.kept.fragments, vault: caches.kept.vault }),
      },
      keyValue,
    );
    for (const part of engine.owned) this.#stack.use(part);
    this.#engine = engine;
    const downloads = new DownloadManager(engine.parts, engine.settings);
    // Begun before the downloads, so that they end behind them and hear of everything.
    const hooked = { sessions, store: keyValue, client: engine.client, env: this.#environment() };
    for (const part of assembleHooks(init, hooked)) await this.#begin(part);
    this.#plugins = await this.#begin(assemblePlugins(init, downloads, engine.audio, engine.peers ?? SHARING_OFF));
    this.#stack.use(downloads);
    const lists = await this.#begin(
      new ListIntake({
        intake: downloads,
        sessions,
        store: keyValue,
        directory: () => config().download_dir,
        metalink: (document) => readMetalink(document, undefined, safeName),
        clock,
        logger: logger.child({ room: "intake" }),
      }),
    );
    const watchFolders = new WatchFolders({
      lists,
      store: keyValue,
      options: {
        folders: config().watch.folders,
        directory: () => config().download_dir,
        settleMs: config().watch.settle * 1000,
      },
      clock,
      logger: logger.child({ room: "watch" }),
    });
    await engine.start();
    this.#refuseIfEnding();
    await downloads.start();
    await engine.peers?.start();
    await this.#begin(watchFolders);
    const scheduler = new Scheduler({ clock, logger: logger.child({ room: "schedule" }) });
    if (config().sessions.cleanup !== "")
      scheduler.calendar("session clean-up", config().sessions.cleanup, async () => {
        await sessions.cleanUp();
        await engine.peers?.prune(() => namedShares(sessions, sessions.receipts));
      });
    scheduleCaches(scheduler, config(), caches.control, sessions);
    await this.#begin(scheduler);
    const feeds = await this.#begin(
      new Feeds({
        store: keyValue,
        intake: downloads,
        sessions,
        files: engine.parts.files,
        client: engine.client,
        reader: { read: readFeed },
        clock,
        logger: logger.child({ room: "feeds" }),
      }),
    );

    const { daemon } = config();
    const rpc = await this.#begin(
      new RpcServer(
        {
          downloads,
          sessions,
          transfer: sessions,
          receipts: sessions.receipts,
          verifier: new Verifier({
            ...engine.parts,
            receipts: sessions.receipts,
            busy: () => sessions.counts().active > 0,
            timeoutMs: () => config().timeout * 1000,
          }),
          formats: new FormatLookup({
            ...engine.parts,
            presets: () => config().formats,
            ...(engine.parts.media && { tool: engine.parts.media }),
          }),
          events: sessions.log,
          lists,
          watchFolders,
          cache: caches.control,
          feeds,
          sharing: engine.peers ?? SHARING_OFF,
          audio: engine.audio,
          control: this,
          memory: engine.watch,
          clock,
          logger: logger.child({ room: "rpc" }),
        },
        {
          socketPath: paths.socket,
          listen: daemon.listen.map(parseAddress),
          tokenFile: daemon.token_file,
          ...(daemon.tls_cert !== "" && { tlsCert: daemon.tls_cert }),
          ...(daemon.tls_key !== "" && { tlsKey: daemon.tls_key }),
          allowedDirs: () => [config().download_dir, ...config().allowed_dirs],
          environment: this.#environment(),
        },
      ),
    );
    this.#refuseIfEnding();
    this.#addresses = rpc.addresses();
    this.#startedAt = clock.now();

    this.#appliers.push(
      (now) => this.#log.setLevel(now.log.level),
      () => downloads.settingsChanged(),
      () => engine.peers?.settingsChanged(),
      (now) => sessions.setRetention({ keepDays: now.sessions.keep_days, keepCount: now.sessions.keep_count }),
    );
    this.#status = () => {
      const { active, queued, waiting } = sessions.counts();
      return `${active} active, ${queued} queued, ${waiting} waiting, ${formatRate(downloads.rate())}`;
    };
    void notify.ready(this.#status());
    notify.startWatchdog(() => answersItself(this.#addresses[0] ?? ""));
    this.#stack.use(repeat(clock, STATUS_MS, () => void notify.status(this.#status())));
    // What the start left lying is given back too.
    engine.watch.wake();
    logger.info({ version: VERSION, pid: process.pid, addresses: this.#addresses }, "ready");
  }

  /** True from the first word of the end on. */
  get ending(): boolean {
    return this.#ending;
  }

  /** Ends everything within `daemon.shutdown_timeout`; what is unfinished then goes on at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    this.#leaveInTime();
    await this.#stack.disposeAsync();
    clearTimeout(this.#leaving);
  }

  /** Owns a part from now on, also if its start fails half-way, and starts it. */
  async #begin<T extends Startable>(part: T): Promise<T> {
    this.#refuseIfEnding();
    this.#stack.use(part);
    await part.start();
    return part;
  }

  #refuseIfEnding(): void {
    if (this.#ending) throw failure("SHUTTING_DOWN", "the daemon is ending");
  }

  /** From the first word of the end on, whatever hangs then: a start, a download, a disk. */
  #leaveInTime(): void {
    const seconds = this.#loaded.config.daemon.shutdown_timeout;
    // Keeps the process alive, unlike the clock's: with nothing else to wait for, Node would end in its own way (code 13).
    this.#leaving ??= setTimeout(() => {
      this.logger.warn(
        { seconds },
        "not everything ended in time; leaving now, unfinished downloads go on at the next start",
      );
      process.exit();
    }, seconds * 1000);
  }

  // ── DaemonControl ──

  get startedAt(): number {
    return this.#startedAt;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get paths(): DaemonControl["paths"] {
    const { file, paths, config } = this.#loaded;
    return {
      configFile: file,
      stateDir: paths.stateDir,
      logFile: this.#log.path ?? "",
      downloadDir: config.download_dir,
    };
  }

  config(): readonly ConfigValue[] {
    return this.#loaded.values;
  }

  async setConfig(values: Readonly<Record<string, unknown>>): Promise<readonly ConfigChange[]> {
    this.#refuseIfEnding();
    await writeConfig(this.#loaded.file, values, this.#init.options);
    return this.reload();
  }

  reload(): Promise<readonly ConfigChange[]> {
    const reloaded = this.#turn.then(() => this.#reload());
    this.#turn = reloaded.catch(nothing);
    return reloaded;
  }

  /** Systemd is told on both sides, whatever comes of it: `systemctl reload` waits for the second word. */
  async #reload(): Promise<readonly ConfigChange[]> {
    this.#refuseIfEnding();
    void this.#notify?.reloading();
    try {
      return await this.#loadAnew();
    } finally {
      if (!this.#ending) void this.#notify?.ready(this.#status());
    }
  }

  async #loadAnew(): Promise<readonly ConfigChange[]> {
    const before = this.#loaded;
    let loaded: LoadedConfig;
    try {
      loaded = await this.#init.load();
    } catch (error) {
      const { message } = asDownloadError(error);
      this.logger.error({}, `the configuration was not reloaded, the former one stays in force: ${message}`);
      throw error;
    }
    this.#refuseIfEnding();
    this.#loaded = loaded;
    const changes = diffConfig(before.config, loaded.config);
    for (const { key, before: old, after, needsRestart } of changes)
      this.logger.info({ key }, `${key}: ${old} → ${after}${needsRestart ? " (after a restart)" : ""}`);
    if (changes.length === 0) this.logger.info({}, "configuration reloaded, nothing changed");
    for (const apply of this.#appliers) await apply(loaded.config);
    return changes;
  }

  async check(ids: readonly string[], signal: AbortSignal): Promise<readonly CheckReport[]> {
    const { checks } = await initializeConfig({
      ...this.#init.options,
      path: this.#loaded.file,
      checks: (config, paths) =>
        roomChecks(config, paths, { engine: this.#engine, plugins: this.#plugins, caches: this.#caches }),
      ids,
      signal,
    });
    return checks;
  }

  shutdown(reason: string): void {
    this.logger.info({ reason }, this.#ending ? "ending already" : "ending");
    this.#ending = true;
    this.#leaveInTime();
    void this.#notify?.stopping();
    this.#requestShutdown();
  }

  #environment(): NonNullable<LoadOptions["env"]> {
    return this.#init.options.env ?? process.env;
  }
}

const nothing = (): void => undefined;
