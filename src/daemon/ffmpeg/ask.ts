/** Short questions to FFmpeg and ffprobe: the whole answer as text, within a time limit. */
import { failure } from "../core/errors.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { LogTail } from "./log-tail.ts";
import { start } from "./process.ts";

/** Milliseconds that an answer may take. */
const LIMIT_MS = 30_000;
/** Longest answer in bytes: a file with 10,000 chapters has 4 MB of JSON. */
const LONGEST = 64 * 1024 * 1024;

/**
 * What a program prints on stdout.
 *
 * @param limitMs - milliseconds
 * @throws DownloadError FFMPEG_FAILED if somebody kills it; Error with its last lines if it does not end with 0 within the limit; the signal's reason
 */
export async function ask(
  program: string,
  args: readonly string[],
  clock: Clock,
  signal?: AbortSignal,
  limitMs = LIMIT_MS,
): Promise<string> {
  signal?.throwIfAborted();
  const child = await start({ program, args, clock, feeds: false, progress: false });
  let why: string | undefined;
  const stop = (reason: string): void => {
    why ??= reason;
    child.stop();
  };
  const onAbort = (): void => stop("was called off");
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const stopLimit = clock.timer(limitMs, () => stop(`did not answer within ${limitMs / 1000} s`));
  const log = new LogTail();
  child.stderr.on("data", (bytes: Buffer) => log.add(bytes));
  const pieces: Buffer[] = [];
  let length = 0;
  child.stdout.on("data", (bytes: Buffer) => {
    length += bytes.length;
    if (length > LONGEST) stop(`says more than ${LONGEST} bytes`);
    else pieces.push(bytes);
  });
  try {
    const { code, signal: killedBy } = await child.ended;
    signal?.throwIfAborted();
    if (why !== undefined) throw new Error(why);
    // Somebody else's doing, and no fault of what it was asked about.
    if (killedBy === "SIGKILL" || killedBy === "SIGTERM")
      throw failure("FFMPEG_FAILED", `${program} was ended by ${killedBy}`, { metadata: { signal: killedBy } });
    const how = killedBy === null ? `exit code ${code}` : killedBy;
    if (code !== 0) throw new Error([how, ...log.lines().slice(-5)].join(": "));
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    stopLimit();
    signal?.removeEventListener("abort", onAbort);
  }
}
