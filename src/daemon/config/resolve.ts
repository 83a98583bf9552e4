/**
 * From layers to a configuration: every entry is validated where it stands, so that a problem names its own file and
 * line, variable or flag; then the entries are laid over each other and the schema fills in the rest.
 */
import { homedir } from "node:os";
import { dirname } from "node:path";
import type * as z from "zod";
import type { Environment, Paths } from "../../shared/paths.ts";
import type { ConfigValue } from "../core/ports/house.ts";
import { type Field, fieldsOf, findField } from "./fields.ts";
import { isTable, type Place } from "./kinds.ts";
import type { Entry } from "./layers.ts";
import { type ConfigProblem, reason, show } from "./problems.ts";
import { type Config, configSchema } from "./schema.ts";
import { configValues } from "./values.ts";

/** What came out of the layers. */
export interface Resolved {
  readonly config: Config;
  readonly values: readonly ConfigValue[];
  readonly problems: readonly ConfigProblem[];
}

/** Where relative paths start: at the file's folder for its own, at the current folder for all others. */
export function places(file: string, env: Environment, current: string = process.cwd()) {
  const home = env["HOME"] || homedir();
  return { file: { base: dirname(file), home }, here: { base: current, home } };
}

/** Lays entries over the defaults; later ones win. What is wrong is left out of the configuration and reported. */
export function resolveEntries(
  entries: readonly Entry[],
  paths: Paths,
  where: { readonly file: Place; readonly here: Place },
): Resolved {
  const schema = configSchema(paths, where.here);
  // Two schemas: relative paths start at different folders in them.
  const fromFile = fieldsOf(configSchema(paths, where.file));
  const fromHere = fieldsOf(schema);
  const problems: ConfigProblem[] = [];
  const winners = new Map<string, Entry>();
  const merged: Record<string, unknown> = Object.create(null);

  for (const entry of entries) {
    const key = entry.path.join(".");
    let value: unknown = {};
    if (entry.field) {
      const field = findField(entry.origin === "file" ? fromFile : fromHere, entry.path);
      const checked = check(field ?? entry.field, entry);
      problems.push(...checked.problems);
      if (checked.problems.length > 0) continue;
      value = checked.value;
      winners.set(key, entry);
    }
    put(merged, entry.path, value);
  }

  const parsed = schema.safeParse(merged);
  if (parsed.success) return { config: parsed.data, values: configValues(parsed.data, winners), problems };
  // Each value is right, so what is left concerns named entries: keys that are missing, names that are no names.
  for (const issue of parsed.error.issues) {
    const key = issue.path.join(".");
    const [table = "", name = ""] = issue.path.map(String);
    if (!problems.some((problem) => problem.key === key)) {
      const where = entries.find(({ path }) => path[0] === table && path[1] === name)?.detail ?? "";
      problems.push({ severity: "error", key, message: reason(issue, merged, ""), where });
    }
    if (isTable(merged[table])) delete merged[table][name];
  }
  const config = schema.parse(merged);
  return { config, values: configValues(config, winners), problems };
}

function check(field: Field, entry: Entry): { value: unknown; problems: ConfigProblem[] } {
  const key = entry.path.join(".");
  const problem = (message: string, below: readonly PropertyKey[] = []): ConfigProblem => ({
    severity: "error",
    key: below.reduce<string>(
      (path, part) => (typeof part === "number" ? `${path}[${part}]` : `${path}.${String(part)}`),
      key,
    ),
    message,
    where: entry.detail,
  });
  // A default would hide that null was written.
  if (entry.value === undefined || entry.value === null)
    return { value: undefined, problems: [problem(`expected a value, not ${show(entry.value)}`)] };
  const parsed: z.ZodSafeParseResult<unknown> = field.schema.safeParse(entry.value);
  if (parsed.success) return { value: parsed.data, problems: [] };
  const problems = parsed.error.issues.map((issue) => problem(reason(issue, entry.value, field.unit), issue.path));
  return { value: undefined, problems };
}

function put(table: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let inner = table;
  for (const part of path.slice(0, -1)) {
    const child = inner[part];
    const next: Record<string, unknown> = isTable(child) ? child : Object.create(null);
    inner[part] = next;
    inner = next;
  }
  const last = path.at(-1) ?? "";
  if (!(isTable(value) && isTable(inner[last]))) inner[last] = value;
  else Object.assign(inner[last] as object, value);
}
