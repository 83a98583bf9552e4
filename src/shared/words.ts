/** Splits a command line into words as a shell would, and does nothing else that a shell does. */

/**
 * Words are separated by blanks. Quotes hold words together, a backslash takes the next character as it is (inside of
 * double quotes only `\` `"` `$` and `` ` ``). Nothing is expanded: `$NAME`, `*` and `;` are characters as any other.
 *
 * @throws Error if a quote is not closed, or if there is nothing behind the last backslash
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'" || character === '"') {
      const end = endOfQuote(text, at);
      const inner = text.slice(at + 1, end);
      word = (word ?? "") + (character === "'" ? inner : inner.replace(/\\([\\"$`])/g, "$1"));
      at = end;
    } else if (character === "\\") {
      if (++at === text.length) throw new Error("nothing follows the last backslash");
      word = (word ?? "") + text[at];
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

function endOfQuote(text: string, start: number): number {
  const quote = text[start] ?? "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return at;
    if (quote === '"' && text[at] === "\\") at++;
  }
  throw new Error(`the quote ${quote} is not closed`);
}
