/**
 * Starts a daemon in the background, and waits until it answers. When it ends instead, its last words are the reason
 * that is shown. Another daemon that was started at the same moment is as good.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withFrugalAllocator } from "../shared/allocator.ts";
import { EXIT, errorEntry } from "../shared/errors.ts";
import { ClientError, fail, messageOf } from "./failure.ts";
import type { Globals } from "./globals.ts";
import { lastLines, readableLine } from "./log-lines.ts";
import { note } from "./output.ts";
import { answers, resolveTarget, type Target } from "./target.ts";

/** A slow disk and a large database included. */
const START_TIMEOUT_MS = 60_000;

/** The program beside this one: built, in dist/, or as sources. SNATCHD_PROGRAM names another. */
function daemonProgram(): string {
  const here = import.meta.dirname;
  const candidates = [
    ...(process.env["SNATCHD_PROGRAM"] ? [resolve(process.env["SNATCHD_PROGRAM"])] : []),
    join(here, "snatchd.js"),
    join(here, "../snatchd.js"),
    join(here, "../daemon/main.ts"),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw fail("INTERNAL", `the daemon's program is not beside this one (${here})`);
  return found;
}

/** The command line of the daemon for these options, for `process.execPath`. @throws ClientError if it is not there */
export function daemonArguments(globals: Globals, ...more: readonly string[]): string[] {
  return [daemonProgram(), ...(globals.home === undefined ? [] : ["--home", resolve(globals.home)]), ...more];
}

/**
 * Starts the daemon if nothing answers at the user's own address. An address that somebody named is left alone.
 *
 * @returns the process id of a daemon that was started now
 * @throws ClientError with the daemon's reason and exit code if it does not start
 */
export async function ensureDaemon(globals: Globals, target: Target): Promise<number | undefined> {
  if (!target.own || (await answers(target.address))) return undefined;
  const pid = await startDaemon(globals, target);
  if (pid !== undefined && !globals.quiet) note(`started snatchd (pid ${pid})`);
  return pid;
}

/** @returns the process id; undefined if another daemon was quicker */
export async function startDaemon(globals: Globals, target = resolveTarget(globals)): Promise<number | undefined> {
  const { logFile } = target.paths;
  const { fd, start } = openLog(logFile);
  const child = spawn(process.execPath, daemonArguments(globals), {
    detached: true,
    stdio: ["ignore", fd, fd],
    cwd: dirname(logFile),
    env: withFrugalAllocator(process.env),
  });
  closeSync(fd);
  const ended = Promise.race([once(child, "exit"), once(child, "error")]).then(
    ([cause]) => cause as number | Error | null,
  );
  let end: { readonly cause: number | Error | null } | undefined;
  void ended.then((cause) => {
    end = { cause };
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(target.address))) {
    if (end !== undefined && end.cause !== EXIT.alreadyRunning) throw notStarted(end.cause, logFile, start);
    if (Date.now() > deadline) throw tooSlow(child.pid, logFile, start);
    await Promise.race([sleep(25), ...(end === undefined ? [ended] : [])]);
  }
  child.unref();
  return end === undefined ? child.pid : undefined;
}

/** The log is the daemon's from here on; `start` is where this run's lines begin. */
function openLog(logFile: string): { fd: number; start: number } {
  try {
    mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
    const fd = openSync(logFile, "a", 0o600);
    return { fd, start: fstatSync(fd).size };
  } catch (error) {
    throw fail("NOT_WRITABLE", `the daemon was not started, its log cannot be written: ${messageOf(error)}`);
  }
}

function notStarted(cause: number | Error | null, logFile: string, start: number): ClientError {
  const how = cause instanceof Error ? cause.message : cause === null ? "by a signal" : `with exit code ${cause}`;
  const said = lastWords(logFile, start);
  // The daemon ends with the exit codes of the shared table: CONFIG_INVALID is the one that a person can act upon.
  const code = cause === EXIT.config ? "CONFIG_INVALID" : "DAEMON_UNREACHABLE";
  return withExit(
    new ClientError(
      code,
      `snatchd did not start, it ended ${how}${said ? `:\n${said}` : ""}`,
      `See ${logFile}, or \`snatchctl doctor\`.`,
    ),
    typeof cause === "number" && cause !== 0 ? cause : undefined,
  );
}

function tooSlow(pid: number | undefined, logFile: string, start: number): ClientError {
  const said = lastWords(logFile, start);
  const message = `snatchd (pid ${pid}) does not answer after ${START_TIMEOUT_MS / 1000} s${said ? `:\n${said}` : ""}`;
  return new ClientError("DAEMON_UNREACHABLE", message, `See ${logFile}.`);
}

/** The daemon's own exit code says more than ours, where the table knows it. */
function withExit(error: ClientError, exit: number | undefined): ClientError {
  const known = exit !== undefined && exit !== EXIT.unexpected && Object.values<number>(EXIT).includes(exit);
  return known && errorEntry(error.code)?.exit !== exit ? Object.assign(error, { exit }) : error;
}

function lastWords(logFile: string, start: number): string {
  const fd = openSync(logFile, "r");
  try {
    const length = Math.min(Math.max(fstatSync(fd).size - start, 0), 64 * 1024);
    const bytes = Buffer.alloc(length);
    const read = readSync(fd, bytes, 0, length, fstatSync(fd).size - length);
    return lastLines(bytes.subarray(0, read).toString("utf8"), 8)
      .map((line) => `  ${readableLine(line)}`)
      .join("\n");
  } finally {
    closeSync(fd);
  }
}
