/**
 * The kinds of value that the configuration knows beyond zod's own: bytes and seconds that may be written with a unit,
 * paths, addresses, schedules. Each accepts its own result again, so that a parsed configuration parses to itself.
 */
import { join, resolve } from "node:path";
import { validate as isSchedule } from "node-cron";
import * as z from "zod";
import { parseAddress, parseHostPort } from "../../shared/address.ts";
import { parseBytes, parseDuration } from "../../shared/format.ts";
import { splitWords } from "../../shared/words.ts";

/** Hooks a reader of texts before a numeric schema; what it throws becomes the issue. */
function readable<S extends z.ZodType>(read: (text: string) => number, schema: S) {
  return z.preprocess((value: number | string, context) => {
    if (typeof value !== "string") return value;
    try {
      return read(value);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  }, schema);
}

/** Whole bytes: a number, or text such as "8M". */
export const bytes = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) =>
  readable(parseBytes, z.int().min(minimum).max(maximum));

/** Seconds: a number, or text such as "1.5s" and "10m". */
export const seconds = (minimum: number, maximum: number) =>
  readable(parseDuration, z.number().min(minimum).max(maximum));

/** Where paths start that are not absolute; both are. */
export interface Place {
  /** What relative paths are relative to. */
  readonly base: string;
  /** What `~` means. */
  readonly home: string;
}

/** A path, made absolute. */
export const path = (place: Place) =>
  z
    .string()
    .min(1)
    .refine((text) => !text.includes("\0"), "a path cannot hold a NUL character")
    .transform((text) => absolutePath(text, place));

/** The same, or "" for none. */
export const optionalPath = (place: Place) =>
  z
    .string()
    .refine((text) => !text.includes("\0"), "a path cannot hold a NUL character")
    .transform((text) => (text === "" ? "" : absolutePath(text, place)));

/** A program: a path as above, or a bare name that is looked up in PATH. */
export const program = (place: Place) =>
  z
    .string()
    .refine((text) => !text.includes("\0"), "a path cannot hold a NUL character")
    .transform((text) => (text.includes("/") ? absolutePath(text, place) : text));

/** Expands `~` and makes a path absolute. */
function absolutePath(text: string, place: Place): string {
  return text === "~" || text.startsWith("~/") ? join(place.home, text.slice(1)) : resolve(place.base, text);
}

/** An address to listen on, in the form of src/shared/address.ts. */
export const address = z.string().superRefine((text, context) => {
  try {
    parseAddress(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

/** A server as "host:port". */
export const hostPort = z.string().superRefine((text, context) => {
  try {
    parseHostPort(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

/** A TURN server's URI (RFC 7065 §3.1), without a login: that has keys of its own. */
export const turnUrl = z
  .string()
  .regex(
    /^turns?:(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?(\?transport=(udp|tcp))?$/i,
    "expected a TURN server such as turn:host:3478, turn:host:3478?transport=tcp or turns:host:5349",
  );

/** A command line, or "" for none. */
export const command = z.string().superRefine((text, context) => {
  try {
    if (text.includes("\0")) throw new Error("a command cannot hold a NUL character");
    splitWords(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

/** A cron expression, or "" for never. */
export const schedule = z
  .string()
  .refine((text) => text === "" || isSchedule(text), "expected five cron fields such as 17 4 * * *, or nothing");

/** An http or https URL, or "" for none. */
export const httpUrl = z
  .string()
  .refine((text) => text === "" || /^https?:/i.test(URL.parse(text)?.protocol ?? ""), "expected an http or https URL");

/** The secret of a webhook: text, or `whsec_` and bytes in base64. Short ones can be guessed. */
export const webhookSecret = z
  .string()
  .refine(
    (text) => (text.startsWith("whsec_") ? Buffer.from(text.slice(6), "base64").length : text.length) >= 16,
    "expected 16 characters or more, or whsec_ and 16 bytes or more in base64",
  );

/** Nesting beyond this is refused: nothing that follows has to fear for its stack. */
const MAX_DEPTH = 32;

/** Anything that JSON can hold; TOML's dates are not among it. */
export const json = z
  .unknown()
  .refine((value) => isJson(value, 0), "expected text, numbers, booleans, lists or tables");

function isJson(value: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  return isTable(value) && Object.values(value).every((item) => isJson(item, depth + 1));
}

/** True for an object of keys and values, as TOML and JSON make them; false for lists and dates. */
export function isTable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
