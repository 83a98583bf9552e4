/** DownloadService: taking requests, and steering what was taken. */
import { randomUUID } from "node:crypto";
import type {
  AddDownloadsRequest,
  AddDownloadsResponse,
  AddListRequest,
  AddListResponse,
  AddResult,
  DownloadServiceServer,
  FollowDownloadsRequest,
  MoveDownloadRequest,
  SetLimitRequest,
  DownloadRequest as WireRequest,
} from "../../gen/snatch/v1/download_service.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Selection, SteerOutcome } from "../core/ports/downloads.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import type { Calls } from "./calls.ts";
import { badField, toBatchId, toLimit, toOptions, toPlace, toSelection, toSessionId, toSessionIds } from "./convert.ts";
import { presentNow, type RpcPorts } from "./deps.ts";
import { type FollowScope, follow } from "./follow.ts";
import { presentError, presentOutcome, presentRefused, presentSession } from "./present.ts";
import { assertLocal, assertTargets, type Reach } from "./targets.ts";

/** Places that may hold one file. */
const MOST_URLS = 100;
/** Bytes of a list in one message. */
const LARGEST_PIECE = 1024 * 1024;
const LONGEST_NAME = 255;

/** The handlers for callers with this reach. */
export function downloadService(ports: RpcPorts, calls: Calls, reach: Reach): DownloadServiceServer {
  const { downloads, sessions } = ports;
  const steer = (work: (selection: Selection) => Promise<SteerOutcome>) =>
    calls.unary(async (request: { selection?: Parameters<typeof toSelection>[0] }) => ({
      result: presentOutcome(await work(toSelection(request.selection))),
    }));

  return {
    addDownloads: calls.unary((request: AddDownloadsRequest) => addDownloads(ports, reach, request)),
    addList: calls.clientStream((messages: AsyncIterable<AddListRequest>, signal) =>
      addList(ports, reach, messages, signal),
    ),
    followDownloads: calls.serverStream((request: FollowDownloadsRequest, send, signal) =>
      follow(ports, toScope(request), send, signal),
    ),
    pauseDownloads: steer((selection) => downloads.pause(selection)),
    resumeDownloads: steer((selection) => downloads.resume(selection)),
    cancelDownloads: steer((selection) => downloads.cancel(selection)),
    retryDownloads: steer((selection) => downloads.retry(selection)),
    removeDownloads: steer((selection) => downloads.remove(selection)),
    moveDownload: calls.unary(async (request: MoveDownloadRequest) => {
      const place = toPlace(request.destination);
      const { id } = await sessions.find(toSessionId(request.sessionId, "session_id"));
      const session = await downloads.move(id, place);
      return { session: presentSession(session, { queuePosition: await sessions.queuePosition(id) }) };
    }),
    setLimit: calls.unary(async ({ sessionId, bytesPerSecond }: SetLimitRequest) => {
      const limit = toLimit(bytesPerSecond, "bytes_per_second");
      if (sessionId === "") return { bytesPerSecond: await downloads.setLimit(limit) };
      const { id } = await sessions.find(toSessionId(sessionId, "session_id"));
      return { bytesPerSecond: await downloads.setLimit(limit, id) };
    }),
  };
}

function toScope({ sessionIds, batchId }: FollowDownloadsRequest): FollowScope {
  if (sessionIds.length > 0 === (batchId !== ""))
    throw badField("session_ids", "give session_ids or batch_id, and one of them only");
  return batchId === ""
    ? { ids: toSessionIds(sessionIds, "session_ids") }
    : { batchId: toBatchId(batchId, "batch_id") };
}

/** What was wrong with a request stays with that request; what is wrong with the daemon ends the call. */
async function addDownloads(
  ports: RpcPorts,
  reach: Reach,
  { downloads: wanted }: AddDownloadsRequest,
): Promise<AddDownloadsResponse> {
  if (wanted.length === 0) throw badField("downloads", "names nothing to download");
  const results: (AddResult | undefined)[] = [];
  const checked: DownloadRequest[] = [];
  for (const [index, request] of wanted.entries()) {
    try {
      checked.push(await check(ports, reach, request, `downloads[${index}]`));
      results.push(undefined);
    } catch (thrown) {
      const error = asDownloadError(thrown);
      if (error.code === "INTERNAL") throw thrown;
      results.push({ result: { $case: "error", value: presentError(error, ports.clock.now()) } });
    }
  }
  const batchId = wanted.length > 1 && checked.length > 0 ? randomUUID() : undefined;
  const accepted = checked.length === 0 ? [] : await ports.downloads.accept(checked, batchId ? { batchId } : {});
  const answers = accepted.values();
  return {
    results: results.map((result) => result ?? toResult(answers.next().value, ports)),
    batchId: batchId ?? "",
  };
}

function toResult(
  accepted: { readonly session: Parameters<typeof presentNow>[0] } | undefined,
  ports: RpcPorts,
): AddResult {
  if (accepted === undefined) throw new Error("the intake answered fewer requests than it was given");
  return { result: { $case: "session", value: presentNow(accepted.session, ports) } };
}

async function check(ports: RpcPorts, reach: Reach, wire: WireRequest, at: string): Promise<DownloadRequest> {
  if (wire.urls.length === 0) throw badField(`${at}.urls`, "names no URL");
  if (wire.urls.length > MOST_URLS) throw badField(`${at}.urls`, `${wire.urls.length} URLs; at most ${MOST_URLS}`);
  const options = optionsFor(reach, toOptions(wire.options, `${at}.options`));
  await assertTargets(options, reach);
  return ports.downloads.check(wire.urls, options);
}

/** Who asked is kept, for every attempt: see http/network-policy.ts. */
function optionsFor(reach: Reach, options: DownloadOptions): DownloadOptions {
  if (options.share === true) assertLocal(reach, "sharing what is fetched");
  return reach.local ? options : { ...options, remote: true };
}

async function addList(
  ports: RpcPorts,
  reach: Reach,
  messages: AsyncIterable<AddListRequest>,
  signal: AbortSignal,
): Promise<AddListResponse> {
  const stream = messages[Symbol.asyncIterator]();
  const first = await stream.next();
  if (first.done === true || first.value.part?.$case !== "header")
    throw badField("header", "the first message carries the header");
  const { name, options: wire } = first.value.part.value;
  const options = optionsFor(reach, toOptions(wire, "header.options"));
  await assertTargets(options, reach);
  const allowedDirectories = reach.allowedDirs();
  const taken = await ports.lists.take({
    name: toName(name),
    bytes: pieces(stream),
    options,
    ...(allowedDirectories && { allowedDirectories }),
    signal,
  });
  const now = ports.clock.now();
  return {
    batchId: taken.batchId,
    acceptedCount: taken.accepted,
    refusedCount: taken.refused,
    refused: taken.refusedLines.slice(0, 100).map((entry) => presentRefused(entry, now)),
  };
}

function toName(name: string): string {
  if (name.length > LONGEST_NAME) throw badField("header.name", `is longer than ${LONGEST_NAME} characters`);
  return name === "" ? "list" : name;
}

async function* pieces(stream: AsyncIterator<AddListRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
    if (next.value.part?.$case !== "data") throw badField("data", "every message after the first carries data");
    const { value } = next.value.part;
    if (value.length > LARGEST_PIECE)
      throw badField("data", `${value.length} bytes; at most ${LARGEST_PIECE} in a message`);
    yield value;
  }
}
