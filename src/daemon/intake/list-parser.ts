/**
 * The grammar of lists: one URL a line with its mirrors after TABs, `#` comments, blank lines, and aria2's indented
 * option lines, which belong to the URL line before them. The code of a share may stand without `snatch:`, as people are told
 * it. Bytes are pushed in, entries come out; the same bytes give the
 * same entries whatever their cut. Nothing but the entry at hand is held.
 */
import { isUtf8 } from "node:buffer";
import { redactUrl } from "../../shared/redact.ts";
import { linkOfBareCode } from "../../shared/share-code.ts";
import { DownloadError, failure } from "../core/errors.ts";
import type { ListEntry } from "../core/ports/intake.ts";
import { LineSplitter, LONGEST_LINE, type RawLine } from "./line-splitter.ts";
import { completeOptions, type OptionContext, type OptionDraft, readOption } from "./list-options.ts";

/** Characters of an entry, its option lines included. */
const LONGEST_ENTRY = 256 * 1024;

/** Characters shown of a line that cannot be kept. */
const SHOWN = 200;

/** Where parsing goes on after an entry: the first line that does not belong to it. */
export interface ListPosition {
  /** In bytes of the text, that is, after unpacking. */
  readonly offset: number;
  readonly line: number;
}

/** An entry, with what is needed to give it back to its author and to go on behind it. */
export type ParsedEntry = ListEntry & {
  /** Its lines, valid in a list: those that are no text have become comments. */
  readonly text: string;
  readonly next: ListPosition;
};

/** The entry whose option lines may still come. */
interface OpenEntry {
  readonly lineNumber: number;
  readonly urls: readonly string[];
  readonly draft: OptionDraft;
  readonly lines: string[];
  length: number;
  error: DownloadError | undefined;
}

/** Turns the bytes of a list into entries. */
export class ListParser {
  readonly #lines: LineSplitter;
  readonly #context: OptionContext;
  #open: OpenEntry | undefined;

  /** @param from - where an earlier parser stopped; the bytes pushed begin there */
  constructor(context: OptionContext, from: ListPosition = { offset: 0, line: 1 }) {
    this.#context = context;
    this.#lines = new LineSplitter(from.offset, from.line);
  }

  /** The entries that are complete with this chunk. */
  *push(chunk: Uint8Array): Generator<ParsedEntry, void> {
    for (const line of this.#lines.push(chunk)) yield* this.#line(line);
  }

  /** The last entry. Nothing may be pushed afterwards. */
  *end(): Generator<ParsedEntry, void> {
    for (const line of this.#lines.end()) yield* this.#line(line);
    const { offset, line } = this.#lines.position;
    yield* this.#close({ offset, line });
  }

  /**
   * The list breaks off here. A half line is no URL, and the last entry may lack options that would have come: both are
   * refused for the same reason as the rest.
   */
  *breakOff(error: DownloadError): Generator<ParsedEntry, void> {
    const next = this.#lines.position;
    if (this.#open) this.#open.error ??= error;
    yield* this.#close(next);
    yield { lineNumber: next.line, line: "", error, text: "", next };
  }

  *#line(line: RawLine): Generator<ParsedEntry, void> {
    // A byte order mark may stand in the middle too, where lists were concatenated.
    let bytes = line.bytes;
    while (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    if (bytes[0] === 0x23) return; // a comment, whatever its coding
    const indented = bytes[0] === 0x20 || bytes[0] === 0x09;
    const problem = line.tooLong
      ? failure("LIST_LINE_INVALID", `line ${line.number} is longer than ${LONGEST_LINE} bytes`)
      : notText(bytes, line.number);
    if (problem) return yield* this.#refusedLine(line, bytes, indented, problem);
    const text = bytes.toString("utf8");
    const content = text.trim();
    if (content === "" || content.startsWith("#")) return;
    // An option's name never holds a colon, a URL's scheme always ends in one: an indented URL is still a URL.
    const bare = linkOfBareCode(content);
    if (indented && bare === undefined && !/^[a-z][a-z0-9+.-]*:/i.test(content))
      return yield* this.#option(line, content);
    yield* this.#begin(
      line,
      text,
      bare === undefined
        ? content
            .split("\t")
            .map((url) => url.trim())
            .filter(Boolean)
        : [bare],
      undefined,
    );
  }

  *#option(line: RawLine, content: string): Generator<ParsedEntry, void> {
    if (this.#open === undefined) {
      const error = failure("LIST_LINE_INVALID", `line ${line.number}: an option line needs a URL line before it`);
      return yield* this.#begin(line, `  ${content}`, [], error);
    }
    const entry = this.#open;
    this.#append(entry, `  ${content}`);
    entry.error ??= readOption(entry.draft, content, line.number);
  }

  /** A line that cannot be read: an option's spoils its entry, any other is an entry of its own. */
  *#refusedLine(line: RawLine, bytes: Buffer, indented: boolean, error: DownloadError): Generator<ParsedEntry, void> {
    const shown = `# ${printable(bytes)}${line.tooLong ? " …" : ""}`;
    if (!indented || this.#open === undefined) return yield* this.#begin(line, shown, [], error);
    this.#append(this.#open, shown);
    this.#open.error ??= error;
  }

  *#begin(
    line: RawLine,
    text: string,
    urls: readonly string[],
    error: DownloadError | undefined,
  ): Generator<ParsedEntry, void> {
    yield* this.#close({ offset: line.offset, line: line.number });
    this.#open = { lineNumber: line.number, urls, draft: { headers: [] }, lines: [text], length: text.length, error };
  }

  #append(entry: OpenEntry, text: string): void {
    entry.length += text.length;
    if (entry.length <= LONGEST_ENTRY) entry.lines.push(text);
    else
      entry.error ??= failure(
        "LIST_LINE_INVALID",
        `line ${entry.lineNumber}: with its options the entry is longer than ${LONGEST_ENTRY} characters`,
      );
  }

  *#close(next: ListPosition): Generator<ParsedEntry, void> {
    const entry = this.#open;
    this.#open = undefined;
    if (entry === undefined) return;
    const { lineNumber, urls } = entry;
    const text = entry.lines.join("\n");
    if (entry.error) return yield { lineNumber, line: text, error: entry.error, text, next };
    try {
      yield { lineNumber, urls, options: completeOptions(entry.draft, urls[0] ?? "", this.#context), text, next };
    } catch (error) {
      if (!(error instanceof DownloadError)) throw error;
      yield { lineNumber, line: text, error, text, next };
    }
  }
}

/** Why the bytes are no line of text, if they are none: neither UTF-8 nor free of control characters. */
function notText(bytes: Uint8Array, lineNumber: number): DownloadError | undefined {
  for (const byte of bytes)
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) {
      const code = byte.toString(16).toUpperCase().padStart(2, "0");
      return failure("LIST_NOT_TEXT", `line ${lineNumber} holds the control character 0x${code}`);
    }
  return isUtf8(bytes) ? undefined : failure("LIST_NOT_TEXT", `line ${lineNumber} is not UTF-8`);
}

/** The beginning of any bytes, in characters that can be printed; without the secrets of a URL, which are masked first. */
function printable(bytes: Buffer): string {
  const text = Array.from(bytes.toString("utf8"), (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0xfffd ? "�" : character;
  }).join("");
  return redactUrl(text).slice(0, SHOWN).toWellFormed();
}
