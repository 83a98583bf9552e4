/**
 * Filters of sessions as text: the part of AIP-160 that the API documents. `field = value` and `field != value`, joined by
 * AND; a value with spaces or other signs stands in double quotes, with \" and \\ inside.
 */
import { failure } from "../core/errors.ts";
import type { SessionFilter } from "../core/ports/sessions.ts";
import { type Session, type SessionStatus, TRANSITIONS } from "../core/session.ts";

const LONGEST = 10_000;
const TOKEN = /\s*(?:(!=|=)|"((?:[^"\\]|\\["\\])*)"|([^\s"=!<>:(),]+))/y;

interface Token {
  readonly kind: "operator" | "quoted" | "word";
  readonly text: string;
  /** Counted from 1. */
  readonly at: number;
}

/**
 * Reads a filter; empty text is the filter that lets everything pass.
 *
 * @throws DownloadError INVALID_ARGUMENT, with the place in the text
 */
export function parseFilter(text: string): SessionFilter {
  if (text.length > LONGEST)
    throw failure("INVALID_ARGUMENT", `a filter has at most ${LONGEST} characters, not ${text.length}`);
  const tokens = tokenize(text);
  const filter: { -readonly [K in keyof SessionFilter]: SessionFilter[K] } = {};
  const end = text.length + 1;
  for (let next = 0; next < tokens.length; ) {
    if (next > 0) {
      const and = tokens[next++];
      if (and?.kind !== "word" || and.text !== "AND")
        throw wrong(`expected AND, not ${quote(and?.text ?? "")}`, and?.at ?? end);
    }
    const [field, operator, value] = tokens.slice(next, next + 3);
    next += 3;
    if (field?.kind !== "word") throw wrong("expected status, batch_id or url", field?.at ?? end);
    if (operator?.kind !== "operator") throw wrong(`expected = or != after ${field.text}`, operator?.at ?? end);
    if (value === undefined || value.kind === "operator")
      throw wrong(`expected a value after ${operator.text}`, value?.at ?? end);
    const [key, content] = condition(field, operator, value);
    if (key in filter) throw wrong(`${field.text} ${operator.text} is given twice`, field.at);
    Object.assign(filter, { [key]: content });
  }
  return filter;
}

function condition(field: Token, operator: Token, value: Token): readonly [keyof SessionFilter, string] {
  if (operator.text === "!=" && field.text !== "status") throw wrong(`${field.text} knows only =`, operator.at);
  switch (field.text) {
    case "status":
      return [operator.text === "=" ? "status" : "statusNot", statusOf(value)];
    case "batch_id":
      return ["batchId", value.text];
    case "url":
      if (value.text.slice(1, -1).includes("*")) throw wrong("a * stands only at the ends of a url", value.at);
      return ["url", value.text];
    default:
      throw wrong(`${quote(field.text)} is no field; fields are status, batch_id and url`, field.at);
  }
}

function statusOf({ text, at }: Token): SessionStatus {
  const status = text.toLowerCase();
  if (!Object.hasOwn(TRANSITIONS, status))
    throw wrong(`${quote(text)} is no status; there are ${Object.keys(TRANSITIONS).join(", ")}`, at);
  return status as SessionStatus;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const { length } = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) {
      const at = from + (/^\s*/.exec(text.slice(from))?.[0].length ?? 0);
      throw wrong(
        text[at] === '"'
          ? "a quote is not closed, or a \\ stands before something else"
          : `${quote(text[at] ?? "")} is not understood`,
        at + 1,
      );
    }
    const [all, operator, quoted, word] = match;
    const at = from + all.length - all.trimStart().length + 1;
    if (operator !== undefined) tokens.push({ kind: "operator", text: operator, at });
    else if (quoted !== undefined) tokens.push({ kind: "quoted", text: quoted.replaceAll(/\\(.)/g, "$1"), at });
    else tokens.push({ kind: "word", text: word ?? "", at });
  }
  return tokens;
}

const quote = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

const wrong = (problem: string, at: number) => failure("INVALID_ARGUMENT", `filter, at character ${at}: ${problem}`);

/**
 * True if a session passes.
 *
 * @param batches - every batch of the session, where they are known; else its own counts
 */
export function matchesFilter(
  session: Session,
  filter: SessionFilter,
  batches: readonly string[] = session.batchId === undefined ? [] : [session.batchId],
): boolean {
  return (
    (filter.status === undefined || session.status === filter.status) &&
    (filter.statusNot === undefined || session.status !== filter.statusNot) &&
    (filter.batchId === undefined || batches.includes(filter.batchId)) &&
    (filter.url === undefined || matchesUrl(session.url, filter.url))
  );
}

function matchesUrl(url: string, pattern: string): boolean {
  if (pattern === "*") return true;
  const open = { start: pattern.startsWith("*"), end: pattern.length > 1 && pattern.endsWith("*") };
  const text = pattern.slice(open.start ? 1 : 0, open.end ? -1 : undefined);
  if (open.start && open.end) return url.includes(text);
  if (open.start) return url.endsWith(text);
  return open.end ? url.startsWith(text) : url === text;
}
