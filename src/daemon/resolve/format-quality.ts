/**
 * What is asked for as quality: a target (`320k`, `720p`, `best`, `worst`), fields to sort by (`res:720`, `+size`), or
 * several of them, the most important one first. A target is never a condition: what comes nearest from below is taken, and
 * if there is nothing below it, what comes nearest from above.
 */
import { parseSortField, type SortStep } from "./format-sort.ts";
import { FormatText } from "./format-text.ts";

/** A quality, read. */
export interface Quality {
  readonly steps: readonly SortStep[];
  /** The worst is wanted. */
  readonly worst: boolean;
  /** A rate is wanted, in kbit/s: of sound, unless the format says otherwise. */
  readonly kbps?: number;
}

const RATE = /^(\d+(?:\.\d+)?)([km])(?:bps|bit\/s|b)?$/i;
const LINES = /^(\d{2,5})p(\d{2,3})?$/i;

/** What is sold by its width: lines. */
const WIDTHS: Readonly<Record<string, number>> = { "2k": 1440, "4k": 2160, "8k": 4320 };

/** Fields, beyond which nobody sorts. */
const MOST_FIELDS = 64;

/** Reads a quality. @throws DownloadError FORMAT_INVALID with the place in the text */
export function parseQuality(whole: string): Quality {
  const { text } = new FormatText(whole, "quality");
  const steps: SortStep[] = [];
  let worst = false;
  let kbps: number | undefined;
  let at = 0;
  for (const [index, part] of text.split(",").entries()) {
    const item = part.trim();
    const place = { text, at: at + part.length - part.trimStart().length };
    at += part.length + 1;
    if (index >= MOST_FIELDS) throw new FormatText(text, "quality").invalid("these are too many fields", place.at);
    const rate = RATE.exec(item);
    const lines = LINES.exec(item);
    const named = WIDTHS[item.toLowerCase()];
    if (/^worst$/i.test(item)) worst = true;
    else if (/^best$/i.test(item)) worst = false;
    else if (named !== undefined || lines) {
      steps.push(upTo("res", named ?? Number(lines?.[1])));
      if (lines?.[2]) steps.push(upTo("fps", Number(lines[2])));
    } else if (rate) {
      kbps = Number(rate[1]) * (rate[2]?.toLowerCase() === "m" ? 1000 : 1);
      steps.push(upTo("rate", kbps));
    } else if (/^\d+$/.test(item))
      throw new FormatText(text, "quality").invalid(`write ${item}k for a rate, or ${item}p for a height`, place.at);
    else steps.push(...parseSortField(item, place));
  }
  return { steps, worst, ...(kbps !== undefined && { kbps }) };
}

const upTo = (field: string, limit: number): SortStep => ({ field, reverse: false, closest: false, limit });
