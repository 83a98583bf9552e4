/** `snatchctl daemon`: starts, stops and looks at the daemon. Its log is followed in tail.ts. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DaemonServiceService, type GetStatusResponse } from "../../gen/snatch/v1/daemon_service.ts";
import { formatBytes, formatDuration, formatRate } from "../../shared/format.ts";
import { connect, isGone } from "../connect.ts";
import { fail, misuse } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { startDaemon } from "../launch.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";
import { answers } from "../target.ts";
import { reportChanges } from "./config.ts";

/** The daemon flushes and ends within its own deadline, which is shorter. */
const STOP_TIMEOUT_MS = 60_000;

/** Starts the daemon in the background, if it does not run. */
export async function start(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { target } = connection;
  if (!target.own)
    throw misuse("a daemon is started only at its own address", "Leave out --address and SNATCH_ADDRESS.");
  const running = await answers(target.address);
  const pid = running ? undefined : await startDaemon(globals, target);
  const status = await connection.ask(DaemonServiceService.getStatus, {});
  if (globals.json) await print(jsonLine({ ...statusJson(status), started: pid !== undefined }));
  else if (!globals.quiet)
    note(pid === undefined ? `snatchd runs already (pid ${status.pid})` : `started snatchd (pid ${pid})`);
  return 0;
}

/** Ends the daemon and waits until it is gone. */
export async function stop(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { target } = connection;
  const { pid } = await connection.ask(DaemonServiceService.getStatus, {});
  await connection.ask(DaemonServiceService.shutdown, { reason: "snatchctl daemon stop" }).catch((error: unknown) => {
    // It may be gone before its answer is.
    if (!isGone(error)) throw error;
  });
  // Over the network its process cannot be seen; its closed port can.
  const local = target.address.kind === "unix";
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  while ((local && isAlive(pid)) || (await answers(target.address))) {
    if (Date.now() > deadline)
      throw fail(
        "DAEMON_UNREACHABLE",
        `snatchd (pid ${pid}) has not ended after ${STOP_TIMEOUT_MS / 1000} s`,
        `To end it by force: kill -9 ${pid}. No finished byte is lost.`,
      );
    await sleep(20);
  }
  if (globals.json) await print(jsonLine({ pid, stopped: true }));
  else if (!globals.quiet) note(`stopped snatchd (pid ${pid})`);
  return 0;
}

/** A process that has ended and that nobody has waited for is as good as gone (proc_pid_stat(5), state Z). */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    // No /proc here, or it has gone since.
    return process.platform !== "linux";
  }
}

/** Prints how the daemon is. */
export async function status(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const answer = await connection.ask(DaemonServiceService.getStatus, {});
  if (globals.json) await print(jsonLine(statusJson(answer)));
  else for (const [name, value] of statusFields(answer)) await print(`${name.padEnd(10)} ${escapeControls(value)}`);
  return 0;
}

function uptimeMs(answer: GetStatusResponse): number {
  return answer.startTime === undefined ? 0 : Math.max(Date.now() - answer.startTime.getTime(), 0);
}

function statusFields(answer: GetStatusResponse): ReadonlyArray<readonly [string, string]> {
  const counts = Object.entries(answer.statusCounts).filter(([, count]) => count > 0);
  const limit = answer.limitBytesPerSecond === 0 ? "unlimited" : `limit ${formatRate(answer.limitBytesPerSecond)}`;
  return [
    ["snatchd", `${answer.version}, pid ${answer.pid}, up ${formatDuration(uptimeMs(answer))}`],
    ["listens", answer.addresses.join(", ")],
    ["sessions", counts.map(([name, count]) => `${count} ${name}`).join(", ") || "none"],
    ["rate", `${formatRate(answer.bytesPerSecond)} (${limit})`],
    ["memory", memoryLine(answer)],
    ["downloads", answer.downloadDirectory],
    ["config", answer.configFile],
    ["state", answer.stateDirectory],
    ["log", answer.logFile || "the journal or the terminal"],
  ];
}

function memoryLine({ memoryBytes, memoryPressure, ...answer }: GetStatusResponse): string {
  const own = formatBytes(memoryBytes);
  if (memoryPressure === 0) return own;
  const where = answer.memoryLimitedBy === "machine" ? "the machine" : `the control group ${answer.memoryLimitedBy}`;
  const used = `${formatBytes(answer.memoryUsedBytes)} of ${formatBytes(answer.memoryLimitBytes)} of ${where}`;
  return `${own}; ${memoryPressure === 1 ? "short" : "very short"}, ${used} in use`;
}

function statusJson(answer: GetStatusResponse): Record<string, unknown> {
  return {
    pid: answer.pid,
    version: answer.version,
    address: answer.addresses[0] ?? null,
    addresses: answer.addresses,
    started_at: answer.startTime?.toISOString() ?? null,
    uptime_seconds: Math.floor(uptimeMs(answer) / 1000),
    status_counts: answer.statusCounts,
    bytes_per_second: answer.bytesPerSecond,
    limit_bytes_per_second: answer.limitBytesPerSecond,
    memory_bytes: answer.memoryBytes,
    memory_pressure: answer.memoryPressure,
    memory_limited_by: answer.memoryLimitedBy,
    memory_limit_bytes: answer.memoryLimitBytes,
    memory_used_bytes: answer.memoryUsedBytes,
    config_file: answer.configFile,
    state_directory: answer.stateDirectory,
    log_file: answer.logFile || null,
    download_directory: answer.downloadDirectory,
  };
}

/** Lets the daemon read its configuration again, and says what changed. */
export async function reload(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { changes } = await connection.ask(DaemonServiceService.reloadConfig, {});
  await reportChanges(changes, globals);
  return 0;
}
