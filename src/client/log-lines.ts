/** The daemon's log for people: its lines are JSON in a file, and text when something else wrote them. */
import { escapeControls } from "./output.ts";

/** The last lines of a text, without empty ones. */
export function lastLines(text: string, count: number): string[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return count === 0 ? [] : lines.slice(-count);
}

/** A JSON line as "2026-11-22 12:00:00.000 WARN room: message  key=value"; any other line as it is. */
export function readableLine(line: string): string {
  const record = parseRecord(line);
  if (record === undefined) return escapeControls(line);
  const { level, time, msg, room, ...fields } = record;
  const parts = [
    String(time ?? "")
      .replace("T", " ")
      .replace("Z", ""),
    String(level ?? "")
      .toUpperCase()
      .padEnd(5),
    `${room === undefined ? "" : `${String(room)}: `}${String(msg ?? "")}`,
    ...Object.entries(fields).map(([key, value]) => `${key}=${readableValue(value)}`),
  ];
  return escapeControls(parts.filter((part) => part.trim() !== "").join(" "));
}

function readableValue(value: unknown): string {
  if (typeof value === "object" && value !== null && "message" in value) return JSON.stringify(value.message);
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
