/**
 * Templates of file names, in the words of yt-dlp's output templates:
 *
 *     %(field.path+10>%Y-%m-%d,other&replacement|default)05d
 *
 * A field, or the first of several that is known; with arithmetic, or a date's format; what stands in for it if it is known
 * (with {} for itself) and if it is not; and how it is written. `%%` is a percent sign.
 */
import { type DownloadError, failure } from "../core/errors.ts";

/** A step on the way into a field: a name, a place, or a part of a list or text. */
export type PathStep = string | number | { readonly from?: number; readonly to?: number; readonly by?: number };

/** A field, or a number, in a piece of arithmetic. */
export type Operand = { readonly path: readonly PathStep[] } | { readonly number: number };

/** One way to a value. */
export interface Source {
  readonly negated: boolean;
  readonly path: readonly PathStep[];
  readonly maths: readonly { readonly operator: "+" | "-" | "*"; readonly operand: Operand }[];
  /** As of strftime(3). */
  readonly date?: string;
}

/** How a value is written. */
export interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision?: number;
  readonly type: string;
}

/** A piece of a template. `at`: its place in the text. */
export type Piece =
  | { readonly type: "text"; readonly text: string; readonly at: number }
  | {
      readonly type: "field";
      readonly sources: readonly [Source, ...Source[]];
      /** In pieces, between which the value stands. */
      readonly replacement?: readonly string[];
      readonly fallback?: string;
      readonly conversion: Conversion;
      readonly at: number;
    };

/** Characters of a template. */
const LONGEST = 4096;

/** Characters that a width or a precision may ask for: more than a name has. */
const WIDEST = 1024;

/** Ways of writing a value. */
const TYPES = "sdiuoxXeEfFgGcBjlDSU";

const STEP = /\w+/y;
const PLACE = /-?\d+(?![\w:])/y;
const SLICE = /(-?\d+)?:(-?\d+)?(?::(-?\d+))?/y;
const NUMBER = /-?\d+(?:\.\d+)?/y;

/** @param at - place in the text, from 0. @returns TEMPLATE_INVALID that names the place, counted from 1 */
export function templateInvalid(text: string, at: number, why: string): DownloadError {
  const position = [...text.slice(0, at)].length + 1;
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return failure("TEMPLATE_INVALID", `template "${shown}", character ${position}: ${why}`, {
    metadata: { template: shown, position: String(position) },
  });
}

/** Reads a template. @throws DownloadError TEMPLATE_INVALID with the place in the text */
export function parseTemplate(text: string): readonly Piece[] {
  if (text.length > LONGEST)
    throw templateInvalid(text, LONGEST, `it has ${text.length} characters; at most ${LONGEST} are read`);
  return new Parser(text).pieces();
}

class Parser {
  readonly #text: string;
  #at = 0;
  /** Where the field ends that is being read. */
  #end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  pieces(): readonly Piece[] {
    const pieces: Piece[] = [];
    while (this.#at < this.#text.length) {
      const at = this.#at;
      if (this.#text[at] !== "%") {
        const next = this.#text.indexOf("%", at);
        this.#at = next === -1 ? this.#text.length : next;
        pieces.push({ type: "text", text: this.#text.slice(at, this.#at), at });
      } else if (this.#text[at + 1] === "%") {
        this.#at += 2;
        pieces.push({ type: "text", text: "%", at });
      } else if (this.#text[at + 1] === "(") pieces.push(this.#field(at));
      else throw this.#invalid('a field is written %(name)s, and a percent sign "%%"', at);
    }
    return pieces;
  }

  #field(at: number): Piece {
    this.#at = at + 2;
    this.#end = this.#text.indexOf(")", at);
    if (this.#end === -1) throw this.#invalid('"%(" is not closed by ")"', at);
    const first = this.#source();
    const others: Source[] = [];
    while (this.#taken(",")) others.push(this.#source());
    const replacement = this.#taken("&") ? this.#replacement() : undefined;
    const fallback = this.#taken("|") ? this.#text.slice(this.#at, this.#end) : undefined;
    if (fallback !== undefined) this.#at = this.#end;
    if (this.#at !== this.#end) throw this.#invalid(`"${this.#text[this.#at]}" is not expected in a field`, this.#at);
    this.#at++;
    return {
      type: "field",
      sources: [first, ...others],
      ...(replacement && { replacement }),
      ...(fallback !== undefined && { fallback }),
      conversion: this.#conversion(at),
      at,
    };
  }

  #source(): Source {
    const negated = this.#taken("-");
    const path = this.#path();
    const maths: Source["maths"][number][] = [];
    for (let sign = this.#text[this.#at]; sign === "+" || sign === "-" || sign === "*"; sign = this.#text[this.#at]) {
      this.#at++;
      maths.push({ operator: sign, operand: this.#operand() });
    }
    return { negated, path, maths, ...(this.#taken(">") && { date: this.#date() }) };
  }

  #path(): readonly PathStep[] {
    const name = this.#take(STEP)?.[0];
    if (name === undefined) throw this.#invalid("expected the name of a field, such as title", this.#at);
    const path: PathStep[] = [name];
    while (this.#taken(".")) {
      const place = this.#take(PLACE)?.[0];
      const slice = place === undefined ? this.#take(SLICE) : undefined;
      const step = slice || place !== undefined ? undefined : this.#take(STEP)?.[0];
      if (slice) {
        const [, from, to, by] = slice;
        path.push({
          ...(from !== undefined && { from: Number(from) }),
          ...(to !== undefined && { to: Number(to) }),
          ...(by !== undefined && { by: Number(by) }),
        });
      } else if (place !== undefined) path.push(Number(place));
      else if (step !== undefined) path.push(step);
      else throw this.#invalid('expected a name, a place or a part (3:7) after "."', this.#at);
    }
    return path;
  }

  #operand(): Operand {
    const number = this.#take(NUMBER)?.[0];
    return number === undefined ? { path: this.#path() } : { number: Number(number) };
  }

  /** Up to what may follow it; a comma of its own has a backslash before it. */
  #date(): string {
    const start = this.#at;
    let date = "";
    while (this.#at < this.#end && !",&|".includes(this.#text[this.#at] ?? "")) {
      if (this.#text.startsWith("\\,", this.#at)) this.#at++;
      date += this.#text[this.#at++];
    }
    if (date === "") throw this.#invalid('expected the format of a date after ">", such as %Y-%m-%d', start);
    return date;
  }

  #replacement(): readonly string[] {
    const start = this.#at;
    const bar = this.#text.indexOf("|", start);
    this.#at = bar === -1 || bar > this.#end ? this.#end : bar;
    const pieces = this.#text.slice(start, this.#at).split("{}");
    let at = start;
    for (const piece of pieces) {
      const brace = piece.search(/[{}]/);
      if (brace !== -1) throw this.#invalid('of braces only "{}" may stand here, for the value itself', at + brace);
      at += piece.length + 2;
    }
    return pieces;
  }

  #conversion(start: number): Conversion {
    this.#end = this.#text.length;
    const flags = this.#take(/[#0\-+ ]*/y)?.[0] ?? "";
    const width = Number(this.#take(/\d+/y)?.[0] ?? 0);
    const dot = this.#at;
    const precision = this.#take(/\.(\d+)/y)?.[1];
    const type = this.#text[this.#at] ?? "";
    if (type === "" || !TYPES.includes(type))
      throw this.#invalid(
        type === ""
          ? `a letter has to follow the field, such as s: ${this.#text.slice(start)}s`
          : `"${type}" is no way to write a field; there are ${[...TYPES].join(" ")}`,
        this.#at,
      );
    if (width > WIDEST || Number(precision ?? 0) > WIDEST)
      throw this.#invalid(`nothing is written wider than ${WIDEST} characters`, dot);
    this.#at++;
    return { flags, width, type, ...(precision !== undefined && { precision: Number(precision) }) };
  }

  #taken(character: string): boolean {
    if (this.#at >= this.#end || this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Takes what a sticky pattern finds here, inside of the field. */
  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    this.#at += found?.[0].length ?? 0;
    return found;
  }

  #invalid(why: string, at: number): DownloadError {
    return templateInvalid(this.#text, at, why);
  }
}
