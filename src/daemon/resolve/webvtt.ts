/**
 * Segments of WebVTT as one file. Each segment is a whole file with a head; its clock is tied to that of the picture by
 * X-TIMESTAMP-MAP (RFC 8216 §3.5). A cue that reaches over a border is in both segments, and comes once.
 */

/** Ticks of the MPEG clock in a second, and where it wraps: 33 bits. */
const TICKS = 90_000;
const WRAP = 2 ** 33;

/** Cues of one file: a day with five a second. */
const MOST_CUES = 500_000;

/** Styles, regions and remarks. */
const MOST_HEADS = 1000;

/** Characters of one block. */
const LONGEST_BLOCK = 65_536;

/** A cue's times. Hours may be left out. */
const TIMES =
  /^[ \t]*((?:\d{1,6}:)?[0-5]?\d:[0-5]?\d[.,]\d{1,3})[ \t]*-->[ \t]*((?:\d{1,6}:)?[0-5]?\d:[0-5]?\d[.,]\d{1,3})(.*)$/;

interface Cue {
  readonly start: number;
  readonly end: number;
  readonly id: string;
  readonly settings: string;
  readonly text: string;
}

/**
 * Joins segments, in their order, into one WebVTT file. The clock of the first segment that ties one is the file's: where
 * later segments tie theirs otherwise, their cues are moved. What is no WebVTT is left out.
 */
export function joinWebVtt(segments: readonly string[]): string {
  const heads = new Set<string>();
  const cues: Cue[] = [];
  let base: number | undefined;
  let last = 0;
  for (const segment of segments) {
    const [head = "", ...blocks] = blocksOf(segment);
    if (!/^WEBVTT(?:[ \t\n]|$)/.test(head)) continue;
    const written = offsetOf(head);
    if (written !== undefined) {
      last = base === undefined ? written : unwrapped(written, last);
      base ??= last;
    }
    const shift = written === undefined || base === undefined ? 0 : last - base;
    for (const block of blocks) {
      if (/^(STYLE|REGION|NOTE)(?=[ \t\n]|$)/.test(block)) {
        if (heads.size < MOST_HEADS) heads.add(block);
      } else if (cues.length < MOST_CUES) cues.push(...cuesOf(block, shift));
    }
  }
  cues.sort((a, b) => a.start - b.start || a.end - b.end);
  // Styles and regions have no effect behind the first cue; remarks may stand anywhere.
  const written = mended(cues).map(
    ({ id, start, end, settings, text }) => `${id}${stamp(start)} --> ${stamp(end)}${settings}\n${text}`,
  );
  return `${["WEBVTT", ...heads, ...written].join("\n\n")}\n`;
}

/** Blocks: what is between empty lines. */
function blocksOf(segment: string): readonly string[] {
  return segment
    .replace(/^\uFEFF/, "")
    .replace(/\r\n?/g, "\n")
    .replaceAll("\0", "\uFFFD")
    .split(/\n{2,}/)
    .map((block) => block.replace(/^\n|\n$/g, ""))
    .filter((block) => block !== "" && block.length <= LONGEST_BLOCK);
}

/** Milliseconds of the picture's clock at the cues' zero; undefined if the head ties none. */
function offsetOf(head: string): number | undefined {
  const [, map] = /^X-TIMESTAMP-MAP=([^\n]{1,200})$/m.exec(head) ?? [];
  const [, ticks] = /(?:^|,)[ \t]*MPEGTS:(\d{1,12})/.exec(map ?? "") ?? [];
  const [, local] = /(?:^|,)[ \t]*LOCAL:([\d:.]{1,20})/.exec(map ?? "") ?? [];
  const at = local === undefined ? undefined : millisecondsOf(local);
  return ticks === undefined || at === undefined ? undefined : ((Number(ticks) % WRAP) * 1000) / TICKS - at;
}

/** The MPEG clock begins anew after 26 hours: what is nearest to the segment before is meant. */
function unwrapped(offset: number, before: number): number {
  const wrap = (WRAP * 1000) / TICKS;
  return offset + Math.round((before - offset) / wrap) * wrap;
}

/** The cues of a block: one, or more where the empty line between them is missing. */
function cuesOf(block: string, shift: number): readonly Cue[] {
  const lines = block.split("\n");
  const arrows = lines.flatMap((line, index) => (line.includes("-->") ? index : []));
  return arrows.flatMap((at, index) => {
    const [, from = "", to = "", settings = ""] = TIMES.exec(lines[at] ?? "") ?? [];
    const start = millisecondsOf(from);
    const end = millisecondsOf(to);
    const text = lines.slice(at + 1, arrows[index + 1]).join("\n");
    if (start === undefined || end === undefined || text.trim() === "") return [];
    const moved = { start: Math.max(0, Math.round(start + shift)), end: Math.round(end + shift) };
    // Nothing of it can be seen.
    if (moved.end <= moved.start) return [];
    return { ...moved, id: at === 1 && index === 0 ? `${lines[0]}\n` : "", settings: settings.trimEnd(), text };
  });
}

/** A cue that reaches over the border of segments is in both, whole or cut: the same words, without a break. */
function mended(cues: readonly Cue[]): readonly Cue[] {
  const open = new Map<string, number>();
  const whole: Cue[] = [];
  for (const cue of cues) {
    const key = `${cue.settings}\n${cue.text}`;
    const at = open.get(key);
    const before = at === undefined ? undefined : whole[at];
    if (at !== undefined && before && cue.start <= before.end) {
      whole[at] = { ...before, end: Math.max(before.end, cue.end) };
      continue;
    }
    open.set(key, whole.length);
    whole.push(cue);
  }
  return whole;
}

function millisecondsOf(text: string): number | undefined {
  const [, hours = "0", minutes, seconds, part = "0"] =
    /^(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?$/.exec(text) ?? [];
  if (minutes === undefined || seconds === undefined) return undefined;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(part.padEnd(3, "0"));
}

function stamp(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const written = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return `${written}.${String(milliseconds % 1000).padStart(3, "0")}`;
}
