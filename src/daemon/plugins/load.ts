/**
 * Loads a plugin's module and looks at what it exports. Whatever a plugin does while it is loaded, an answer comes within the
 * time limit; only an endless loop, which holds up everything in the process, cannot be stopped.
 */
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { failure } from "../core/errors.ts";
import type { OptionsSchema, Plugin, RawOptions, SchemaIssue, SchemaResult } from "../core/plugin.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { FoundPlugin } from "./find.ts";

/** Milliseconds that a plugin may take to be loaded, and again to be set up. */
const TIME_LIMIT_MS = 10_000;

/** A plugin that is ready to be set up. */
export interface LoadedPlugin {
  readonly plugin: Plugin<unknown>;
  /** Its options, as its schema gave them back. */
  readonly options: unknown;
}

/** @throws DownloadError PLUGIN_FAILED */
export async function loadPlugin(found: FoundPlugin, clock: Clock): Promise<LoadedPlugin> {
  const { name, file, settings } = found;
  if (found.problem !== undefined) throw pluginFailed(found, found.problem);
  letPluginsImportSnatch();
  const module: { readonly default?: unknown } = await inTime(
    found,
    "be loaded",
    clock,
    () => import(pathToFileURL(file).href),
  );
  const plugin = module.default;
  if (!isPlugin(plugin))
    throw pluginFailed(found, "it has no default export with a name and a setup function (see docs/PLUGINS.md)");
  if (plugin.name !== name)
    throw pluginFailed(found, `it calls itself ${JSON.stringify(plugin.name)}: a plugin bears the name of its file`);
  const options = await inTime(found, "look at its options", clock, () => optionsOf(found, plugin, settings.config));
  return { plugin, options };
}

/** Runs a part of a plugin. @throws DownloadError PLUGIN_FAILED if it throws or takes too long */
export async function inTime<T>(
  found: FoundPlugin,
  what: string,
  clock: Clock,
  run: () => T | Promise<T>,
  limitMs: number = TIME_LIMIT_MS,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.timer(limitMs, () =>
    reject(pluginFailed(found, `it took longer than ${limitMs / 1000} s to ${what}`)),
  );
  // A timer of the clock does not keep the process alive, and a plugin that waits for nothing does not either.
  const alive = setInterval(() => undefined, limitMs);
  try {
    return await Promise.race([(async () => run())(), late]);
  } catch (error) {
    throw (error as { code?: unknown } | null)?.code === "PLUGIN_FAILED"
      ? error
      : pluginFailed(found, textOf(error), error);
  } finally {
    cancel();
    clearInterval(alive);
  }
}

function pluginFailed({ name, file }: FoundPlugin, why: string, cause?: unknown) {
  return failure("PLUGIN_FAILED", `the plugin ${name} (${file}) is left out: ${why}`, {
    cause,
    metadata: { plugin: name },
  });
}

function isPlugin(value: unknown): value is Plugin<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { name, setup, config } = value as Record<string, unknown>;
  const hasConfig = config === undefined || typeof config === "function" || isSchema(config);
  return typeof name === "string" && typeof setup === "function" && hasConfig;
}

function isSchema(value: unknown): value is OptionsSchema<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null && "~standard" in value;
}

async function optionsOf(found: FoundPlugin, { config }: Plugin<unknown>, raw: RawOptions): Promise<unknown> {
  // A copy: what a plugin does to its options does nothing to the configuration.
  const value = structuredClone({ ...raw });
  if (config === undefined) return value;
  if (!isSchema(config)) return config(value);
  const result: SchemaResult<unknown> = await config["~standard"].validate(value);
  if (result.issues) throw pluginFailed(found, result.issues.map((issue) => describe(found.name, issue)).join("; "));
  return result.value;
}

function describe(name: string, { message, path = [] }: SchemaIssue): string {
  const parts = path.map((part) => String(typeof part === "object" ? part.key : part));
  return `${["plugins", name, "config", ...parts].join(".")}: ${message}`;
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `it threw ${typeof thrown === "string" ? thrown : typeof thrown}`;
  // Node does not say where in the file; its own check does.
  const hint = thrown instanceof SyntaxError ? " (node --check shows where)" : "";
  return `${thrown.name}: ${thrown.message}${hint}`;
}

let canImportSnatch = false;

/** `import … from "snatch"` in a plugin means this Snatch, unless the plugin has brought one of its own. */
function letPluginsImportSnatch(): void {
  if (canImportSnatch) return;
  canImportSnatch = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier !== "snatch") return next(specifier, context);
      try {
        return next(specifier, context);
      } catch {
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}
