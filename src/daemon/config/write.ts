/**
 * `config set`: changes keys in the file and leaves the rest of it, comments and order included, as it is. The new text
 * has to load without errors before it takes the old one's place, in one step (write, sync, rename, sync of the folder).
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { locate } from "../../shared/paths.ts";
import { asDownloadError } from "../core/errors.ts";
import { FIELDS, findField, isNamedEntry, isSection } from "./fields.ts";
import { isJsonFile, parseConfig } from "./file.ts";
import { isTable } from "./kinds.ts";
import { composeConfig, type LoadOptions } from "./load.ts";
import { type ConfigProblem, invalidConfig, unknownKey } from "./problems.ts";
import { editToml } from "./toml-edit.ts";

/** Writes to a file wait for one another, or one change would be lost. */
const turns = new Map<string, Promise<void>>();

/**
 * Writes values into a configuration file, all or none; makes the file if there is none.
 *
 * @param file - TOML, or JSON if its name ends in .json
 * @param values - by key with dots: "log.level". `null` takes a key, a section or a named entry out
 * @param options - as for loading, to check the result with
 * @throws DownloadError CONFIG_INVALID with all problems; FileSystemError if the file cannot be written
 */
export async function writeConfig(
  file: string,
  values: Readonly<Record<string, unknown>>,
  options: LoadOptions = {},
): Promise<void> {
  const before = turns.get(file) ?? Promise.resolve();
  const turn = before.then(() => change(file, values, options));
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  turns.set(file, settled);
  await settled;
  if (turns.get(file) === settled) turns.delete(file);
  await turn;
}

async function change(file: string, values: Readonly<Record<string, unknown>>, options: LoadOptions): Promise<void> {
  const changes = Object.entries(values).flatMap(([key, value]) => changesOf(key.split("."), value));
  const unknown = changes.flatMap(({ path, value }): ConfigProblem[] => {
    const key = path.join(".");
    if (findField(FIELDS, path)) return [];
    const section = isSection(FIELDS, path);
    if (section && (value === null || isNamedEntry(FIELDS, path))) return [];
    const message = section ? "is a section: name a key in it" : unknownKey(key, FIELDS);
    return [{ severity: "error", key, message, where: "" }];
  });
  if (unknown.length > 0) throw invalidConfig(unknown);
  try {
    const target = await realpath(file).catch(() => file);
    const old = await readFile(target, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    const edited = edit(old, target, changes);
    const content = parseConfig(edited, file);
    // Only the file's own layer: what the environment overrides must be right as well.
    const env = Object.fromEntries(
      Object.entries(options.env ?? process.env).filter(
        ([name]) => !name.startsWith("SNATCH_") || name === "SNATCH_HOME",
      ),
    );
    const { problems } = await composeConfig(file, content, locate(options.home, env), { home: options.home, env });
    if (problems.some((problem) => problem.severity === "error")) throw invalidConfig(problems);
    if (edited !== old) await replace(target, edited);
  } catch (error) {
    throw asDownloadError(error);
  }
}

interface Change {
  readonly path: readonly string[];
  readonly value: unknown;
}

/** A table for a section means its keys one by one; the others of the section stay. */
function changesOf(path: readonly string[], value: unknown): Change[] {
  if (findField(FIELDS, path) || !isSection(FIELDS, path) || !isTable(value)) return [{ path, value }];
  const inner = Object.entries(value).flatMap(([key, child]) => changesOf([...path, key], child));
  return inner.length === 0 ? [{ path, value }] : inner;
}

function edit(text: string, file: string, changes: readonly Change[]): string {
  const { problems, table } = parseConfig(text.trim() === "" && isJsonFile(file) ? "{}" : text, file);
  if (problems.length > 0) throw invalidConfig(problems);
  if (!isJsonFile(file)) return changes.reduce((current, { path, value }) => editToml(current, path, value), text);
  for (const { path, value } of changes) setJson(table as Record<string, unknown>, path, value);
  return `${JSON.stringify(table, null, 2)}\n`;
}

function setJson(table: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [part = "", ...rest] = path;
  if (rest.length === 0 && value === null) delete table[part];
  else if (rest.length === 0) table[part] = value;
  else {
    const child = table[part];
    if (!isTable(child) && value === null) return;
    const next = isTable(child) ? child : {};
    table[part] = next;
    setJson(next, rest, value);
  }
}

async function replace(file: string, text: string): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // A plugin's options may hold a password. What its owner has made readable stays so.
  const mode = ((await stat(file).catch(() => undefined))?.mode ?? 0o600) & 0o777;
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.chmod(mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
