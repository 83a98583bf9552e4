/** The configuration file: found, read and parsed, with the line of each key. TOML, or JSON if its name ends in .json. */
import { access, readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { parse, TomlError } from "smol-toml";
import { isTable } from "./kinds.ts";
import { type ConfigProblem, show } from "./problems.ts";
import { lineOf, scanToml } from "./toml-scan.ts";

/** A file that was read. */
export interface ConfigFile {
  readonly table: Readonly<Record<string, unknown>>;
  readonly problems: readonly ConfigProblem[];
  /** "file" or "file:line" of a path. */
  detail(path: readonly string[]): string;
}

/** True if a file is read as JSON. */
export const isJsonFile = (file: string): boolean => extname(file).toLowerCase() === ".json";

/** The file of the default place: config.toml, or config.json if only that is there. */
export async function defaultFile(toml: string): Promise<string> {
  const json = join(dirname(toml), "config.json");
  const exists = (file: string) =>
    access(file).then(
      () => true,
      () => false,
    );
  return !(await exists(toml)) && (await exists(json)) ? json : toml;
}

/** Reads and parses; never throws. @param required - its absence is a problem */
export async function readConfigFile(file: string, required: boolean): Promise<ConfigFile> {
  let content: Uint8Array;
  try {
    content = await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !required) return { table: {}, problems: [], detail: () => file };
    return broken(file, code === "ENOENT" ? "does not exist" : `cannot be read: ${message}`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return broken(file, "is not UTF-8 text");
  }
  return parseConfig(text, file);
}

/** Parses a file's text; never throws. */
export function parseConfig(text: string, file: string): ConfigFile {
  return isJsonFile(file) ? parseJson(text, file) : parseToml(text, file);
}

function parseToml(text: string, file: string): ConfigFile {
  try {
    const table = parse(text) as Record<string, unknown>;
    const statements = scanToml(text);
    const detail = (path: readonly string[]) => {
      const line = lineOf(statements, path);
      return line === undefined ? file : `${file}:${line}`;
    };
    return { table, problems: [], detail };
  } catch (error) {
    if (!(error instanceof TomlError)) return broken(file, `is not TOML: ${(error as Error).message}`);
    const message = /^Invalid TOML document: (.*)$/m.exec(error.message)?.[1] ?? error.message;
    return broken(
      `${file}:${error.line}:${error.column}`,
      `is not TOML: ${message}, line ${error.line}, column ${error.column}`,
    );
  }
}

function parseJson(text: string, file: string): ConfigFile {
  try {
    const table: unknown = JSON.parse(text);
    if (!isTable(table)) return broken(file, `is not a JSON object: ${show(table)}`);
    return { table, problems: [], detail: () => file };
  } catch (error) {
    return broken(file, `is not JSON: ${(error as Error).message.replaceAll("\n", " ")}`);
  }
}

function broken(where: string, message: string): ConfigFile {
  const problem: ConfigProblem = { severity: "error", key: "", message: `the configuration file ${message}`, where };
  return { table: {}, problems: [problem], detail: () => where };
}
