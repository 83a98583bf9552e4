/** `snatchctl share`: shares files and folders, and shows the code by which others fetch them. */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import {
  type CreatedShare,
  CreateShareRequest,
  type HashProgress,
  type Share,
  ShareServiceService,
} from "../../gen/snatch/v1/share_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { formatBytes, formatDuration, formatRate } from "../../shared/format.ts";
import { Connection } from "../connect.ts";
import { fail, messageOf, misuse } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { Interrupt } from "../interrupt.ts";
import { ensureDaemon } from "../launch.ts";
import { OneLine } from "../one-line.ts";
import { readCount, readDuration } from "../order.ts";
import { escapeControls, jsonLine, note, paint, print } from "../output.ts";
import { shareLink } from "../share-link.ts";
import { countOfFiles, shareJson } from "../share-view.ts";
import { resolveTarget, type Target } from "../target.ts";

/** The options of `share` as they stand on the command line. */
export interface ShareFlags extends Globals {
  readonly expires?: string;
  readonly maxFetches?: string;
  readonly maxPeers?: string;
  readonly name?: string;
  /** `--no-encryption` makes it false. */
  readonly encryption?: boolean;
  readonly new?: boolean;
  /** `--no-qr` makes it false. */
  readonly qr?: boolean;
}

/** What was left out is named so often; the rest is counted. */
const MOST_LEFT_OUT = 10;

/** @returns 0 when it is shared; 130 after Ctrl-C, and then nothing is */
export async function share(flags: ShareFlags, words: readonly string[]): Promise<number> {
  const target = resolveTarget(flags);
  const request = readRequest(flags, words, target);
  using interrupt = new Interrupt();
  await ensureDaemon(flags, target);
  using connection = new Connection(target);
  const created = await create(connection, request, flags, interrupt.signal);
  if (interrupt.signal.aborted) {
    if (!flags.quiet) note("nothing was shared");
    return EXIT.interrupted;
  }
  if (created?.share === undefined) throw fail("INTERNAL", "the daemon has ended the call without a share");
  await report(created, created.share, flags);
  return EXIT.ok;
}

/** Only what no daemon could take: before one is started. */
function readRequest(flags: ShareFlags, words: readonly string[], target: Target): CreateShareRequest {
  // As an unset variable in a script would have it: it would be the folder that one happens to be in.
  if (words.some((word) => word.trim() === "")) throw misuse("a path is empty", "Write . for the folder you are in.");
  const paths = words.map((word) => resolve(word));
  if (target.address.kind === "unix") for (const path of paths) assertThere(path);
  return CreateShareRequest.fromPartial({
    paths,
    name: flags.name ?? "",
    expiresIn:
      flags.expires === undefined
        ? undefined
        : flags.expires === "never"
          ? { seconds: 0, nanos: 0 }
          : readLifetime(flags.expires),
    maxFetches: flags.maxFetches === undefined ? 0 : readCount("--max-fetches", flags.maxFetches, 1),
    maxPeers: flags.maxPeers === undefined ? 0 : readCount("--max-peers", flags.maxPeers, 1),
    noEncryption: flags.encryption === false,
    fresh: flags.new ?? false,
  });
}

function assertThere(path: string): void {
  try {
    lstatSync(path);
  } catch (error) {
    throw fail("SHARE_INVALID", `${path} cannot be shared: ${messageOf(error)}`);
  }
}

function readLifetime(text: string): { seconds: number; nanos: number } {
  const duration = readDuration("--expires", text);
  if (duration.seconds === 0 && duration.nanos === 0)
    throw misuse(`--expires: ${text} is over at once`, "Write --expires 1d, or never.");
  return duration;
}

/** Shows how far the hashing is. @returns undefined after Ctrl-C */
async function create(
  connection: Connection,
  request: CreateShareRequest,
  flags: Globals,
  signal: AbortSignal,
): Promise<CreatedShare | undefined> {
  using view = new OneLine(flags, () => performance.now());
  const started = performance.now();
  for await (const { event } of connection.receive(ShareServiceService.createShare, request, signal)) {
    if (event?.$case === "created") return event.value;
    if (event?.$case === "progress") view.show(() => progressLine(event.value, performance.now() - started));
  }
  return undefined;
}

/** "reading 3 of 10 files, 120 MiB of 5.20 GiB, 850 MiB/s, 6 s left". */
export function progressLine(progress: HashProgress, elapsedMs: number): string {
  const { fileCount, byteCount, totalFileCount, totalByteCount } = progress;
  const rate = (byteCount * 1000) / Math.max(elapsedMs, 1);
  return [
    `reading ${totalFileCount === 1 ? "the file" : `${fileCount} of ${totalFileCount} files`}`,
    `${formatBytes(byteCount)} of ${formatBytes(totalByteCount)}`,
    ...(byteCount > 0
      ? [formatRate(rate), `${formatDuration(((totalByteCount - byteCount) * 1000) / rate)} left`]
      : []),
  ].join(", ");
}

async function report({ code, leftOut }: CreatedShare, made: Share, flags: ShareFlags): Promise<void> {
  if (flags.json) {
    const left = leftOut.map(({ path, reason }) => ({ path, reason }));
    await print(jsonLine({ code, link: shareLink(code), ...shareJson(made), left_out: left }));
    return;
  }
  if (!flags.quiet) tellLeftOut(leftOut);
  if (flags.quiet) {
    await print(code);
    return;
  }
  await print(`${escapeControls(made.name)}: ${countOfFiles(made.fileCount)}, ${formatBytes(made.size)}`);
  await print(`\n  code   ${paint("bold", code)}\n  link   ${shareLink(code)}`);
  await print(`  lasts  ${lasts(made)}; snatchctl unshare ${made.shareId.slice(0, 8)} ends it`);
  await print(`\nAt the other end: snatchctl fetch ${code}`);
  for (const line of flags.qr === false ? [] : await qr(code)) await print(line);
  note("Whoever has the code can fetch it. It can be had while snatchd runs here.");
  if (!made.encryption) note(UNENCRYPTED);
}

const UNENCRYPTED =
  "Without encryption: on the local network others can read the bytes of the files on their way. " +
  "They still need the code to be given any, and what arrives is still proved. Over the internet it is encrypted all the same.";

function tellLeftOut(leftOut: CreatedShare["leftOut"]): void {
  for (const { path, reason } of leftOut.slice(0, MOST_LEFT_OUT))
    note(`left out ${escapeControls(path)}: ${escapeControls(reason)}`);
  const more = leftOut.length - MOST_LEFT_OUT;
  if (more > 0) note(`… and ${more} more were left out (--json names all)`);
}

function lasts({ expireTime, createTime, maxFetches }: Share): string {
  const fetches =
    maxFetches === 0 ? "" : `, or until it was fetched ${maxFetches === 1 ? "once" : `${maxFetches} times`}`;
  if (expireTime === undefined) return `until you end it${fetches}`;
  const span = formatDuration(expireTime.getTime() - (createTime ?? new Date()).getTime());
  return `${span}, until ${expireTime.toLocaleString("sv")}${fetches}`;
}

/** Only where somebody can point a camera at it. */
async function qr(code: string): Promise<readonly string[]> {
  if (!process.stdout.isTTY || process.env["TERM"] === "dumb") return [];
  const { qrLines } = await import("../qr.ts");
  // In capitals it is smaller: the alphanumeric mode has no others, and schemes have no case (RFC 3986 §3.1).
  const lines = qrLines(shareLink(code).toUpperCase(), process.stdout.columns || 80, process.stdout.hasColors());
  return lines === undefined ? [] : ["", ...lines];
}
