/**
 * The composition root: the only place where all rooms meet. `start` puts the daemon together in the order of its lines;
 * disposal takes it apart in the reverse.
 */
import { join } from "node:path";
import { parseAddress } from "../shared/address.ts";
import { formatRate } from "../shared/format.ts";
import type { Paths } from "../shared/paths.ts";
import { VERSION } from "../shared/version.ts";
import { assembleEngine, assembleSessions, type Engine } from "./assemble.ts";
import { configChecks } from "./config/checks.ts";
import { initializeConfig } from "./config/initialize.ts";
import type { LoadedConfig, LoadOptions } from "./config/load.ts";
import { problemLine } from "./config/problems.ts";
import type { Config } from "./config/schema.ts";
import { diffConfig } from "./config/values.ts";
import { writeConfig } from "./config/write.ts";
import { asDownloadError } from "./core/errors.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { Check, CheckReport, ConfigChange, ConfigValue, DaemonControl, Logger } from "./core/ports.ts";
import { DownloadManager } from "./download/manager.ts";
import { networkCheck } from "./http/check.ts";
import { UndiciClient } from "./http/client.ts";
import { ListIntake } from "./intake/list-intake.ts";
import { osChecks } from "./os/checks.ts";
import { SystemClock } from "./os/clock.ts";
import { Log, writesTo } from "./os/log.ts";
import { MemoryProbe } from "./os/memory.ts";
import { SdNotify } from "./os/sd-notify.ts";
import { SingleInstance } from "./os/single-instance.ts";
import { answersItself } from "./rpc/self-check.ts";
import { RpcServer } from "./rpc/server.ts";
import { Scheduler } from "./schedule/scheduler.ts";
import { SessionManager } from "./session/session-manager.ts";
import { storeCheck } from "./store/check.ts";
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
  /** Resolves with the reason when a caller asks for the end. */
  readonly shutdownRequested: Promise<string>;
  readonly #init: DaemonInit;
  readonly #log: Log;
  readonly #clock = new SystemClock();
  readonly #stack = new AsyncDisposableStack();
  readonly #requestShutdown: (reason: string) => void;
  readonly #appliers: ((config: Config) => void | Promise<void>)[] = [];
  #loaded: LoadedConfig;
  #startedAt = 0;
  #addresses: readonly string[] = [];
  #engine: Engine | undefined;

  constructor(init: DaemonInit) {
    this.#init = init;
    this.#loaded = init.loaded;
    this.#log = makeLog(init);
    this.logger = this.#log.logger;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.shutdownRequested = promise;
    this.#requestShutdown = resolve;
  }

  /** @throws DownloadError ALREADY_RUNNING, STORE_CORRUPT, STORE_NEWER, CONFIG_INVALID, FileSystemError */
  async start(): Promise<void> {
    const { paths, problems } = this.#loaded;
    const { logger } = this;
    const clock = this.#clock;
    const config = () => this.#loaded.config;
    for (const problem of problems) logger.warn({ key: problem.key }, problemLine(problem));
    this.#stack.use(this.#log);
    const instance = this.#stack.use(new SingleInstance({ stateDir: paths.stateDir }));
    await instance.start();
    const notify = this.#stack.use(
      new SdNotify({ clock, logger: logger.child({ room: "os" }), env: this.#environment() }),
    );

    const init = { config, paths, clock, logger };
    const kept = assembleSessions(init);
    const keyValue = kept.parts.store;
    await this.#stack.use(kept.store).start();
    const sessions = this.#stack.use(new SessionManager(kept.parts));
    await sessions.start();
    const engine = assembleEngine(init, { sessionManager: sessions });
    for (const part of engine.owned) this.#stack.use(part);
    this.#engine = engine;
    const downloads = this.#stack.use(new DownloadManager(engine.parts, engine.settings));
    const lists = this.#stack.use(
      new ListIntake({
        intake: downloads,
        sessions,
        store: keyValue,
        directory: () => config().download_dir,
        clock,
        logger: logger.child({ room: "intake" }),
      }),
    );
    await lists.start();
    await downloads.start();
    const watchFolders = this.#stack.use(
      new WatchFolders({
        lists,
        store: keyValue,
        options: {
          folders: config().watch.folders,
          directory: () => config().download_dir,
          settleMs: config().watch.settle * 1000,
        },
        clock,
        logger: logger.child({ room: "watch" }),
      }),
    );
    await watchFolders.start();
    const scheduler = this.#stack.use(new Scheduler({ clock, logger: logger.child({ room: "schedule" }) }));
    if (config().sessions.cleanup !== "")
      scheduler.calendar("session clean-up", config().sessions.cleanup, async () => void (await sessions.cleanUp()));
    await scheduler.start();

    const { daemon } = config();
    const rpc = this.#stack.use(
      new RpcServer(
        {
          downloads,
          sessions,
          transfer: sessions,
          events: sessions.log,
          lists,
          watchFolders,
          control: this,
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
    await rpc.start();
    this.#addresses = rpc.addresses();
    this.#startedAt = clock.now();

    this.#appliers.push(
      (now) => this.#log.setLevel(now.log.level),
      () => downloads.settingsChanged(),
      (now) => sessions.setRetention({ keepDays: now.sessions.keep_days, keepCount: now.sessions.keep_count }),
    );
    const status = (): string => {
      const { active, queued, waiting } = sessions.counts();
      return `${active} active, ${queued} queued, ${waiting} waiting, ${formatRate(downloads.rate())}`;
    };
    await notify.ready(status());
    notify.startWatchdog(() => answersItself(this.#addresses[0] ?? ""));
    this.#stack.use(repeat(clock, STATUS_MS, () => void notify.status(status())));
    logger.info({ version: VERSION, pid: process.pid, addresses: this.#addresses }, "ready");
  }

  /** Ends everything within `daemon.shutdown_timeout`; what is unfinished then goes on at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    const seconds = this.#loaded.config.daemon.shutdown_timeout;
    const late = this.#clock.timer(seconds * 1000, () => {
      this.logger.warn(
        { seconds },
        "not everything ended in time; leaving now, unfinished downloads go on at the next start",
      );
      process.exit(0);
    });
    await this.#stack.disposeAsync();
    late();
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
    await writeConfig(this.#loaded.file, values, this.#init.options);
    return this.reload();
  }

  async reload(): Promise<readonly ConfigChange[]> {
    const before = this.#loaded;
    try {
      this.#loaded = await this.#init.load();
    } catch (error) {
      const { message } = asDownloadError(error);
      this.logger.error({}, `the configuration was not reloaded, the former one stays in force: ${message}`);
      throw error;
    }
    const changes = diffConfig(before.config, this.#loaded.config);
    for (const { key, before: old, after, needsRestart } of changes)
      this.logger.info({ key }, `${key}: ${old} → ${after}${needsRestart ? " (after a restart)" : ""}`);
    if (changes.length === 0) this.logger.info({}, "configuration reloaded, nothing changed");
    for (const apply of this.#appliers) await apply(this.#loaded.config);
    return changes;
  }

  async check(ids: readonly string[], signal: AbortSignal): Promise<readonly CheckReport[]> {
    const { checks } = await initializeConfig({
      ...this.#init.options,
      path: this.#loaded.file,
      checks: (config, paths) => roomChecks(config, paths, this.#engine),
      ids,
      signal,
    });
    return checks;
  }

  shutdown(reason: string): void {
    this.#requestShutdown(reason);
  }

  #environment(): NonNullable<LoadOptions["env"]> {
    return this.#init.options.env ?? process.env;
  }
}

/** The checks of every room. Those of a running engine use its parts; without one they make their own. */
export function roomChecks(config: Config, paths: Paths, engine?: Engine): readonly Check[] {
  const clock = new SystemClock();
  const client = engine?.client ?? new UndiciClient({ userAgent: config.http.user_agent }, { clock, logger: silent });
  return [
    ...configChecks(config, paths),
    storeCheck(join(paths.stateDir, "db")),
    ...osChecks({
      memory: engine?.memory ?? new MemoryProbe(),
      memoryLimitPercent: () => config.memory_limit_percent,
      profileDir: () => config.download_dir,
    }),
    networkCheck(client, config.checks.url || undefined),
  ];
}

const nothing = (): void => undefined;
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };

/** A log file that was asked for, or the one that snatchctl redirected the standard error to, is rotated by us. */
function makeLog({ loaded: { config, paths }, options }: DaemonInit): Log {
  const { level, format, file, max_size, keep } = config.log;
  const path = file || (writesTo(paths.logFile) ? paths.logFile : "");
  return new Log({
    level,
    format,
    ...(path !== "" && { file: { path, maxSize: max_size, keep } }),
    env: options.env ?? process.env,
  });
}

/** Calls back again and again until it is disposed of. */
function repeat(clock: SystemClock, ms: number, callback: () => void): Disposable {
  let cancel: () => void;
  const arm = (): void => {
    cancel = clock.timer(ms, () => {
      callback();
      arm();
    });
  };
  arm();
  return { [Symbol.dispose]: () => cancel() };
}
