/** What the vault keeps beside the body of an answer, as JSON; read back with suspicion, since it lay on a disk. */
import type { CachedAnswer, Fields } from "./http-caching.ts";

/** A value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** An answer as it is kept, without its body. */
export interface KeptAnswer extends CachedAnswer {
  /** After redirects. */
  readonly url: string;
  /** Redirects led to it: what they would say the next time is not known. */
  readonly redirected: boolean;
  /** What the kind of cache found in the body. */
  readonly found: Json;
}

/** Grows with every change of the form: what has another number is a miss. */
const VERSION = 1;

/** The note of an answer. */
export function writeNote({ headers, varied, ...answer }: KeptAnswer): string {
  const fields = [...varied].map(([name, value]) => [name, value ?? null]);
  return JSON.stringify({ version: VERSION, ...answer, headers: [...headers], varied: fields });
}

/** The answer of a note; undefined if it is none of this version. */
export function readNote(note: string): KeptAnswer | undefined {
  const read = parse(note);
  if (!isRecord(read) || read["version"] !== VERSION) return undefined;
  const { status, url, redirected, requestTime, responseTime, found } = read;
  const headers = pairs(read["headers"]);
  const varied = pairs(read["varied"]);
  if (typeof status !== "number" || typeof requestTime !== "number" || typeof responseTime !== "number")
    return undefined;
  if (typeof url !== "string" || typeof redirected !== "boolean" || headers === undefined || varied === undefined)
    return undefined;
  const present = headers.filter((pair): pair is [string, string] => pair[1] !== undefined);
  const fields: Fields = new Map(present);
  return {
    status,
    url,
    redirected,
    requestTime,
    responseTime,
    headers: fields,
    varied: new Map(varied),
    found: found ?? null,
  };
}

/** JSON that may be none. */
export function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function isRecord(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function pairs(value: Json | undefined): [string, string | undefined][] | undefined {
  if (!Array.isArray(value)) return undefined;
  const found: [string, string | undefined][] = [];
  for (const pair of value as readonly Json[]) {
    if (!Array.isArray(pair)) return undefined;
    const [name, content] = pair as readonly Json[];
    if (typeof name !== "string" || !(content === null || typeof content === "string")) return undefined;
    found.push([name, content ?? undefined]);
  }
  return found;
}
