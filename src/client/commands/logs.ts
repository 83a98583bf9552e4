/** `snatchctl daemon logs`: the newest lines of the daemon's log, and with -f those that come, across rotations. */
import { type FileHandle, open, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { DaemonServiceService } from "../../gen/snatch/v1/daemon_service.ts";
import { connect, isGone } from "../connect.ts";
import { fail, misuse } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { lastLines, readableLine } from "../log-lines.ts";
import { print } from "../output.ts";

const POLL_MS = 250;
const PIECE = 64 * 1024;

/** The options of `daemon logs`. */
export interface LogFlags extends Globals {
  readonly follow?: boolean;
  readonly lines: string;
}

/** Prints the end of the log. With --json its lines as they are. */
export async function logs(flags: LogFlags): Promise<number> {
  if (!/^\d+$/.test(flags.lines)) throw misuse(`-n: "${flags.lines}" is not a number of lines`);
  const path = await findLog(flags);
  let file = await openLog(path);
  let position = await printEnd(file, Number(flags.lines), flags);
  if (!flags.follow) {
    await file.close();
    return 0;
  }
  let rest = "";
  for (;;) {
    const { text, end } = await readFrom(file, position);
    position = end;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) await printLine(line, flags);
    if (text !== "") continue;
    await sleep(POLL_MS);
    if (await hasBeenReplaced(path, file, position)) {
      await file.close();
      file = await openLog(path);
      position = 0;
    }
  }
}

/** The running daemon knows; without one it is where it would be. */
async function findLog(globals: Globals): Promise<string> {
  using connection = connect(globals);
  const { own, paths } = connection.target;
  try {
    const { logFile } = await connection.ask(DaemonServiceService.getStatus, {});
    if (logFile !== "") return logFile;
  } catch (error) {
    if (!own || !isGone(error)) throw error;
    return paths.logFile;
  }
  throw misuse("the daemon writes no log file", "See `journalctl -u snatchd`, with --user for a user's service.");
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch {
    throw fail("DAEMON_UNREACHABLE", `there is no log at ${path}`, "No daemon has run here: `snatchctl daemon start`.");
  }
}

/** Reads backwards until there are enough lines. @returns where the file ended */
async function printEnd(file: FileHandle, count: number, globals: Globals): Promise<number> {
  const { size } = await file.stat();
  let start = size;
  let bytes = Buffer.alloc(0);
  while (start > 0 && bytes.subarray(0, -1).toString("latin1").split("\n").length <= count) {
    const length = Math.min(PIECE, start);
    start -= length;
    const piece = Buffer.alloc(length);
    await file.read(piece, 0, length, start);
    bytes = Buffer.concat([piece, bytes]);
  }
  for (const line of lastLines(bytes.toString("utf8"), count)) await printLine(line, globals);
  return size;
}

async function readFrom(file: FileHandle, position: number): Promise<{ text: string; end: number }> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE), 0, PIECE, position);
  // A piece ends with a line, so that no character is cut; a line longer than a piece is cut.
  const cut = bytesRead === PIECE ? buffer.lastIndexOf(0x0a, bytesRead - 1) + 1 || bytesRead : bytesRead;
  return { text: buffer.toString("utf8", 0, cut), end: position + cut };
}

async function hasBeenReplaced(path: string, file: FileHandle, position: number): Promise<boolean> {
  try {
    const [now, held] = await Promise.all([stat(path), file.stat()]);
    return now.ino !== held.ino || now.dev !== held.dev || now.size < position;
  } catch {
    // Between the two steps of a rotation there is none.
    return false;
  }
}

async function printLine(line: string, globals: Globals): Promise<void> {
  if (line.trim() !== "") await print(globals.json ? line : readableLine(line));
}
