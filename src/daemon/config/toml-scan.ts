/**
 * Where things stand in a TOML text: the statements (TOML 1.0 "Key/Value Pair", "Table", "Array of Tables") with their
 * paths and offsets. The text has been parsed before and is known to be right; this only finds lines, for messages and
 * for edits that leave everything else as it is.
 */
import { parse } from "smol-toml";

/** A statement of the text. Offsets are in UTF-16 units. */
export interface Statement {
  readonly kind: "pair" | "table" | "array";
  /** From the root, the table's own path included. */
  readonly path: readonly string[];
  /** For a pair: how many parts of the path its table gives. */
  readonly depth: number;
  /** Counts from 1. */
  readonly line: number;
  /** Beginning of the first line. */
  readonly start: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** Behind the line break of the last line. */
  readonly end: number;
}

/** The statements, in order. */
export function scanToml(text: string): Statement[] {
  const statements: Statement[] = [];
  let table: readonly string[] = [];
  let position = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  let line = 1;
  while (position < text.length) {
    const start = position;
    const content = skip(text, position, /[ \t]*/y);
    const first = text[content];
    let end = content;
    if (first === "[") {
      const kind = text[content + 1] === "[" ? "array" : "table";
      const key = readKey(text, content + (kind === "array" ? 2 : 1));
      table = key.path;
      end = skip(text, key.end, /[^\n]*/y);
      statements.push({ kind, path: table, depth: 0, line, start, valueStart: end, valueEnd: end, end: end + 1 });
    } else if (first !== undefined && first !== "\n" && first !== "\r" && first !== "#") {
      const key = readKey(text, content);
      const valueStart = skip(text, key.end + 1, /[ \t]*/y);
      const valueEnd = skipValue(text, valueStart);
      end = skip(text, valueEnd, /[^\n]*/y);
      const path = [...table, ...key.path];
      statements.push({ kind: "pair", path, depth: table.length, line, start, valueStart, valueEnd, end: end + 1 });
    } else end = skip(text, content, /[^\n]*/y);
    position = end + 1;
    line += text.slice(start, position).split("\n").length - 1;
  }
  return statements;
}

/** The line of the first statement at or below a path; else of the one that holds it. Undefined if there is none. */
export function lineOf(statements: readonly Statement[], path: readonly string[]): number | undefined {
  const below = statements.find((statement) => startsWith(statement.path, path));
  return (below ?? statements.findLast((statement) => startsWith(path, statement.path)))?.line;
}

/** Does a path begin with another? */
export function startsWith(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((part, index) => path[index] === part);
}

function skip(text: string, position: number, pattern: RegExp): number {
  pattern.lastIndex = position;
  return pattern.test(text) ? pattern.lastIndex : position;
}

/** A dotted key; `end` is at what follows it, blanks skipped. */
function readKey(text: string, from: number): { path: string[]; end: number } {
  const path: string[] = [];
  let position = from;
  for (;;) {
    position = skip(text, position, /[ \t]*/y);
    const end = skip(text, position, /"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+/y);
    const raw = text.slice(position, end);
    path.push(/^["']/.test(raw) ? String(parse(`key = ${raw}`)["key"]) : raw);
    position = skip(text, end, /[ \t]*/y);
    if (text[position] !== ".") return { path, end: position };
    position++;
  }
}

/** One piece of a value: a string of any kind, a comment, a bracket, or characters without a meaning here. */
const PIECE =
  /"""(?:[^\\]|\\.)*?"{3,5}|'''.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[[\]{}]|\r?\n|[ \t]+|[^"'#[\]{}\s]+/sy;

/** The offset behind a value. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  let position = from;
  let end = from;
  while (position < text.length) {
    PIECE.lastIndex = position;
    const piece = PIECE.exec(text)?.[0] ?? text.slice(position, position + 1);
    if (depth === 0 && (piece.startsWith("#") || piece.endsWith("\n"))) break;
    if (piece === "[" || piece === "{") depth++;
    if (piece === "]" || piece === "}") depth--;
    position += piece.length;
    if (!/^\s/.test(piece)) end = position;
  }
  return end;
}
