/** Names of files by a template: fields filled in, each made safe, and folders where the template has them. */
import type { MediaChoice, MediaDetails } from "../core/resolved.ts";
import { formatDate, toDate, unknownDateLetter } from "./template-date.ts";
import { type TemplateFields, type TemplateValue, templateFields } from "./template-fields.ts";
import { toNumber, writeValue } from "./template-format.ts";
import { type NamePart, safeName, safeValue } from "./template-name.ts";
import {
  type Operand,
  type PathStep,
  type Piece,
  parseTemplate,
  type Source,
  templateInvalid,
} from "./template-parse.ts";

/** As yt-dlp names files. */
const DEFAULT_TEMPLATE = "%(title)s [%(id)s].%(ext)s";

/** What stands for a field that is not known. */
const NOT_KNOWN = "NA";

/** Folders inside of each other. */
const DEEPEST = 32;

/** Digits of a running number, where the template does not say. */
const AUTO_DIGITS = 5;

/** A field that is to be filled in. */
type FieldPiece = Extract<Piece, { type: "field" }>;

/** A name of the path: its pieces, and where it begins in the template. */
interface Segment {
  readonly pieces: readonly Piece[];
  readonly at: number;
}

/**
 * The path of a file, relative to the folder that it goes to, with "/" between folders. Each name in it is safe.
 *
 * @param template - in yt-dlp's words; default: title and id
 * @throws DownloadError TEMPLATE_INVALID with the place in the text
 */
export function fillTemplate(template: string | undefined, details: MediaDetails, choice: MediaChoice): string {
  const segments = readTemplate(template ?? DEFAULT_TEMPLATE);
  const fields = templateFields(details, choice);
  return segments
    .map(({ pieces }) => pieces.map((piece): NamePart => filled(piece, fields)))
    .filter((parts, at) => at === segments.length - 1 || parts.some(({ text }) => text !== ""))
    .map(safeName)
    .join("/");
}

/**
 * Reads a template and says early what cannot be used.
 *
 * @throws DownloadError TEMPLATE_INVALID: syntax, an empty name, a way out of the folder
 */
export function readTemplate(text: string): readonly Segment[] {
  if (text.trim() === "") throw templateInvalid(text, 0, "it is empty");
  const outside = /^(\/|~(?=\/|$)|[A-Za-z]:[\\/])/.exec(text);
  if (outside)
    throw templateInvalid(text, 0, `it leads out of the folder: name the folder with -d in place of "${outside[0]}"`);
  const pieces = parseTemplate(text);
  checkDates(text, pieces);
  const segments = split(pieces);
  if (segments.length > DEEPEST) throw templateInvalid(text, 0, `it has more than ${DEEPEST} folders`);
  for (const { pieces: inside, at } of segments) {
    const literal = inside.every(({ type }) => type === "text") ? inside.map(textOf).join("").trim() : undefined;
    if (literal === "..") throw templateInvalid(text, at, '".." leads out of the folder');
    if (literal === ".") throw templateInvalid(text, at, '"." is no name');
  }
  const last = segments.at(-1);
  if (last?.pieces.length === 0)
    throw templateInvalid(text, last.at, 'nothing follows the last "/": the file has no name');
  return segments.filter(({ pieces: inside }) => inside.length > 0);
}

const textOf = (piece: Piece): string => (piece.type === "text" ? piece.text : "");

function checkDates(text: string, pieces: readonly Piece[]): void {
  for (const piece of pieces) {
    if (piece.type === "text") continue;
    for (const { date } of piece.sources) {
      const wrong = date === undefined ? -1 : unknownDateLetter(date);
      if (date !== undefined && wrong !== -1)
        throw templateInvalid(
          text,
          piece.at,
          `"${date.slice(wrong, wrong + 2)}" is no part of a date, such as %Y or %m`,
        );
    }
  }
}

function split(pieces: readonly Piece[]): readonly Segment[] {
  const segments: { readonly pieces: Piece[]; readonly at: number }[] = [{ pieces: [], at: 0 }];
  for (const piece of pieces) {
    if (piece.type === "field") {
      segments.at(-1)?.pieces.push(piece);
      continue;
    }
    let { at } = piece;
    for (const [index, text] of piece.text.split("/").entries()) {
      if (index > 0) segments.push({ pieces: [], at });
      if (text !== "") segments.at(-1)?.pieces.push({ type: "text", text, at });
      at += text.length + 1;
    }
  }
  return segments;
}

function filled(piece: Piece, fields: TemplateFields): NamePart {
  if (piece.type === "text") return { text: piece.text, value: false };
  return { text: safeValue(written(piece, fields)), value: true };
}

function written(piece: FieldPiece, fields: TemplateFields): string {
  const { sources, replacement, fallback = NOT_KNOWN, conversion } = piece;
  let value: TemplateValue | undefined;
  let used: Source = sources[0];
  for (const source of sources) {
    value = sourceValue(source, fields);
    used = source;
    if (value !== undefined) break;
  }
  if (value === undefined) return fallback;
  if (replacement) value = replacement.join(writeValue(value, { flags: "", width: 0, type: "s" }) ?? "");
  const digits = typeof value === "number" ? digitsFor(used, fields) : undefined;
  const plain = conversion.type === "s" && conversion.width === 0 && conversion.flags === "";
  if (digits !== undefined && plain && conversion.precision === undefined)
    return writeValue(value, { flags: "0", width: digits, type: "d" }) ?? fallback;
  return writeValue(value, conversion) ?? fallback;
}

/** Places in a list have as many digits as the last one, so that names sort. */
function digitsFor({ path: [name] }: Source, fields: TemplateFields): number | undefined {
  if (name === "autonumber") return AUTO_DIGITS;
  if (name !== "playlist_index" && name !== "playlist_autonumber") return undefined;
  return String(toNumber(fields["playlist_count"]) ?? "").length;
}

function sourceValue({ negated, path, maths, date }: Source, fields: TemplateFields): TemplateValue | undefined {
  let value = reach(fields, path);
  if (negated) value = minus(toNumber(value));
  for (const { operator, operand } of maths) {
    const left = toNumber(value);
    const right = operandOf(operand, fields);
    if (left === undefined || right === undefined) return undefined;
    value = operator === "+" ? left + right : operator === "-" ? left - right : left * right;
  }
  if (date !== undefined) {
    const at = typeof value === "string" || typeof value === "number" ? toDate(value) : undefined;
    return at && formatDate(at, date);
  }
  return value === "" ? undefined : value;
}

const minus = (number: number | undefined): number | undefined => (number === undefined ? undefined : -number);

function operandOf(operand: Operand, fields: TemplateFields): number | undefined {
  return "number" in operand ? operand.number : toNumber(reach(fields, operand.path));
}

function reach(fields: TemplateFields, [name, ...steps]: readonly PathStep[]): TemplateValue | undefined {
  let value = typeof name === "string" && Object.hasOwn(fields, name) ? fields[name] : undefined;
  for (const step of steps) {
    if (value === undefined) return undefined;
    value = inside(value, step);
  }
  return value;
}

function inside(value: TemplateValue, step: PathStep): TemplateValue | undefined {
  if (typeof step === "string")
    return typeof value === "object" && Object.hasOwn(value, step) ? (value as TemplateFields)[step] : undefined;
  const items = typeof value === "number" ? undefined : typeof value === "string" ? [...value] : Object.values(value);
  if (typeof step === "number") return items?.at(step);
  const part = items && slice(items, step);
  return part && typeof value === "string" ? part.join("") : part;
}

/** As Python cuts a list. */
function slice<T>(items: readonly T[], { from, to, by = 1 }: Exclude<PathStep, string | number>): readonly T[] {
  if (by === 0) return [];
  const count = items.length;
  const least = by > 0 ? 0 : -1;
  const clamp = (place: number) =>
    Math.min(Math.max(place < 0 ? place + count : place, least), by > 0 ? count : count - 1);
  const start = from === undefined ? (by > 0 ? 0 : count - 1) : clamp(from);
  const end = to === undefined ? (by > 0 ? count : -1) : clamp(to);
  const taken: T[] = [];
  for (let at = start; by > 0 ? at < end : at > end; at += by) taken.push(...items.slice(at, at + 1));
  return taken;
}
