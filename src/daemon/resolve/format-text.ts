/** A text that is read character by character, and errors that say where in it something is wrong. */
import { type DownloadError, failure } from "../core/errors.ts";

/** Characters of a selector, a filter or a list of sort fields: nobody writes a longer one. */
const LONGEST = 4096;

/** @param at - place in the text, from 0. @returns FORMAT_INVALID that names the place, counted from 1 */
export function formatInvalid(what: "format" | "quality", text: string, at: number, why: string): DownloadError {
  const position = [...text.slice(0, at)].length + 1;
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return failure("FORMAT_INVALID", `${what} "${shown}", character ${position}: ${why}`, {
    metadata: { [what]: shown, position: String(position) },
  });
}

/** Reads a text from its beginning to its end. */
export class FormatText {
  readonly text: string;
  readonly what: "format" | "quality";
  /** The next character's place. */
  at = 0;

  /** @throws DownloadError FORMAT_INVALID if it is too long */
  constructor(text: string, what: "format" | "quality") {
    this.text = text;
    this.what = what;
    if (text.length > LONGEST)
      throw this.invalid(`it has ${text.length} characters; at most ${LONGEST} are read`, LONGEST);
  }

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  /** The next character; "" at the end. */
  get next(): string {
    return this.text.charAt(this.at);
  }

  skipBlanks(): void {
    this.take(/\s*/y);
  }

  /** Takes what a sticky pattern finds here; undefined if it finds nothing. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  /** Takes a character if it is the next one. */
  taken(character: string): boolean {
    if (this.next !== character) return false;
    this.at++;
    return true;
  }

  /**
   * Takes a quoted text, of which the opening quote is the next character; a backslash takes the next one as it is.
   *
   * @param raw - the backslashes stay
   */
  quoted(raw = false): string {
    const start = this.at;
    const quote = this.next;
    let text = "";
    for (this.at++; !this.ended; this.at++) {
      const character = this.next;
      if (character === quote) {
        this.at++;
        return text;
      }
      if (character === "\\") {
        if (raw) text += character;
        this.at++;
      }
      text += this.next;
    }
    throw this.invalid(`the quote ${quote} is not closed`, start);
  }

  /** What is wrong, here or elsewhere. */
  invalid(why: string, at = this.at): DownloadError {
    return formatInvalid(this.what, this.text, at, why);
  }
}
