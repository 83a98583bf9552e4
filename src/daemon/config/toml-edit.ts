/**
 * Changes single values of a TOML text and leaves comments, order and spacing of all the rest as they are. The result
 * is parsed again and compared with what was meant; an edit that went wrong is never handed out.
 */
import { isDeepStrictEqual } from "node:util";
import { parse } from "smol-toml";
import { failure } from "../core/errors.ts";
import { isTable } from "./kinds.ts";
import { type Statement, scanToml, startsWith } from "./toml-scan.ts";

type Table = Record<string, unknown>;

/**
 * Sets one value; `null` takes it out.
 *
 * @param text - a right TOML document
 * @throws DownloadError CONFIG_INVALID if TOML cannot hold the value, or the text's layout leaves no place for it
 */
export function editToml(text: string, path: readonly string[], value: unknown): string {
  const before = parse(text) as Table;
  const after = value === null ? without(before, path) : withValue(before, path, value);
  const edited = value === null ? remove(text, path) : insert(text, before, path, value);
  let result: unknown;
  try {
    result = parse(edited);
  } catch (error) {
    throw failure("CONFIG_INVALID", `${path.join(".")}: TOML cannot hold this value`, { cause: error });
  }
  if (!isDeepStrictEqual(pruned(result), pruned(after)))
    throw failure("CONFIG_INVALID", `${path.join(".")}: the file's layout leaves no place for it; edit it by hand`);
  return edited;
}

function insert(text: string, before: Table, path: readonly string[], value: unknown): string {
  const statements = scanToml(text);
  const pair = statements.find((statement) => statement.kind === "pair" && startsWith(path, statement.path));
  if (pair) {
    const inner = path.slice(pair.path.length);
    const whole = inner.length === 0 ? value : withValue(at(before, pair.path), inner, value);
    return text.slice(0, pair.valueStart) + tomlValue(whole) + text.slice(pair.valueEnd);
  }
  // Written out below, as [[path]] or [path.x]: that goes, and one value takes its place.
  if (statements.some((statement) => startsWith(statement.path, path)))
    return insert(remove(text, path), without(before, path), path, value);

  const parent = path.slice(0, -1);
  const sibling = statements.findLast(
    (statement) => statement.kind === "pair" && startsWith(statement.path, parent) && statement.depth <= parent.length,
  );
  const header = statements.findLast(
    (statement) => statement.kind === "table" && isDeepStrictEqual(statement.path, parent),
  );
  const anchor = sibling ?? header;
  if (anchor) return addLine(text, anchor.end, tomlKey(path.slice(sibling ? sibling.depth : parent.length)), value);
  if (parent.length === 0) return addLine(text, rootEnd(text, statements), tomlKey(path), value);
  const gap = text === "" || text.endsWith("\n\n") ? "" : text.endsWith("\n") ? "\n" : "\n\n";
  return `${text}${gap}[${tomlKey(parent)}]\n${tomlKey(path.slice(-1))} = ${tomlValue(value)}\n`;
}

/** Where root keys may go in a text that has none: before the first header and the comment that belongs to it. */
function rootEnd(text: string, statements: readonly Statement[]): number {
  const first = statements[0];
  if (!first) return text.length;
  const comment = /(?:^[ \t]*#[^\n]*\n)+$/m.exec(text.slice(0, first.start));
  return comment ? comment.index : first.start;
}

function addLine(text: string, offset: number, key: string, value: unknown): string {
  const head = text.slice(0, offset);
  const open = head === "" || head.endsWith("\n") ? "" : "\n";
  const tail = text.slice(offset);
  const gap = /^[ \t]*[#[]/.test(tail) && !head.trim() ? "\n" : "";
  return `${head}${open}${key} = ${tomlValue(value)}\n${gap}${tail}`;
}

function remove(text: string, path: readonly string[]): string {
  const statements = scanToml(text);
  const holder = statements.find(
    ({ kind, path: own }) => kind === "pair" && own.length < path.length && startsWith(path, own),
  );
  if (holder) {
    const whole = without(at(parse(text) as Table, holder.path), path.slice(holder.path.length));
    return text.slice(0, holder.valueStart) + tomlValue(whole) + text.slice(holder.valueEnd);
  }
  return statements
    .filter((statement) => startsWith(statement.path, path))
    .reduceRight((rest, statement) => rest.slice(0, statement.start) + rest.slice(statement.end), text);
}

/** The value at a path; an empty table if there is none. */
function at(table: Table, path: readonly string[]): Table {
  let value: unknown = table;
  for (const part of path) value = isTable(value) ? value[part] : undefined;
  return isTable(value) ? value : {};
}

function withValue(table: Table, path: readonly string[], value: unknown): Table {
  const [part = "", ...rest] = path;
  const inner = rest.length === 0 ? value : withValue(at(table, [part]), rest, value);
  return { ...table, [part]: inner };
}

function without(table: Table, path: readonly string[]): Table {
  const [part = "", ...rest] = path;
  if (!Object.hasOwn(table, part)) return table;
  if (rest.length > 0) return { ...table, [part]: without(at(table, [part]), rest) };
  return Object.fromEntries(Object.entries(table).filter(([key]) => key !== part));
}

/** The same without empty tables, which an edit may leave or not, and without the parser's own prototypes. */
function pruned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pruned);
  if (!isTable(value)) return value;
  const entries = Object.entries(value).map(([key, child]) => [key, pruned(child)] as const);
  return Object.fromEntries(entries.filter(([, child]) => !(isTable(child) && Object.keys(child).length === 0)));
}

function tomlKey(path: readonly string[]): string {
  return path.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : quote(part))).join(".");
}

/** JSON's escapes are TOML's; only DEL must be escaped besides. */
const quote = (text: string): string => JSON.stringify(text).replaceAll("\x7f", "\\u007f");

function tomlValue(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (isTable(value)) {
    const pairs = Object.entries(value).map(([key, child]) => `${tomlKey([key])} = ${tomlValue(child)}`);
    return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
  }
  return value instanceof Date ? value.toISOString() : String(value);
}
