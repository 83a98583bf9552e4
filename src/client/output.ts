/**
 * What goes to the terminal. Text from the network never carries control characters there: they are shown as escapes,
 * so that no server can move the cursor, change the title or forge a line.
 */
import { once } from "node:events";
import { styleText } from "node:util";
import { ClientError, messageOf } from "./failure.ts";
import type { Globals } from "./globals.ts";

/** C0, DEL, C1, line and paragraph separators, and the controls that turn the direction of text (UAX #9). */
const CONTROLS = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** What most text consists of: nothing to escape. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Text as one harmless line: "\x1b[2J" instead of what would clear the screen. */
export function escapeControls(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(CONTROLS, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** One object as one line of JSON, with every control character as \uXXXX. */
export function jsonLine(value: unknown): string {
  return escapeJson(JSON.stringify(value));
}

/** JSON with every control character as \uXXXX. */
export function escapeJson(json: string): string {
  return json.replace(CONTROLS, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}

/** Writes a line to stdout, waiting while the reader is slower. */
export async function print(line: string, end = "\n"): Promise<void> {
  if (!process.stdout.write(line + end)) await once(process.stdout, "drain");
}

/** Writes a line to stderr. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

type Style = Parameters<typeof styleText>[0];

/** Coloured for stdout, if it is a terminal and NO_COLOR is not set. */
export function paint(style: Style, text: string): string {
  // styleText looks at NO_COLOR and the terminal's depth each time: not for thousands of lines that go to a pipe.
  return process.stdout.isTTY ? styleText(style, text, { stream: process.stdout }) : text;
}

/** An error as JSON: the same fields as a session's `error_info`. */
export function errorJson(error: ClientError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    exit_code: error.exit,
    ...(Object.keys(error.metadata).length > 0 && { metadata: error.metadata }),
  };
}

/** An error for people: "CODE: message", and the hint on a line of its own. */
export function describeError(error: ClientError): string {
  const line = `${error.code}: ${escapeControls(error.message)}`;
  return error.hint ? `${line}\n  ${escapeControls(error.hint)}` : line;
}

/** Reports what ended a command, on stderr. @returns the exit code */
export function reportFailure(thrown: unknown, globals: Globals): number {
  const error = thrown instanceof ClientError ? thrown : new ClientError("INTERNAL", messageOf(thrown));
  note(globals.json ? jsonLine({ error: errorJson(error) }) : `snatchctl: ${describeError(error)}`);
  if (!(thrown instanceof ClientError) && process.env["SNATCH_DEBUG"] && thrown instanceof Error)
    note(String(thrown.stack));
  return error.exit;
}
