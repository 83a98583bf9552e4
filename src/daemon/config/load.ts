/**
 * The configuration in force: defaults, then the file, then the environment, then the command line; each value with
 * where it came from.
 */
import { resolve } from "node:path";
import { type Environment, locate, type Paths } from "../../shared/paths.ts";
import type { ConfigValue } from "../core/ports/house.ts";
import { FIELDS } from "./fields.ts";
import { type ConfigFile, defaultFile, readConfigFile } from "./file.ts";
import { environmentLayer, flagLayer, tableLayer } from "./layers.ts";
import { type ConfigProblem, invalidConfig } from "./problems.ts";
import { places, resolveEntries } from "./resolve.ts";
import { checkRules } from "./rules.ts";
import type { Config, ConfigInput } from "./schema.ts";

/** Where to look. */
export interface LoadOptions {
  /** As SNATCH_HOME, which it overrides. */
  readonly home?: string | undefined;
  /** Default: the environment of the process. */
  readonly env?: Environment | undefined;
  /** Flags of keys only, such as `--log.level=debug`; the program's own options are taken out before. Default: none. */
  readonly argv?: readonly string[] | undefined;
}

/** A configuration with its origins. */
export interface LoadedConfig {
  readonly config: Config;
  /** Places, with the file and the folders that the configuration names. */
  readonly paths: Paths;
  /** In the order of docs/CONFIGURATION.md. */
  readonly values: readonly ConfigValue[];
  /** Absolute; it need not exist if it is the default one. */
  readonly file: string;
  /** Warnings; an error is thrown. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * Loads the configuration.
 *
 * @param path - the file; only that of the default place, which is the default, need not exist
 * @throws DownloadError CONFIG_INVALID, with all problems, one a line
 */
export async function loadConfig(path?: string, options: LoadOptions = {}): Promise<Config> {
  return (await loadConfigWithOrigins(path, options)).config;
}

/** The same, with the origin of each value. @throws DownloadError CONFIG_INVALID, with all problems, one a line */
export async function loadConfigWithOrigins(path?: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const loaded = await examineConfig(path, options);
  if (loaded.problems.some((problem) => problem.severity === "error")) throw invalidConfig(loaded.problems);
  return loaded;
}

/** The same without throwing: the problems tell, and what is wrong has its default in the configuration. */
export async function examineConfig(path: string | undefined, options: LoadOptions): Promise<LoadedConfig> {
  const located = locate(options.home, options.env ?? process.env);
  const usual = await defaultFile(located.configFile);
  const file = path === undefined ? usual : resolve(path);
  return composeConfig(file, await readConfigFile(file, file !== usual), located, options);
}

/**
 * A configuration from an object alone: for a program that uses the engine as a library and brings its settings along.
 * Relative paths start at the current folder; nothing is read, neither file nor environment.
 *
 * @throws DownloadError CONFIG_INVALID, with all problems, one a line
 */
export function configOf(input: ConfigInput, paths: Paths): Config {
  const layer = tableLayer(FIELDS, input, () => "");
  const { here } = places("", process.env);
  const { config, problems } = resolveEntries(layer.entries, paths, { file: here, here });
  const all = [...layer.problems, ...problems];
  if (all.length > 0) throw invalidConfig(all);
  return config;
}

/** A file's content with the other layers over it. */
export async function composeConfig(
  file: string,
  content: ConfigFile,
  located: Paths,
  options: LoadOptions,
): Promise<LoadedConfig> {
  const env = options.env ?? process.env;
  const layers = [
    tableLayer(FIELDS, content.table, content.detail),
    environmentLayer(FIELDS, env),
    flagLayer(FIELDS, options.argv ?? []),
  ];
  const entries = layers.flatMap((layer) => layer.entries);
  const { config, values, problems } = resolveEntries(entries, located, places(file, env));
  return {
    config,
    paths: {
      ...located,
      configFile: file,
      downloadDir: config.download_dir,
      tokenFile: config.daemon.token_file,
      pluginDir: config.plugins_dir,
    },
    values,
    file,
    problems: [
      ...content.problems,
      ...layers.flatMap((layer) => layer.problems),
      ...problems,
      ...(await checkRules(config, values)),
    ],
  };
}
