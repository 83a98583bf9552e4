/** `snatchctl sessions`: all sessions as lines of JSON, out of one daemon and into another. */
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { finished } from "node:stream/promises";
import { type ImportSessionsRequest, SessionServiceService } from "../../gen/snatch/v1/session_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { type Connection, connect } from "../connect.ts";
import { fail, messageOf } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";

/** Less than the 1 MiB that the daemon takes in one message. */
const PIECE = 256 * 1024;

/** Writes all sessions to a file, which appears only when it is whole, or to stdout ("-"). */
export async function exportSessions(globals: Globals, file: string): Promise<number> {
  using connection = connect(globals);
  if (file === "-") {
    await write(connection, process.stdout);
    return 0;
  }
  const path = resolve(file);
  const temporary = `${path}.${process.pid}.part`;
  try {
    // It may hold header fields with secrets: only for its owner.
    const stream = createWriteStream(temporary, { mode: 0o600, flush: true });
    await Promise.all([write(connection, stream).then(() => stream.end()), finished(stream)]);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    if ((error as NodeJS.ErrnoException).errno === undefined) throw error;
    throw fail("NOT_WRITABLE", `${path} cannot be written: ${messageOf(error)}`);
  }
  if (!globals.quiet) note(`exported to ${path}`);
  return 0;
}

async function write(connection: Connection, stream: NodeJS.WritableStream): Promise<void> {
  for await (const { data } of connection.receive(SessionServiceService.exportSessions, { filter: "" }))
    if (!stream.write(data)) await once(stream, "drain");
}

/** Takes in what an export wrote, from a file or stdin ("-"). @returns 2 if lines were refused */
export async function importSessions(globals: Globals, file: string): Promise<number> {
  using connection = connect(globals);
  const source = file === "-" ? process.stdin : createReadStream(resolve(file), { highWaterMark: PIECE });
  const answer = await connection.send(SessionServiceService.importSessions, pieces(source, file));
  const { importedCount, skippedCount, refused } = answer;
  if (globals.json) await print(jsonLine({ imported_count: importedCount, skipped_count: skippedCount, refused }));
  else {
    if (!globals.quiet) await print(`${importedCount} imported, ${skippedCount} were here already`);
    for (const reason of refused) note(`REFUSED ${escapeControls(reason)}`);
  }
  return refused.length > 0 ? EXIT.usage : EXIT.ok;
}

async function* pieces(source: AsyncIterable<Buffer>, file: string): AsyncGenerator<ImportSessionsRequest> {
  try {
    for await (const piece of source)
      for (let start = 0; start < piece.length; start += PIECE) yield { data: piece.subarray(start, start + PIECE) };
  } catch (error) {
    throw fail("INVALID_ARGUMENT", `${file} cannot be read: ${messageOf(error)}`, "Name a file that an export wrote.");
  }
}
