/**
 * A strict reader of small XML documents from anywhere (XML 1.0): elements, attributes, text, CDATA. No document type, so no
 * entities but the five and characters by number; everything is bounded, and its time grows with the text only.
 */

/** An element. Names carry their prefix as written. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Its own character data, without that of its children. */
  readonly text: string;
}

/** The document is none that is read here; the message says why, and where. */
export class XmlError extends Error {
  override readonly name = "XmlError";
}

/** Elements inside of one another. */
const DEEPEST = 32;
const MOST_ATTRIBUTES = 64;

const NAME = "[\\p{L}_:][\\p{L}\\p{N}_:.\\-]*";
const START = new RegExp(`<(${NAME})`, "uy");
const ATTRIBUTE = new RegExp(`[ \\t\\r\\n]+(${NAME})[ \\t\\r\\n]*=[ \\t\\r\\n]*(?:"([^"<]*)"|'([^'<]*)')`, "uy");
const START_END = /[ \t\r\n]*(\/?)>/y;
const END = new RegExp(`</(${NAME})[ \\t\\r\\n]*>`, "uy");

interface Open {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  children: readonly XmlElement[];
  text: string;
}

/** Of the many elements that have none: documents of nothing else are to take little room. */
const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map();
const NO_CHILDREN: readonly XmlElement[] = [];

/** Reads a document's root. @param mostElements - that it may have @throws XmlError */
export function parseXml(document: string, mostElements = 500_000): XmlElement {
  return new Reader(document.replace(/^\uFEFF/, ""), mostElements).read();
}

class Reader {
  readonly #text: string;
  readonly #mostElements: number;
  #at = 0;
  #elements = 0;
  readonly #open: Open[] = [];
  #root: XmlElement | undefined;

  constructor(text: string, mostElements: number) {
    this.#text = text;
    this.#mostElements = mostElements;
  }

  read(): XmlElement {
    while (this.#at < this.#text.length) {
      const next = this.#text.indexOf("<", this.#at);
      this.#characters(this.#text.slice(this.#at, next < 0 ? undefined : next));
      if (next < 0) break;
      this.#at = next;
      this.#markup();
    }
    const unfinished = this.#open.at(-1);
    if (unfinished) throw new XmlError(`it ends inside of <${unfinished.name}>`);
    if (!this.#root) throw new XmlError("it has no element");
    return this.#root;
  }

  #markup(): void {
    const text = this.#text;
    if (text.startsWith("<!--", this.#at)) this.#skipTo("-->", 4);
    else if (text.startsWith("<![CDATA[", this.#at)) {
      const from = this.#at + 9;
      this.#skipTo("]]>", 9);
      this.#append(text.slice(from, this.#at - 3));
    } else if (text.startsWith("<?", this.#at)) this.#instruction();
    else if (text.startsWith("<!", this.#at)) throw this.#error("it has a document type, which is not read");
    else if (text.startsWith("</", this.#at)) this.#end();
    else this.#start();
  }

  #instruction(): void {
    const from = this.#at;
    this.#skipTo("?>", 2);
    if (from > 0) return;
    const [, encoding] = /\sencoding\s*=\s*["']([\w.:-]+)["']/.exec(this.#text.slice(0, Math.min(this.#at, 200))) ?? [];
    if (encoding !== undefined && !/^(utf-?8|us-ascii)$/i.test(encoding))
      throw new XmlError(`it is written in ${encoding}, and only UTF-8 is read`);
  }

  #start(): void {
    const [, name] = this.#match(START) ?? [];
    if (name === undefined) throw this.#error("a < is not the beginning of an element");
    if (++this.#elements > this.#mostElements) throw this.#error(`it has more than ${this.#mostElements} elements`);
    if (this.#open.length >= DEEPEST) throw this.#error(`its elements are nested more than ${DEEPEST} deep`);
    if (this.#root) throw this.#error("there is a second root element");
    let attributes: Map<string, string> | undefined;
    for (let match = this.#match(ATTRIBUTE); match; match = this.#match(ATTRIBUTE)) {
      const key = match[1] ?? "";
      attributes ??= new Map();
      if (attributes.has(key) || attributes.size >= MOST_ATTRIBUTES)
        throw this.#error(`<${name}> has the attribute ${key} twice, or too many of them`);
      attributes.set(key, this.#decode((match[2] ?? match[3] ?? "").replace(/[\t\r\n]/g, " ")));
    }
    const [, closed] = this.#match(START_END) ?? [];
    if (closed === undefined) throw this.#error(`<${name}> is malformed`);
    this.#open.push({ name, attributes: attributes ?? NO_ATTRIBUTES, children: NO_CHILDREN, text: "" });
    if (closed) this.#close();
  }

  #end(): void {
    const [, name] = this.#match(END) ?? [];
    const expected = this.#open.at(-1)?.name;
    if (name === undefined || name !== expected)
      throw this.#error(
        `</${name ?? ""}> where ${expected === undefined ? "nothing is open" : `</${expected}> belongs`}`,
      );
    this.#close();
  }

  #close(): void {
    const element = this.#open.pop();
    if (!element) return;
    const parent = this.#open.at(-1);
    if (parent) this.#adopt(parent, element);
    else this.#root = element;
  }

  #adopt(parent: Open, element: Open): void {
    if (parent.children === NO_CHILDREN) parent.children = [element];
    else (parent.children as XmlElement[]).push(element);
  }

  #characters(text: string): void {
    this.#append(text.includes("&") ? this.#decode(text) : text);
  }

  #append(text: string): void {
    const element = this.#open.at(-1);
    if (element) element.text += text;
    else if (/[^ \t\r\n]/.test(text)) throw this.#error("there is text outside of the root element");
  }

  #decode(text: string): string {
    const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
    return text.replace(/&([^;&\s]{0,16}(;?))/g, (_, entity: string, end: string) => {
      const key = end ? entity.slice(0, -1) : "";
      const [, hex, decimal] = /^#(?:x([0-9A-Fa-f]{1,6})|(\d{1,7}))$/.exec(key) ?? [];
      const code = hex === undefined ? Number(decimal ?? Number.NaN) : Number.parseInt(hex, 16);
      if (code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)) return String.fromCodePoint(code);
      if (!Object.hasOwn(entities, key)) throw this.#error(`&${entity} is no entity that is known here`);
      return entities[key] ?? "";
    });
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match) this.#at = pattern.lastIndex;
    return match;
  }

  #skipTo(end: string, from: number): void {
    const at = this.#text.indexOf(end, this.#at + from);
    if (at < 0) throw this.#error(`a ${this.#text.slice(this.#at, this.#at + from)} does not end`);
    this.#at = at + end.length;
  }

  #error(what: string): XmlError {
    return new XmlError(`${what} (at character ${this.#at})`);
  }
}
