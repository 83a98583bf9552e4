/** Which plugins there are: those in the plugin folder, and those that the configuration names by their file. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, parse } from "node:path";
import { distrust, distrustInside } from "./trust.ts";

/** One plugin's section of the configuration. */
export interface PluginSettings {
  readonly enabled: boolean;
  readonly priority: number;
  /** Absolute path of its file or folder, if it is not in the plugin folder. */
  readonly module?: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Where plugins are, and what is set for them. */
export interface PluginsConfig {
  readonly folder: string;
  readonly plugins: Readonly<Record<string, PluginSettings>>;
}

/** A plugin, or what was found in its place. */
export interface FoundPlugin {
  readonly name: string;
  /** The file to load. */
  readonly file: string;
  readonly settings: PluginSettings;
  /** Why it is not loaded. */
  readonly problem?: string;
}

/** What was found. */
export interface Finding {
  readonly plugins: readonly FoundPlugin[];
  /** Names in the configuration, enabled and nowhere to be found. */
  readonly missing: readonly string[];
  /** Why nothing in the plugin folder is loaded. */
  readonly folderProblem?: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const FILE = /(?<!\.d)\.(js|mjs|ts|mts)$/;
const INDEX_FILES = ["index.js", "index.mjs", "index.ts", "index.mts"];
const DEFAULTS: PluginSettings = { enabled: true, priority: 10, config: {} };

/** Looks for plugins, and whether they may be trusted. Loads nothing. */
export async function findPlugins({ folder, plugins }: PluginsConfig): Promise<Finding> {
  const named = Object.entries(plugins).flatMap(([name, settings]) =>
    settings.module === undefined ? [] : [{ name, path: settings.module }],
  );
  const { places, folderProblem } = await inFolder(folder);
  const found: FoundPlugin[] = [];
  for (const { name, path } of [...named, ...places]) {
    const settings = Object.hasOwn(plugins, name) ? (plugins[name] ?? DEFAULTS) : DEFAULTS;
    const twin = found.find((other) => other.name === name);
    if (twin) {
      const problem = `there is another plugin of this name, ${twin.file}, which counts: rename one of them`;
      found.push({ name, file: path, settings, problem });
    } else found.push(settings.enabled ? await examine(name, path, settings) : { name, file: path, settings });
  }
  const missing = Object.entries(plugins).flatMap(([name, { enabled }]) =>
    enabled && !found.some((plugin) => plugin.name === name) ? [name] : [],
  );
  return { plugins: found, missing, ...(folderProblem !== undefined && { folderProblem }) };
}

/** The entries of the plugin folder that look like plugins. */
async function inFolder(
  folder: string,
): Promise<{ places: readonly { name: string; path: string }[]; folderProblem?: string }> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
    const places = entries
      .filter(({ name }) => !/^[._]/.test(name) && name !== "node_modules")
      .filter((entry) => entry.isDirectory() || FILE.test(entry.name))
      .map((entry) => ({
        name: entry.isDirectory() ? entry.name : parse(entry.name).name,
        path: join(folder, entry.name),
      }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    // An empty folder that others may write to is not worth a word.
    const folderProblem = places.length === 0 ? undefined : await distrust(folder);
    return folderProblem === undefined ? { places } : { places: [], folderProblem };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? { places: [] } : { places: [], folderProblem: `${folder} cannot be read: ${message}` };
  }
}

async function examine(name: string, path: string, settings: PluginSettings): Promise<FoundPlugin> {
  const plugin = { name, file: path, settings };
  if (!NAME.test(name))
    return { ...plugin, problem: "a plugin's name has letters, digits, - and _, and begins with a letter or digit" };
  try {
    const isFolder = (await stat(path)).isDirectory();
    const file = isFolder ? await indexOf(path) : path;
    if (file === undefined) return { ...plugin, problem: `the folder has no ${INDEX_FILES.join(", ")}` };
    const problem = (await distrust(file)) ?? (isFolder ? await distrustInside(path) : undefined);
    return { ...plugin, file, ...(problem !== undefined && { problem }) };
  } catch (error) {
    return { ...plugin, problem: (error as Error).message };
  }
}

async function indexOf(folder: string): Promise<string | undefined> {
  const names = new Set(await readdir(folder));
  const name = INDEX_FILES.find((candidate) => names.has(candidate));
  return name === undefined ? undefined : join(folder, name);
}
