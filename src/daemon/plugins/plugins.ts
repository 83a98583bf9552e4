/**
 * The plugins of a daemon: loaded and set up when it starts, stopped when it ends. One that is broken is left out, with a
 * word in the log and in doctor's report; nothing else suffers from it.
 */
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import type { AudioFilterRegistry } from "../core/audio-work.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { PeerSharing } from "../core/peers.ts";
import type { HookRegistry, PluginApi } from "../core/plugin.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { type FoundPlugin, findPlugins, type PluginsConfig } from "./find.ts";
import { inTime, loadPlugin } from "./load.ts";

/** Milliseconds that a plugin has to stop. */
const STOP_MS = 3000;

/** How a plugin is. */
export interface PluginState {
  readonly name: string;
  /** Empty if there is none. */
  readonly file: string;
  readonly status: "loaded" | "disabled" | "missing" | "failed";
  /** Why it is not loaded. */
  readonly problem?: string;
}

/** What plugins work with. */
export interface PluginsInit {
  readonly config: PluginsConfig;
  readonly hooks: HookRegistry;
  readonly filters: AudioFilterRegistry;
  readonly peers: Pick<PeerSharing, "registerDiscoveryMethod">;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Running {
  readonly found: FoundPlugin;
  readonly stops: (() => void | Promise<void>)[];
  /** Takes out what it has registered. */
  readonly leaves: (() => void)[];
  hookSets: number;
  ended: boolean;
}

/** Loads, and stops. */
export class Plugins implements Startable {
  readonly #init: PluginsInit;
  readonly #running: Running[] = [];
  #states: readonly PluginState[] = [];

  constructor(init: PluginsInit) {
    this.#init = init;
  }

  /** How the plugins are since the start. */
  get states(): readonly PluginState[] {
    return this.#states;
  }

  /** Loads all of them. Never rejects because of a plugin. */
  async start(): Promise<void> {
    const { config, logger } = this.#init;
    this.#states = await eachPlugin(config, (found) => this.#setUp(found));
    for (const { name, file, status, problem } of this.#states) {
      if (status === "loaded") logger.info({ plugin: name, file }, `plugin ${name} is loaded`);
      else if (problem !== undefined) logger.error({ plugin: name, code: "PLUGIN_FAILED" }, problem);
    }
    if (this.#running.length > 0) process.on("uncaughtException", this.#onUncaught);
  }

  /** Stops them, the last one first. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { clock, logger } = this.#init;
    for (const running of this.#running.toReversed()) {
      end(running);
      for (const stop of running.stops.toReversed()) {
        await inTime(running.found, "stop", clock, stop, STOP_MS).catch((error: unknown) =>
          logger.warn(
            { plugin: running.found.name },
            `plugin ${running.found.name}, onStop: ${asDownloadError(error).message}`,
          ),
        );
      }
    }
    process.off("uncaughtException", this.#onUncaught);
    this.#running.length = 0;
  }

  async #setUp(found: FoundPlugin): Promise<void> {
    const { clock } = this.#init;
    const { plugin, options } = await loadPlugin(found, clock);
    const running: Running = { found, stops: [], leaves: [], hookSets: 0, ended: false };
    try {
      await inTime(found, "be set up", clock, () => plugin.setup(this.#apiOf(running, options)));
      this.#running.push(running);
    } catch (error) {
      // Whatever it still does later, it does in vain.
      end(running);
      throw error;
    }
  }

  #apiOf(running: Running, options: unknown): PluginApi<unknown> {
    const { hooks: registry, filters, peers, logger } = this.#init;
    const { name, settings } = running.found;
    const assertAlive = (): void => {
      if (running.ended) throw new Error(`the plugin ${name} was stopped`);
    };
    return {
      name,
      config: options,
      logger: logger.child({ plugin: name }),
      registerHooks(hooks) {
        assertAlive();
        if (typeof hooks !== "object" || hooks === null) throw new TypeError("registerHooks wants an object of hooks");
        // Each call adds hooks of its own, while a name stands for one set.
        const own = running.hookSets++ === 0 ? name : `${name}#${running.hookSets}`;
        const leave = registry.registerHooks(own, hooks, { priority: settings.priority });
        running.leaves.push(leave);
        return leave;
      },
      async registerFilter(filter, definition) {
        assertAlive();
        if (typeof definition?.filter !== "string")
          throw new TypeError("registerFilter wants a name and { filter: string }");
        await filters.registerFilter(filter, definition);
      },
      registerDiscoveryMethod(discovery) {
        assertAlive();
        if (typeof discovery?.name !== "string" || typeof discovery.discoverPeers !== "function")
          throw new TypeError("registerDiscoveryMethod wants { name, discoverPeers(fileHash, signal) }");
        const leave = peers.registerDiscoveryMethod(discovery);
        running.leaves.push(leave);
        return leave;
      },
      onStop(callback) {
        assertAlive();
        if (typeof callback !== "function") throw new TypeError("onStop wants a function");
        running.stops.push(callback);
      },
    };
  }

  /** What a plugin throws in a timer or a promise that nobody waits for would end the process: it is named instead. */
  readonly #onUncaught = (error: unknown): void => {
    const stack = error instanceof Error ? (error.stack ?? "") : "";
    const culprit = this.#running.find(({ found }) => stack.includes(originOf(found)));
    if (culprit) {
      const { name } = culprit.found;
      this.#init.logger.error({ plugin: name, err: error }, `plugin ${name} threw where nobody could catch it`);
      return;
    }
    // As Node does it without anybody who listens.
    process.stderr.write(`Uncaught ${stack || String(error)}\n`);
    process.exit(1);
  };
}

/** Loads plugins, sets none of them up, and says how they are. */
export function examinePlugins(config: PluginsConfig, clock: Clock): Promise<readonly PluginState[]> {
  return eachPlugin(config, async (found) => void (await loadPlugin(found, clock)));
}

async function eachPlugin(
  config: PluginsConfig,
  use: (found: FoundPlugin) => Promise<void>,
): Promise<readonly PluginState[]> {
  const { plugins, missing, folderProblem } = await findPlugins(config);
  const states = await Promise.all(
    plugins.map(async (found): Promise<PluginState> => {
      const { name, file, settings } = found;
      if (!settings.enabled) return { name, file, status: "disabled" };
      try {
        await use(found);
        return { name, file, status: "loaded" };
      } catch (error) {
        return { name, file, status: "failed", problem: asDownloadError(error).message };
      }
    }),
  );
  for (const name of missing)
    states.push({ name, file: "", status: "missing", problem: `the plugin ${name} is not in ${config.folder}` });
  if (folderProblem !== undefined)
    states.push({
      name: "",
      file: config.folder,
      status: "failed",
      problem: `no plugin is loaded from there: ${folderProblem}`,
    });
  return states;
}

function end(running: Running): void {
  running.ended = true;
  for (const leave of running.leaves) leave();
}

/** What a stack trace shows of a plugin: its file, or its folder where it has one of its own. */
function originOf({ file }: FoundPlugin): string {
  const isIndex = /\/index\.m?[jt]s$/.test(file);
  return isIndex ? `${pathToFileURL(dirname(file)).href}/` : `${pathToFileURL(file).href}:`;
}
