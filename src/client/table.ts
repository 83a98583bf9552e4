/** Columns that fit the terminal, by the cells that characters take and not by their number. */

/** Marks and joiners that take no cell of their own. */
const ZERO_WIDTH = /^(?:\p{Mn}|\p{Me}|[\u200b-\u200d])$/u;
/** East Asian wide and fullwidth characters, and emoji (UAX #11, in the blocks where it matters). */
const WIDE =
  /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]$/u;
const ASCII = /^[\x20-\x7e]*$/;

/** One column. The last one takes what is left. */
export interface Column {
  readonly title: string;
  readonly width: number;
  readonly right?: boolean;
}

function cells(character: string): number {
  return ZERO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

/** How many cells of a terminal the text takes. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += cells(character);
  return width;
}

/** The text in at most `width` cells; what was cut in the middle is shown as "…", so that a name keeps its ending. */
export function shorten(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 1) return width === 1 ? "…" : "";
  const tail = Math.floor((width - 1) / 3);
  return `${take([...text], width - 1 - tail)}…${[...take([...text].reverse(), tail)].reverse().join("")}`;
}

function take(characters: readonly string[], width: number): string {
  let taken = "";
  let left = width;
  for (const character of characters) {
    left -= cells(character);
    if (left < 0) break;
    taken += character;
  }
  return taken;
}

/**
 * A row of a table.
 *
 * @param width - of the terminal; undefined cuts nothing
 */
export function row(columns: readonly Column[], values: readonly string[], width: number | undefined): string {
  let used = 0;
  const parts = columns.map((column, index) => {
    const value = values[index] ?? "";
    if (index === columns.length - 1) return width === undefined ? value : shorten(value, Math.max(8, width - used));
    used += column.width + 2;
    const padding = " ".repeat(Math.max(0, column.width - displayWidth(value)));
    return column.right ? padding + value : value + padding;
  });
  return parts.join("  ").trimEnd();
}

/** The titles of a table. */
export function header(columns: readonly Column[]): string {
  return row(
    columns,
    columns.map(({ title }) => title),
    undefined,
  );
}

/** The width of stdout's terminal; undefined if it is none. */
export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns || 80 : undefined;
}
