/** The house itself: what examines it, and what steers the daemon. */

/** What a check found. */
export interface CheckOutcome {
  readonly status: "ok" | "warning" | "failed" | "skipped";
  readonly message: string;
  /** What to do. */
  readonly fix?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** Something that can be examined: each room exports its own; doctor and `initializeConfig` gather them. */
export interface Check {
  /** Stable, snake_case. */
  readonly id: string;
  readonly title: string;
  /** Must not throw and must heed the signal. */
  run(signal: AbortSignal): Promise<CheckOutcome>;
}

/** A check's outcome with its name. */
export interface CheckReport extends CheckOutcome {
  readonly id: string;
  readonly title: string;
}

/** One change that a reload made. Values as JSON; secrets as "***". */
export interface ConfigChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  readonly needsRestart: boolean;
}

/** One value of the configuration in force. */
export interface ConfigValue {
  readonly key: string;
  readonly json: string;
  readonly origin: "default" | "file" | "environment" | "flag";
  readonly originDetail: string;
  readonly needsRestart: boolean;
}

/** What the RPC room may do to the daemon. */
export interface DaemonControl {
  readonly version: string;
  readonly startedAt: number;
  readonly addresses: readonly string[];
  readonly paths: {
    readonly configFile: string;
    readonly stateDir: string;
    readonly logFile: string;
    readonly downloadDir: string;
  };
  config(): readonly ConfigValue[];
  /** All or none. `null` takes a key out of the file. @throws DownloadError CONFIG_INVALID */
  setConfig(values: Readonly<Record<string, unknown>>): Promise<readonly ConfigChange[]>;
  /** @throws DownloadError CONFIG_INVALID; the configuration in force then stays */
  reload(): Promise<readonly ConfigChange[]>;
  check(ids: readonly string[], signal: AbortSignal): Promise<readonly CheckReport[]>;
  /** Begins the end and returns at once. */
  shutdown(reason: string): void;
}
