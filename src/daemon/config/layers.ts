/**
 * The sources of values, each turned into the same thing: entries of a key's path, a raw value and where it came from.
 * Order is precedence: defaults, file, environment, command line.
 */
import type { Environment } from "../../shared/paths.ts";
import { type Field, findField, isNamedEntry, isSection, WILDCARD } from "./fields.ts";
import { isTable } from "./kinds.ts";
import { nearest } from "./nearest.ts";
import { type ConfigProblem, didYouMean, show, unknownKey } from "./problems.ts";

/** A value on its way to a key. */
export interface Entry {
  readonly path: readonly string[];
  /** Absent for a named entry without keys of its own: `[plugins.foo]` and nothing below. */
  readonly field?: Field;
  readonly value: unknown;
  readonly origin: "file" | "environment" | "flag";
  /** File and line, variable or flag. */
  readonly detail: string;
}

/** What a source gave. */
export interface Layer {
  readonly entries: readonly Entry[];
  readonly problems: readonly ConfigProblem[];
}

/**
 * The entries of a nested table.
 *
 * @param detail - says where a path stands
 */
export function tableLayer(
  fields: readonly Field[],
  table: Readonly<Record<string, unknown>>,
  detail: (path: readonly string[]) => string,
  origin: Entry["origin"] = "file",
): Layer {
  const entries: Entry[] = [];
  const problems: ConfigProblem[] = [];
  const wrong = (path: readonly string[], message: string) =>
    problems.push({ severity: "error", key: path.join("."), message, where: detail(path) });

  const walk = (value: unknown, path: readonly string[]): void => {
    if (value === undefined) return;
    const field = findField(fields, path);
    if (field) entries.push({ path, field, value, origin, detail: detail(path) });
    else if (!isSection(fields, path)) wrong(path, unknownKey(path.join("."), fields));
    else if (!isTable(value)) wrong(path, `expected a table, not ${show(value)}`);
    else {
      if (isNamedEntry(fields, path)) entries.push({ path, value: {}, origin, detail: detail(path) });
      for (const [key, child] of Object.entries(value)) walk(child, [...path, key]);
    }
  };
  for (const [key, value] of Object.entries(table)) walk(value, [key]);
  return { entries, problems };
}

/** Variables that begin with SNATCH_ and are no keys. */
const RESERVED = ["SNATCH_HOME", "SNATCH_ADDRESS", "SNATCH_TOKEN_FILE"];

/** The entries of an environment. An empty variable counts as absent; an unknown one is worth a warning. */
export function environmentLayer(fields: readonly Field[], env: Environment): Layer {
  const entries: Entry[] = [];
  const problems: ConfigProblem[] = [];
  for (const variable of Object.keys(env).sort()) {
    const text = env[variable];
    if (!variable.startsWith("SNATCH_") || RESERVED.includes(variable) || text === undefined || text === "") continue;
    const path = variable.slice("SNATCH_".length).toLowerCase().split("__");
    const field = findField(fields, path);
    if (field) entries.push({ path, field, value: readText(field, text), origin: "environment", detail: variable });
    else {
      const known = [...fields.map((known) => known.environment), ...RESERVED];
      const message = `the variable ${variable} is not known and was ignored${didYouMean(nearest(variable, known))}`;
      problems.push({ severity: "warning", key: "", message, where: "" });
    }
  }
  return { entries, problems };
}

/**
 * The entries of a command line: `--flag=value`, `--flag value`, `--switch`, `--no-switch`. A list's flag may be given
 * several times.
 */
export function flagLayer(fields: readonly Field[], argv: readonly string[]): Layer {
  const entries = new Map<string, Entry>();
  const problems: ConfigProblem[] = [];
  const wrong = (message: string, key = "") => problems.push({ severity: "error", key, message, where: "" });

  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? "";
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
    if (!match) {
      wrong(`${show(argument)} is not an option`);
      continue;
    }
    const [, written = "", attached] = match;
    const { path, field, negated } = findFlag(fields, written);
    if (!field) {
      const known = fields.map((known) => known.flag);
      wrong(`there is no option --${written}${didYouMean(nearest(`--${written}`, known))}`);
      continue;
    }
    const flag = `--${written}`;
    const next = argv[index + 1];
    let text = attached;
    if (text === undefined && field.kind === "boolean") {
      if (!negated && next !== undefined && BOOLEANS.has(next)) index++;
      text = !negated && next !== undefined && BOOLEANS.has(next) ? next : "true";
    } else if (text === undefined) {
      if (next === undefined || (next.startsWith("--") && next.length > 2)) {
        wrong("needs a value", flag);
        continue;
      }
      text = next;
      index++;
    }
    let value = readText(field, text);
    if (negated && typeof value === "boolean") value = !value;
    const key = path.join(".");
    const earlier = entries.get(key)?.value;
    if (Array.isArray(earlier) && Array.isArray(value)) value = [...earlier, ...value];
    entries.set(key, { path, field, value, origin: "flag", detail: flag });
  }
  return { entries: [...entries.values()], problems };
}

/** The key of a flag's name; dashes and underscores are the same in it, except in the names of plugins and presets. */
function findFlag(fields: readonly Field[], written: string) {
  const look = (name: string) => {
    const parts = name.split(".");
    const field = fields.find(
      ({ path }) =>
        path.length === parts.length &&
        path.every((part, index) => part === WILDCARD || part === parts[index]?.replaceAll("-", "_")),
    );
    const path = parts.map((part, index) => (field?.path[index] === WILDCARD ? part : part.replaceAll("-", "_")));
    return { path, field, negated: false };
  };
  const found = look(written);
  const negative = /^(.*\.)?no-([^.]+)$/.exec(written);
  if (found.field || !negative) return found;
  const positive = look(`${negative[1] ?? ""}${negative[2]}`);
  return positive.field?.kind === "boolean" ? { ...positive, negated: true } : found;
}

const BOOLEANS = new Map([
  ["true", true],
  ["yes", true],
  ["on", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["off", false],
  ["0", false],
]);

/** Reads text for a key. What does not fit stays text: the schema then says what it expected. */
function readText(field: Field, text: string): unknown {
  const trimmed = text.trim();
  switch (field.kind) {
    case "number":
      return /^[+-]?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : trimmed;
    case "boolean":
      return BOOLEANS.get(trimmed.toLowerCase()) ?? text;
    case "list":
      if (trimmed.startsWith("[")) return readJson(trimmed) ?? text;
      return trimmed
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    case "table":
      return readJson(trimmed) ?? text;
    case "text":
      return text;
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
