/** Which subtitles: languages, groups of them (`de-*`, `all`), and what is left out (`-live_chat`). */
import type { Subtitle } from "../core/resolved.ts";

/** From the best: what can be put into a file comes first. */
const EXTS: readonly Subtitle["ext"][] = ["vtt", "srt", "ass", "ttml"];

/** What was found. */
export interface ChosenSubtitles {
  readonly subtitles: readonly Subtitle[];
  /** What was asked for and is not there. */
  readonly missing: readonly string[];
}

/**
 * Chooses subtitles, one of each language, in the order in which they were asked for. What a machine wrote is taken only
 * where its language is asked for by its name and no person wrote any.
 */
export function chooseSubtitles(all: readonly Subtitle[], wanted: readonly string[]): ChosenSubtitles {
  const chosen = new Map<string, Subtitle>();
  const missing: string[] = [];
  for (const item of wanted) {
    const text = item.trim().toLowerCase();
    if (text === "") continue;
    if (text.startsWith("-")) {
      const left = matcher(text.slice(1));
      for (const language of [...chosen.keys()]) if (left(language)) chosen.delete(language);
      continue;
    }
    const fits = matcher(text);
    const byName = text !== "all" && !text.includes("*");
    const found = all.filter(({ language }) => fits(language.toLowerCase()));
    const written = found.filter(({ automatic }) => !automatic);
    const usable = written.length === 0 && byName ? found : written;
    if (usable.length === 0) missing.push(item.trim());
    for (const subtitle of [...usable].sort((a, b) => EXTS.indexOf(a.ext) - EXTS.indexOf(b.ext))) {
      const language = subtitle.language.toLowerCase();
      if (!chosen.has(language)) chosen.set(language, subtitle);
    }
  }
  return { subtitles: [...chosen.values()], missing };
}

/** `*` stands for any characters, "all" for every language. */
function matcher(pattern: string): (language: string) => boolean {
  if (pattern === "all") return () => true;
  const [first = "", ...rest] = pattern.split("*");
  return (language) => {
    if (rest.length === 0) return language === first;
    if (!language.startsWith(first)) return false;
    let at = first.length;
    for (const piece of rest.slice(0, -1)) {
      const found = language.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    const last = rest.at(-1) ?? "";
    return language.length - last.length >= at && language.endsWith(last);
  };
}
