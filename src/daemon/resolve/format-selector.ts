/**
 * The grammar of formats, as yt-dlp has it:
 *
 *     list   = choice *("," choice)       each of them, as a file of its own
 *     choice = merge *("/" merge)         the first that is there
 *     merge  = unit *("+" unit)           together in one file
 *     unit   = (word / "(" list ")") *filter / 1*filter
 *
 * Blanks may stand between them. A word is one of yt-dlp's, an extension, or a format's id; in quotes it is always an id.
 */
import { type Filter, readFilter } from "./format-filter.ts";
import { FormatText } from "./format-text.ts";

/** A selector, read. */
export type Selector =
  | { readonly type: "word"; readonly word: string; readonly quoted: boolean; readonly filters: readonly Filter[] }
  | { readonly type: "group"; readonly inner: Selector; readonly filters: readonly Filter[] }
  | { readonly type: "each" | "first" | "merge"; readonly parts: readonly Selector[] };

/** Parentheses inside of each other. */
const DEEPEST = 32;

/** Parts of a whole selector, so that evaluating it stays cheap. */
const MOST_WORDS = 256;

const WORD = /[^\s/+,()[\]"']+/y;

/** What a filter without a word is meant for. */
const DEFAULT_WORD = "best";

/** Reads a selector. @throws DownloadError FORMAT_INVALID with the place in the text */
export function parseSelector(text: string): Selector {
  return new Parser(new FormatText(text, "format")).whole();
}

class Parser {
  readonly #text: FormatText;
  #words = 0;

  constructor(text: FormatText) {
    this.#text = text;
  }

  whole(): Selector {
    const selector = this.#list(0);
    if (this.#text.next === ")") throw this.#text.invalid('")" closes nothing');
    return selector;
  }

  #list(depth: number): Selector {
    return this.#joined("each", ",", () =>
      this.#joined("first", "/", () => this.#joined("merge", "+", () => this.#unit(depth))),
    );
  }

  #joined(type: "each" | "first" | "merge", sign: string, read: () => Selector): Selector {
    const first = read();
    const parts = [first];
    while (this.#text.taken(sign)) parts.push(read());
    return parts.length === 1 ? first : { type, parts };
  }

  #unit(depth: number): Selector {
    const text = this.#text;
    text.skipBlanks();
    const start = text.at;
    const inner = text.taken("(") ? this.#group(start, depth) : undefined;
    const quoted = !inner && (text.next === '"' || text.next === "'");
    const word = inner ? undefined : quoted ? text.quoted() : text.take(WORD);
    if (++this.#words > MOST_WORDS) throw text.invalid(`more than ${MOST_WORDS} formats are named`, start);
    if (!inner && word === undefined && text.next !== "[") throw this.#missing();
    const filters: Filter[] = [];
    for (text.skipBlanks(); text.taken("["); text.skipBlanks()) filters.push(readFilter(text));
    if (!text.ended && !"/+,)".includes(text.next))
      throw text.invalid(`"${text.next}" is not expected here: formats are joined by "+", "/" or ","`);
    return inner ? { type: "group", inner, filters } : { type: "word", word: word ?? DEFAULT_WORD, quoted, filters };
  }

  #group(start: number, depth: number): Selector {
    const text = this.#text;
    if (depth >= DEEPEST) throw text.invalid(`parentheses are more than ${DEEPEST} deep`, start);
    const inner = this.#list(depth + 1);
    if (!text.taken(")")) throw text.invalid("the parenthesis is not closed", start);
    return inner;
  }

  #missing(): Error {
    const text = this.#text;
    const before = text.text.slice(0, text.at).trimEnd().at(-1);
    if (before === undefined && text.ended) return text.invalid("it is empty");
    const where = before === undefined ? `before "${text.next}"` : `after "${before}"`;
    return text.invalid(`expected a format ${where}, such as best or an id`);
  }
}

/** The one word that a selector consists of; undefined if there is more to it. */
export function onlyWord(selector: Selector): string | undefined {
  return selector.type === "word" && !selector.quoted && selector.filters.length === 0 ? selector.word : undefined;
}

/** A format's id as a selector that means nothing else. */
export function quoteId(id: string): string {
  return `"${id.replace(/["\\]/g, "\\$&")}"`;
}
