/**
 * What stands in brackets behind a selector: `[height<=?720]`, `[vcodec^=avc1]`, `[filesize<50M]`. A filter is read once,
 * with the type of its field, and then asked of each format.
 */
import { createContext, Script } from "node:vm";
import type { MediaFormat } from "../core/resolved.ts";
import { FIELD_NAMES, fieldKind, fieldValue } from "./format-fields.ts";
import type { FormatText } from "./format-text.ts";

/** Whether a format passes. */
export type Filter = (format: MediaFormat) => boolean;

/** Milliseconds that a pattern may take over one value: some never end. */
const PATTERN_MS = 50;

const OPERATOR = /!?(?:\^=|\$=|\*=|~=)|!=|<=|>=|=|<|>/y;
const NAME = /[\w.-]+/y;
const PLAIN = /[^\s"'[\]]+/y;

/** Kilo to yotta, by the letter. */
const LETTERS = "kmgtpezy";

/** Rates are counted in these many bits a second; a number with a unit is one of bits. */
const RATES = new Set(["tbr", "vbr", "abr"]);
const BITS_PER_RATE = 1000;

/**
 * Reads a filter, of which "[" is taken already, with its "]".
 *
 * @throws DownloadError FORMAT_INVALID
 */
export function readFilter(text: FormatText): Filter {
  const start = text.at - 1;
  text.skipBlanks();
  const nameAt = text.at;
  const name = text.take(NAME);
  if (name === undefined) throw text.invalid("a filter begins with the name of a field, such as height");
  const kind = fieldKind(name);
  if (kind === undefined)
    throw text.invalid(`there is no field "${name}"; there are ${FIELD_NAMES.join(", ")}`, nameAt);
  text.skipBlanks();
  const operatorAt = text.at;
  const operator = text.take(OPERATOR);
  if (operator === undefined)
    throw text.invalid("expected one of = != < <= > >= ^= $= *= ~= (or ! before the last four)");
  text.skipBlanks();
  const unknownToo = text.taken("?");
  text.skipBlanks();
  const valueAt = text.at;
  const quoted = text.next === '"' || text.next === "'";
  // A backslash of a pattern is the pattern's own.
  const value = quoted ? text.quoted(operator.endsWith("~=")) : text.take(PLAIN);
  if (value === undefined) throw text.invalid(`expected the value that ${name} is compared with`);
  text.skipBlanks();
  if (!text.taken("]"))
    throw text.ended ? text.invalid("the bracket is not closed", start) : text.invalid('expected "]"');
  const passes =
    kind === "number"
      ? comparesNumber(text, { name, operator, operatorAt, value, valueAt })
      : comparesText(text, { name, operator, operatorAt, value, valueAt });
  return (format) => {
    const actual = fieldValue(format, name);
    return actual === undefined ? unknownToo : passes(actual);
  };
}

/** A filter in its parts. */
interface Parts {
  readonly name: string;
  readonly operator: string;
  readonly operatorAt: number;
  readonly value: string;
  readonly valueAt: number;
}

type Passes = (actual: number | readonly string[]) => boolean;

function comparesNumber(text: FormatText, { name, operator, operatorAt, value, valueAt }: Parts): Passes {
  const limit = parseAmount(value, RATES.has(name) ? BITS_PER_RATE : 1);
  if (limit === undefined) throw text.invalid(`${name} is a number: "${value}" is none (720, 1.5M, 500Ki)`, valueAt);
  const compare = {
    "=": (actual: number) => actual === limit,
    "!=": (actual: number) => actual !== limit,
    "<": (actual: number) => actual < limit,
    "<=": (actual: number) => actual <= limit,
    ">": (actual: number) => actual > limit,
    ">=": (actual: number) => actual >= limit,
  }[operator];
  if (!compare) throw text.invalid(`${name} is a number, which ${operator} cannot compare`, operatorAt);
  return (actual) => typeof actual === "number" && compare(actual);
}

function comparesText(text: FormatText, { name, operator, operatorAt, value, valueAt }: Parts): Passes {
  const negated = operator.startsWith("!");
  const positive = negated ? operator.slice(1) : operator;
  const compare = {
    "=": (actual: string) => actual === value,
    "^=": (actual: string) => actual.startsWith(value),
    "$=": (actual: string) => actual.endsWith(value),
    "*=": (actual: string) => actual.includes(value),
    "~=": positive === "~=" ? matches(text, value, valueAt) : undefined,
  }[positive];
  if (!compare) throw text.invalid(`${name} is a text, which ${operator} cannot compare`, operatorAt);
  return (actual) => typeof actual !== "number" && actual.some(compare) !== negated;
}

/** Searches by a pattern, for so long and no longer. */
function matches(text: FormatText, pattern: string, at: number): (actual: string) => boolean {
  const sandbox = createContext({ pattern, actual: "" }, { codeGeneration: { strings: false, wasm: false } });
  const search = new Script("new RegExp(pattern, 'u').test(actual)");
  const run = (actual: string): boolean => {
    sandbox["actual"] = actual;
    try {
      return search.runInContext(sandbox, { timeout: PATTERN_MS }) === true;
    } catch (error) {
      const why = error instanceof Error && "code" in error ? `it takes longer than ${PATTERN_MS} ms` : String(error);
      throw text.invalid(`the pattern cannot be used: ${why}`, at);
    }
  };
  run("");
  return run;
}

/**
 * "720", "1.5M", "500KiB", "2kb": letters are powers of 1000, with an "i" of 1024.
 *
 * @param perUnit - what a number with a unit is divided by
 */
export function parseAmount(text: string, perUnit = 1): number | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)(?:([kmgtpezy])(i?)b?|b)?$/i.exec(text);
  if (!match) return undefined;
  const number = Number(match[1]);
  const letter = match[2]?.toLowerCase();
  if (letter === undefined) return number;
  return (number * (match[3] ? 1024 : 1000) ** (LETTERS.indexOf(letter) + 1)) / perUnit;
}
