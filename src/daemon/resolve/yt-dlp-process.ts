/**
 * One run of yt-dlp: as a reader of pages only. No configuration, cookies, cache or programs of the user's; in a process
 * group of its own that ends with the request; its output bounded.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { failure } from "../core/errors.ts";
import type { Clock } from "../core/ports/runtime.ts";

/** Bytes of its JSON. */
const MOST_OUTPUT = 64 * 1024 * 1024;
const MOST_COMPLAINTS = 64 * 1024;
/** Milliseconds from the request to end to the signal that nothing can refuse. */
const GRACE_MS = 2000;
/** Seconds without a byte, for yt-dlp's own requests. */
const SOCKET_TIMEOUT_S = 20;

/** What of the environment is handed on: how to find Python, and the proxies. */
const HANDED_ON = /^(PATH|SSL_CERT_(FILE|DIR)|(https?|all|no)_proxy)$/i;

/** A run. */
export interface YtDlpRun {
  readonly program: string;
  readonly url: string;
  /** Of a playlist, so many entries; absent: a URL that is of both a video and a playlist means the video. */
  readonly newest?: number;
  readonly mostEntries: number;
  /** A proxy's URL; absent: as the environment says. */
  readonly proxy?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where a program is; "" is yt-dlp in PATH. */
export function locateProgram(program: string, path: string | undefined): string | undefined {
  const name = program === "" ? "yt-dlp" : program;
  const places = isAbsolute(name)
    ? [name]
    : (path ?? "")
        .split(delimiter)
        .filter(isAbsolute)
        .map((folder) => join(folder, name));
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return statSync(place).isFile();
    } catch {
      return false;
    }
  });
}

/** @returns what it printed @throws ResourceError MEDIA_NOT_FOUND, NetworkError TIMED_OUT, the signal's reason */
export async function runYtDlp(run: YtDlpRun): Promise<string> {
  const { signal, clock, program, timeoutMs } = run;
  signal.throwIfAborted();
  const child = await startChild(run);
  let stopped: Error | undefined;
  let cancelKill = (): void => undefined;
  const stop = (why: Error): void => {
    if (stopped) return;
    stopped = why;
    killGroup(child, "SIGTERM");
    cancelKill = clock.timer(GRACE_MS, () => killGroup(child, "SIGKILL"));
  };
  const onAbort = (): void => stop(signal.reason instanceof Error ? signal.reason : new Error("called off"));
  signal.addEventListener("abort", onAbort, { once: true });
  const cancelLimit = clock.timer(timeoutMs, () =>
    stop(failure("TIMED_OUT", `${program} took longer than ${timeoutMs / 1000} s and was ended`)),
  );
  const output = collect(child.stdout, MOST_OUTPUT, () =>
    stop(failure("MEDIA_NOT_FOUND", `${program} printed more than ${MOST_OUTPUT} bytes and was ended`)),
  );
  const complaints = collect(child.stderr, MOST_COMPLAINTS, () => undefined);
  try {
    if (signal.aborted) onAbort();
    const [code] = (await once(child, "close")) as [number | null];
    if (stopped) throw stopped;
    if (code === 0) return Buffer.concat(output).toString("utf8");
    throw failure(
      "MEDIA_NOT_FOUND",
      `yt-dlp cannot read it: ${complaintIn(Buffer.concat(complaints).toString("utf8")) ?? `it ended with ${code}`}`,
    );
  } finally {
    cancelLimit();
    cancelKill();
    signal.removeEventListener("abort", onAbort);
    // What it started and left behind.
    killGroup(child, "SIGKILL");
  }
}

async function startChild({ program, url, newest, mostEntries, proxy, environment }: YtDlpRun): Promise<ChildProcess> {
  const args = [
    "--ignore-config",
    "--no-cache-dir",
    "--no-cookies",
    "--no-cookies-from-browser",
    "--no-exec",
    "--no-warnings",
    "--flat-playlist",
    newest === undefined ? "--no-playlist" : "--yes-playlist",
    "--playlist-end",
    String(Math.min(newest ?? mostEntries, mostEntries)),
    "--socket-timeout",
    String(SOCKET_TIMEOUT_S),
    ...(proxy === undefined ? [] : ["--proxy", proxy]),
    "--dump-single-json",
    "--",
    url,
  ];
  const handed = Object.entries(environment).filter(([name]) => HANDED_ON.test(name));
  // Neither the user's plug-ins nor the user's packages.
  const nowhere = { HOME: "/nonexistent", XDG_CONFIG_HOME: "/nonexistent", PYTHONNOUSERSITE: "1", PYTHONSAFEPATH: "1" };
  try {
    const child = spawn(program, args, {
      cwd: "/",
      env: { ...Object.fromEntries(handed), LANG: "C.UTF-8", PYTHONIOENCODING: "utf-8", ...nowhere },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    await once(child, "spawn");
    return child;
  } catch (error) {
    throw failure("MEDIA_NOT_FOUND", `${program} could not be started: ${(error as Error).message}`, { cause: error });
  }
}

function collect(stream: ChildProcess["stdout"], most: number, onTooMuch: () => void): Buffer[] {
  const pieces: Buffer[] = [];
  let length = 0;
  stream?.on("data", (bytes: Buffer) => {
    length += bytes.length;
    if (length <= most) pieces.push(bytes);
    else onTooMuch();
  });
  return pieces;
}

/** Its last error, without its advice on reporting bugs. */
function complaintIn(text: string): string | undefined {
  const line = text.split("\n").findLast((each) => each.startsWith("ERROR:")) ?? text.trim().split("\n").at(-1);
  const found = line
    ?.replace(/^ERROR:\s*/, "")
    .replace(/\p{Cc}\[[0-9;]*m|\p{Cc}/gu, "")
    .replace(/; please report this issue.*$/, "")
    .slice(0, 500);
  return found === "" ? undefined : found;
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}
