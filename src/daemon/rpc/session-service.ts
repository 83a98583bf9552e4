/** SessionService: looking at sessions, and carrying them elsewhere. */
import type {
  ExportSessionsRequest,
  ExportSessionsResponse,
  GetSessionRequest,
  ImportSessionsRequest,
  ListSessionsRequest,
  SessionServiceServer,
  WatchSessionsRequest,
} from "../../gen/snatch/v1/session_service.ts";
import { matchesFilter, parseFilter } from "../session/filter.ts";
import type { Calls, Send } from "./calls.ts";
import { badField, toPageSize, toReverse, toSessionId } from "./convert.ts";
import { presentNow, type RpcPorts } from "./deps.ts";
import { toMasker } from "./field-mask.ts";
import { readPage } from "./page.ts";
import { presentSession } from "./present.ts";
import { assertLocal, type Reach } from "./targets.ts";
import { watch } from "./watch.ts";

/** Bytes of an export in one message, at least; one line may be longer. */
const EXPORT_PIECE = 256 * 1024;
const LARGEST_PIECE = 1024 * 1024;
/** Bytes of one line of an import: a session with every option at its limit is far below. */
const LONGEST_LINE = 16 * 1024 * 1024;

/** The handlers for callers with this reach. */
export function sessionService(ports: RpcPorts, calls: Calls, reach: Reach): SessionServiceServer {
  const { sessions, transfer, downloads } = ports;
  return {
    getSession: calls.unary(async (request: GetSessionRequest) => {
      const mask = toMasker(request.readMask);
      const session = await sessions.find(toSessionId(request.sessionId, "session_id"));
      const queuePosition = session.status === "queued" ? await sessions.queuePosition(session.id) : undefined;
      return { session: mask(presentSession(session, { live: downloads.live(session.id), queuePosition })) };
    }),
    listSessions: calls.unary(async (request: ListSessionsRequest) => {
      const mask = toMasker(request.readMask);
      const page = {
        size: toPageSize(request.pageSize),
        token: request.pageToken,
        reverse: toReverse(request.orderBy),
      };
      const read = await readPage(sessions, parseFilter(request.filter), page, (session) =>
        mask(presentNow(session, ports)),
      );
      // A large page leaves much behind, to be given back when nobody asks any more.
      ports.memory.wake();
      return { ...read, statusCounts: { ...sessions.counts() } };
    }),
    watchSessions: calls.serverStream((request: WatchSessionsRequest, send, signal) => {
      const after = request.afterSequence;
      if (after !== undefined && after < 0) throw badField("after_sequence", `${after} is less than 0`);
      const filter = parseFilter(request.filter);
      return watch(ports, { after, matches: (session) => matchesFilter(session, filter) }, send, signal);
    }),
    // An export holds URLs and header fields with their secrets, and an import may name any target.
    exportSessions: calls.serverStream(async (request: ExportSessionsRequest, send: Send<ExportSessionsResponse>) => {
      assertLocal(reach, "exporting sessions, which shows their secrets,");
      let lines: string[] = [];
      let length = 0;
      for await (const line of transfer.exportLines(parseFilter(request.filter))) {
        lines.push(line, "\n");
        length += line.length;
        if (length < EXPORT_PIECE) continue;
        await send({ data: Buffer.from(lines.join("")) });
        lines = [];
        length = 0;
      }
      if (lines.length > 0) await send({ data: Buffer.from(lines.join("")) });
    }),
    importSessions: calls.clientStream(async (messages: AsyncIterable<ImportSessionsRequest>) => {
      assertLocal(reach, "importing sessions");
      const outcome = await transfer.importLines(toLines(messages));
      return {
        importedCount: outcome.imported,
        skippedCount: outcome.skipped,
        refused: outcome.refused.slice(0, 100).map((why) => why.toWellFormed()),
      };
    }),
  };
}

/** Lines without their ends; blank ones are left out. */
async function* toLines(messages: AsyncIterable<ImportSessionsRequest>): AsyncGenerator<string> {
  let pieces: Buffer[] = [];
  let length = 0;
  const take = (last: Buffer): string => {
    const line = Buffer.concat([...pieces, last]).toString("utf8");
    pieces = [];
    length = 0;
    return line;
  };
  for await (const { data } of messages) {
    if (data.length > LARGEST_PIECE)
      throw badField("data", `${data.length} bytes; at most ${LARGEST_PIECE} in a message`);
    let from = 0;
    for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, from)) {
      const line = take(data.subarray(from, end));
      from = end + 1;
      if (line.trim() !== "") yield line;
    }
    pieces.push(data.subarray(from));
    length += data.length - from;
    if (length > LONGEST_LINE) throw badField("data", `a line is longer than ${LONGEST_LINE} bytes`);
  }
  const line = take(Buffer.alloc(0));
  if (line.trim() !== "") yield line;
}
