/** QR codes (ISO/IEC 18004) in a terminal: two rows a line, dark on light whatever the colours of the terminal are. */
import { styleText } from "node:util";
import { encode } from "uqr";

/** Light modules around it, on each side: fewer than the standard's four, as readers of today can do with. */
const BORDER = 2;

/**
 * The lines of a QR code.
 *
 * @param columns - of the terminal
 * @returns undefined if it is too narrow, or without colours: then dark and light could be the wrong way round
 */
export function qrLines(text: string, columns: number, colours: boolean): readonly string[] | undefined {
  const { data, size } = encode(text, { ecc: "L", border: BORDER });
  if (!colours || size > columns) return undefined;
  return Array.from({ length: Math.ceil(size / 2) }, (_, line) => {
    const [top = [], bottom = []] = [data[2 * line], data[2 * line + 1]];
    const cells = Array.from({ length: size }, (_cell, x) => CELLS[(top[x] ? 2 : 0) + (bottom[x] ? 1 : 0)]);
    return styleText(["black", "bgWhiteBright"], cells.join(""), { validateStream: false });
  });
}

/** By what is dark: nothing, the lower half, the upper half, both. */
const CELLS = [" ", "▄", "▀", "█"] as const;
