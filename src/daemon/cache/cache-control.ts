/**
 * The Cache-Control field (RFC 9111 §5.2), read strictly. A directive that is broken or contradicts itself never makes an
 * answer fresher: its number counts as absent, and the reader is told so; what restricts is obeyed in whatever company.
 */

/** The longest delta-seconds: what is longer, or overflows, becomes this (§1.2.2). */
export const LONGEST_SECONDS = 2 ** 31;

/** Directives whose argument is a number of seconds. */
const SECONDS: ReadonlySet<string> = new Set([
  "max-age",
  "s-maxage",
  "max-stale",
  "min-fresh",
  "stale-while-revalidate",
  "stale-if-error",
]);

/** token ["=" (token / quoted-string)], with the list's comma or the end behind it (RFC 9110 §5.6). */
const MEMBER = /[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)(?:=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)"))?)?[ \t]*(,|$)/sy;

/** What a Cache-Control field says. */
export interface CacheControl {
  /** By lower-case name; undefined for those without an argument. Of contradicting ones the first. */
  readonly directives: ReadonlyMap<string, string | undefined>;
  /** Names whose number is absent, is none, or differs from one occurrence to the next: it must not be relied on (§4.2.1). */
  readonly invalid: ReadonlySet<string>;
  /** A member could not be read at all; from there to the next comma was passed over. */
  readonly malformed: boolean;
}

/** Reads a field; repeated ones joined by commas. */
export function parseCacheControl(value: string | undefined): CacheControl {
  const directives = new Map<string, string | undefined>();
  const invalid = new Set<string>();
  let malformed = false;
  const text = value ?? "";
  for (let at = 0; at < text.length; ) {
    MEMBER.lastIndex = at;
    const found = MEMBER.exec(text);
    if (found === null) {
      malformed = true;
      const comma = text.indexOf(",", at);
      at = comma < 0 ? text.length : comma + 1;
      continue;
    }
    at = MEMBER.lastIndex;
    const name = found[1]?.toLowerCase();
    if (name === undefined) continue;
    const argument = found[2] ?? found[3]?.replace(/\\(.)/gs, "$1");
    if (SECONDS.has(name) && !isSeconds(name, argument)) invalid.add(name);
    if (!directives.has(name)) directives.set(name, argument);
    else if (SECONDS.has(name) && directives.get(name) !== argument) invalid.add(name);
  }
  return { directives, invalid, malformed };
}

/** A directive's seconds; undefined if it is absent or must not be relied on. `max-stale` without a number is the longest. */
export function secondsOf(control: CacheControl, name: string): number | undefined {
  if (!control.directives.has(name) || control.invalid.has(name)) return undefined;
  const argument = control.directives.get(name);
  return argument === undefined ? LONGEST_SECONDS : deltaSeconds(argument);
}

/** delta-seconds (§1.2.2). @returns undefined for anything but digits */
export function deltaSeconds(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), LONGEST_SECONDS) : undefined;
}

function isSeconds(name: string, argument: string | undefined): boolean {
  return argument === undefined ? name === "max-stale" : deltaSeconds(argument) !== undefined;
}
