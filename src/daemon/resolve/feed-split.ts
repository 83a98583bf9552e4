/**
 * A feed cut into its items before any of it is parsed, in one pass whose time grows with the text: so that a feed of
 * 100,000 items is parsed some hundred at a time, and one that defines entities (an XML bomb), is nested without end or is
 * cut short is refused at once, with the place.
 */
import { failure } from "../core/errors.ts";

const MOST_ITEMS = 100_000;
/** Elements inside of one another; content that is HTML and not quite XML counts for more than it has. */
const DEEPEST = 1000;

/** A feed in pieces. */
export interface SplitFeed {
  /** The document without its items. */
  readonly head: string;
  readonly count: number;
  /** A document of some of its items, with the elements around them. */
  items(start: number, end: number): string;
}

/** Cuts a feed. @throws ResourceError FEED_INVALID */
export function splitFeed(document: string): SplitFeed {
  return new Splitter(document).split();
}

class Splitter {
  readonly #text: string;
  #at = 0;
  /** Elements that are open around the items: their names and where their tags are. */
  readonly #open: { readonly name: string; readonly tag: string }[] = [];
  readonly #items: (readonly [start: number, end: number])[] = [];
  /** What is left out of the head, besides the items. */
  readonly #left: (readonly [start: number, end: number])[] = [];
  #around: readonly { readonly name: string; readonly tag: string }[] = [];
  #item: { readonly name: string; readonly start: number; depth: number } | undefined;
  #ended = false;

  constructor(text: string) {
    this.#text = text;
  }

  split(): SplitFeed {
    const text = this.#text;
    for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", this.#at)) {
      this.#at = at;
      this.#markup();
    }
    const unfinished = this.#item?.name ?? this.#open.at(-1)?.name;
    if (unfinished !== undefined || !this.#ended)
      throw this.#invalid(`it ends inside of <${(unfinished ?? "").slice(0, 100)}>`, text.length);
    const items = this.#items;
    const before = this.#around.map(({ tag }) => tag).join("");
    const after = this.#around
      .map(({ name }) => `</${name}>`)
      .reverse()
      .join("");
    return {
      head: without(text, [...items, ...this.#left]),
      count: items.length,
      items: (start, end) =>
        `${before}${items
          .slice(start, end)
          .map(([from, to]) => text.slice(from, to))
          .join("")}${after}`,
    };
  }

  #markup(): void {
    const text = this.#text;
    const at = this.#at;
    if (text.startsWith("<!--", at)) this.#at = this.#behind("-->", at + 4, "comment");
    else if (text.startsWith("<![CDATA[", at)) this.#at = this.#behind("]]>", at + 9, "CDATA section");
    else if (text.startsWith("<?", at)) this.#at = this.#behind("?>", at + 2, "processing instruction");
    else if (text.startsWith("<!", at)) this.#doctype(at);
    else if (text.startsWith("</", at)) this.#end(at);
    else this.#start(at);
  }

  /** One that only names the language is harmless and old; one that defines anything is none that a feed needs. */
  #doctype(at: number): void {
    this.#at = this.#behind(">", at, "document type");
    if (this.#text.slice(at, this.#at).includes("["))
      throw this.#invalid("it has a document type that defines entities, which is not read", at);
    this.#left.push([at, this.#at]);
  }

  #start(at: number): void {
    const name = this.#name(at + 1);
    // Content that is not quite XML has such signs as text.
    if (name === "") {
      this.#at = at + 1;
      return;
    }
    this.#at = this.#tagEnd(at);
    const closed = this.#text.charAt(this.#at - 2) === "/";
    if (this.#item) {
      if (!closed && ++this.#item.depth > DEEPEST) throw this.#tooDeep(at);
      return;
    }
    if (this.#isItem(name)) {
      if (this.#items.length >= MOST_ITEMS) throw this.#invalid(`it has more than ${MOST_ITEMS} items`, at);
      if (this.#items.length === 0) this.#around = [...this.#open];
      if (closed) this.#items.push([at, this.#at]);
      else this.#item = { name, start: at, depth: 0 };
      return;
    }
    if (closed) return;
    this.#open.push({ name, tag: this.#text.slice(at, this.#at) });
    if (this.#open.length > DEEPEST) throw this.#tooDeep(at);
  }

  /** Items stand in the root, or in the channel below it, and all in the same place. */
  #isItem(name: string): boolean {
    const depth = this.#open.length;
    if (!/^(?:[^:]+:)?(item|entry)$/i.test(name)) return false;
    return depth === 1 || (depth === 2 && /^(?:[^:]+:)?channel$/i.test(this.#open[1]?.name ?? ""));
  }

  #end(at: number): void {
    const name = this.#name(at + 2);
    this.#at = this.#behind(">", at, "tag");
    if (this.#item) {
      if (name !== this.#item.name) {
        if (this.#item.depth > 0) this.#item.depth--;
        return;
      }
      this.#items.push([this.#item.start, this.#at]);
      this.#item = undefined;
      return;
    }
    if (this.#open.at(-1)?.name !== name) {
      const found = this.#open.findLastIndex((each) => each.name === name);
      if (found < 0) throw this.#invalid(`</${name.slice(0, 100)}> where nothing of that name is open`, at);
      this.#open.length = found + 1;
    }
    this.#open.pop();
    this.#ended ||= this.#open.length === 0;
  }

  #name(at: number): string {
    NAME.lastIndex = at;
    return NAME.exec(this.#text)?.[0] ?? "";
  }

  /** Behind a start tag; quotes hide a sign of its end. */
  #tagEnd(at: number): number {
    let from = at;
    for (;;) {
      SIGN.lastIndex = from;
      const found = SIGN.exec(this.#text);
      if (!found) throw this.#invalid("a tag does not end", at);
      if (found[0] === ">") return found.index + 1;
      from = this.#behind(found[0], found.index + 1, "quoted value");
    }
  }

  #behind(sign: string, from: number, what: string): number {
    const found = this.#text.indexOf(sign, from);
    if (found < 0) throw this.#invalid(`a ${what} does not end`, this.#at);
    return found + sign.length;
  }

  #tooDeep(at: number): Error {
    return this.#invalid(`its elements are nested more than ${DEEPEST} deep`, at);
  }

  #invalid(why: string, at: number): Error {
    return failure("FEED_INVALID", `the feed cannot be read: ${why} (at character ${at})`);
  }
}

const NAME = /[\p{L}_][\p{L}\p{N}_:.-]{0,200}/uy;
const SIGN = /[>"']/g;

function without(text: string, ranges: readonly (readonly [start: number, end: number])[]): string {
  const pieces: string[] = [];
  let at = 0;
  for (const [start, end] of ranges.toSorted(([a], [b]) => a - b)) {
    pieces.push(text.slice(at, start));
    at = end;
  }
  return [...pieces, text.slice(at)].join("");
}
