/**
 * Where things are, for both programs.
 *
 * `SNATCH_HOME=dir` (or `--home dir`) puts everything under one folder. Otherwise systemd's folders are used where the
 * service manager made them (STATE_DIRECTORY and friends, systemd.exec(5)), else those of the XDG base directory
 * specification.
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** All absolute. Only configuration can move the download and watch folders further. */
export interface Paths {
  readonly configFile: string;
  readonly stateDir: string;
  readonly cacheDir: string;
  /** The Unix socket that the daemon listens on by default. */
  readonly socket: string;
  readonly downloadDir: string;
  readonly watchDir: string;
  readonly logFile: string;
  /** The bearer token for TCP. */
  readonly tokenFile: string;
  readonly pluginDir: string;
}

/** An environment, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** systemd names one folder or several, separated by colons; the first is ours. */
const first = (value: string | undefined): string | undefined => value?.split(":")[0] || undefined;

/** An XDG folder counts only if it is absolute (XDG base directory specification, "Basics"). */
const absolute = (value: string | undefined): string | undefined => (value?.startsWith("/") ? value : undefined);

/**
 * @param home - overrides SNATCH_HOME
 * @param env - the environment to read
 */
export function locate(home: string | undefined, env: Environment = process.env): Paths {
  const root = home ?? (env["SNATCH_HOME"] || undefined);
  if (root !== undefined) {
    const base = resolve(root);
    return paths(base, join(base, "state"), join(base, "cache"), base, join(base, "downloads"), join(base, "watch"));
  }
  const user = env["HOME"] || homedir();
  const state =
    first(env["STATE_DIRECTORY"]) ?? join(absolute(env["XDG_STATE_HOME"]) ?? join(user, ".local/state"), "snatch");
  const cache =
    first(env["CACHE_DIRECTORY"]) ?? join(absolute(env["XDG_CACHE_HOME"]) ?? join(user, ".cache"), "snatch");
  const config =
    first(env["CONFIGURATION_DIRECTORY"]) ?? join(absolute(env["XDG_CONFIG_HOME"]) ?? join(user, ".config"), "snatch");
  const xdgRuntime = absolute(env["XDG_RUNTIME_DIR"]);
  const runtime = first(env["RUNTIME_DIRECTORY"]) ?? (xdgRuntime ? join(xdgRuntime, "snatch") : state);
  // A service has no Downloads folder of a person: its files go under its own state folder.
  const downloads = env["STATE_DIRECTORY"]
    ? join(state, "downloads")
    : (absolute(env["XDG_DOWNLOAD_DIR"]) ?? join(user, "Downloads"));
  // Never inside of the download folder: a file that is fetched must not come to lie where lists are taken from.
  const watch = env["STATE_DIRECTORY"] ? join(state, "watch") : join(user, "snatch-watch");
  return paths(config, state, cache, runtime, downloads, watch);
}

function paths(config: string, state: string, cache: string, runtime: string, downloads: string, watch: string): Paths {
  return {
    configFile: join(config, "config.toml"),
    stateDir: state,
    cacheDir: cache,
    socket: join(runtime, "snatchd.sock"),
    downloadDir: downloads,
    watchDir: watch,
    logFile: join(state, "snatchd.log"),
    tokenFile: join(state, "token"),
    pluginDir: join(config, "plugins"),
  };
}
