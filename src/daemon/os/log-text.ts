/**
 * A record of the log as one line that a person reads. What comes from outside (names, URLs, messages of servers) may
 * hold control characters: they are escaped, so that no log line can move a terminal's cursor or pretend to be two.
 */

/** Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of text (UAX #9 §2). */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

const NAMES: Readonly<Record<string, string>> = { debug: "DEBUG", info: "INFO ", warn: "WARN ", error: "ERROR" };
const COLOURS: Readonly<Record<string, string>> = { debug: "90", info: "32", warn: "33", error: "31" };

/** Replaces characters that a terminal would obey by their escapes, such as `\n` or `\u001b`. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
    return short ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** How a line is to look. */
export interface TextStyle {
  /** Local time in front; the journal has its own. */
  readonly time: boolean;
  readonly colour: boolean;
}

/** A line without its line feed: time, level, room, message, then the fields as `name=value`. */
export function formatRecord(record: Readonly<Record<string, unknown>>, style: TextStyle): string {
  const { level, time, msg, room, ...fields } = record;
  const name = String(level);
  const paint = (code: string | undefined, text: string) =>
    style.colour && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const parts = [
    ...(style.time ? [paint("90", clockTime(time))] : []),
    ...(style.time ? [paint(COLOURS[name], NAMES[name] ?? name)] : []),
    (room === undefined ? "" : `${escapeControls(String(room))}: `) + escapeControls(String(msg ?? "")),
    ...Object.entries(fields).map(([key, value]) => `${paint("90", `${escapeControls(key)}=`)}${formatValue(value)}`),
  ];
  return parts.join(" ");
}

/** "14:03:22.120", as the clock on the wall shows it. */
function clockTime(time: unknown): string {
  const date = new Date(typeof time === "string" || typeof time === "number" ? time : Number.NaN);
  if (Number.isNaN(date.getTime())) return "--:--:--.---";
  const two = (value: number) => String(value).padStart(2, "0");
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

function formatValue(value: unknown): string {
  if (isError(value)) return quote(describeError(value));
  if (typeof value === "string") return quote(value);
  return escapeControls(JSON.stringify(value) ?? "undefined");
}

function quote(text: string): string {
  return /^[^\s"=]+$/.test(text) ? escapeControls(text) : `"${escapeControls(text.replace(/["\\]/g, "\\$&"))}"`;
}

interface SerializedError {
  readonly type: string;
  readonly message: string;
  readonly stack: string;
  readonly code?: unknown;
}

/** An error as pino's serializer leaves it. */
function isError(value: unknown): value is SerializedError {
  if (typeof value !== "object" || value === null) return false;
  const { type, message, stack } = value as Partial<Record<string, unknown>>;
  return typeof type === "string" && typeof message === "string" && typeof stack === "string";
}

/** Kind, code, message (causes are in it already) and the place in our own code where it was made. */
function describeError(error: SerializedError): string {
  const place = error.stack.split("\n").find((line) => /^\s+at /.test(line) && !line.includes("node:"));
  const where = place === undefined ? "" : ` (${place.trim()})`;
  return `${error.type}${error.code === undefined ? "" : ` ${String(error.code)}`}: ${error.message}${where}`;
}
