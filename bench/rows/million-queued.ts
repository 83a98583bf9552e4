/**
 * A daemon that knows a very long queue, all of it paused: its memory, a page of `list`, and how long it takes to come back
 * after an orderly end and after kill -9.
 */
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "../../src/client/connect.ts";
import { resolveTarget } from "../../src/client/target.ts";
import { DaemonServiceService } from "../../src/gen/snatch/v1/daemon_service.ts";
import { DownloadServiceService } from "../../src/gen/snatch/v1/download_service.ts";
import { formatDuration } from "../../src/shared/format.ts";
import { median } from "../../test/support/median.ts";
import type { Daemon, Home } from "../../test/support/program.ts";
import { peakBytes, resetPeak, residentBytes } from "../measure.ts";
import type { Place } from "../places.ts";
import { type Found, megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";

/** Sessions that `list` prints: the largest page there is. */
const PAGE = 1000;
/** Lines that are made and written at once. */
const LINES = 10_000;
/** Longest time for taking the list, and for pausing everything, in seconds. */
const PATIENCE_S = 1800;

export const millionQueued: Row = {
  id: "5",
  title: `${settings.queuedCount.toLocaleString("en")} queued URLs, paused`,
  places: ["disk", "tmpfs"],
  async run(place) {
    await using origin = await silentOrigin();
    await using snatch = await place.snatch();
    const { home, daemon } = snatch;
    const filled = await fill(place, home, origin.base);
    const whileFilling = await peakBytes(daemon.pid);
    // It gives back within seconds what the work of taking and pausing them needed.
    await sleep(settings.quietSeconds * 1000);
    await resetPeak(daemon.pid);
    const lists = [await listMs(home), await listMs(home, "--newest")];
    const [resting, peak] = [await residentBytes(daemon.pid), await peakBytes(daemon.pid)];
    const ended = await restarts(home, daemon, "SIGTERM");
    const killed = await restarts(home, ended.daemon, "SIGKILL");
    // What a daemon needs to read all of it again, and to show it.
    await listMs(home);
    const afterRestart = await peakBytes(killed.daemon.pid);
    return {
      notes: [
        ...filled,
        `daemon's peak until then ${megabytes(whileFilling).toFixed(0)} MB; at rest ${megabytes(resting).toFixed(0)} MB`,
        `restart to the first answer after SIGTERM: ${ended.ms.map((ms) => ms.toFixed(0)).join(" ")} ms`,
        `restart to the first answer after kill -9: ${killed.ms.map((ms) => ms.toFixed(0)).join(" ")} ms`,
      ],
      bounds: boundsOf({ peak, afterRestart, lists, ended: ended.ms, killed: killed.ms }),
    };
  },
};

function boundsOf(found: {
  readonly peak: number;
  readonly afterRestart: number;
  readonly lists: readonly number[];
  readonly ended: readonly number[];
  readonly killed: readonly number[];
}): Found["bounds"] {
  const seconds = (times: readonly number[]): number => median(times) / 1000;
  return [
    { what: "daemon's peak resident size once paused", value: megabytes(found.peak), most: 300, unit: "MB" },
    { what: "the same after a restart", value: megabytes(found.afterRestart), most: 300, unit: "MB" },
    { what: `snatchctl list, a page of ${PAGE}`, value: Math.max(...found.lists), most: 100, unit: "ms" },
    { what: "restart to ready", value: seconds(found.ended), most: 3, unit: "s" },
    { what: "restart to ready after kill -9", value: seconds(found.killed), most: 3, unit: "s" },
  ];
}

/** Queues and pauses. @returns how long that took @throws Error unless every one is there */
async function fill(place: Place, home: Home, base: string): Promise<string[]> {
  const folder = await place.folder("queued");
  const list = join(folder, "list.txt");
  await writeFile(list, lines(base));
  const added = await home.ctl(["add", "-i", list, "--quiet"], { timeoutMs: PATIENCE_S * 1000 });
  if (added.code !== 0) throw new Error(`add exited ${added.code}: ${added.stderr}`);
  const started = performance.now();
  using connection = connectTo(home);
  const selection = { sessionIds: [], all: true, batchId: "" };
  await connection.ask(DownloadServiceService.pauseDownloads, { selection }, PATIENCE_S);
  const pauseMs = performance.now() - started;
  const { statusCounts } = await connection.ask(DaemonServiceService.getStatus, {});
  if (statusCounts["paused"] !== settings.queuedCount)
    throw new Error(`not all of ${settings.queuedCount} are paused: ${JSON.stringify(statusCounts)}`);
  await place.drop(folder, { files: "few" });
  return [`taken and durable after ${formatDuration(added.ms)}, all paused after ${formatDuration(pauseMs)} more`];
}

function* lines(base: string): Generator<string> {
  for (let at = 0; at < settings.queuedCount; at += LINES) {
    const count = Math.min(LINES, settings.queuedCount - at);
    yield Array.from({ length: count }, (_, index) => `${base}/queued/${at + index}.bin\n`).join("");
  }
}

/** The median of a page of `snatchctl list`, from start to exit. */
async function listMs(home: Home, ...flags: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < settings.listRuns; run++) {
    const { code, ms, stdout, stderr } = await home.ctl(["list", "--limit", String(PAGE), ...flags]);
    const shown = stdout.split("\n").filter((line) => line.includes(" paused ")).length;
    const expected = Math.min(PAGE, settings.queuedCount);
    if (code !== 0 || shown !== expected) throw new Error(`list exited ${code} and showed ${shown}: ${stderr}`);
    times.push(ms);
  }
  return median(times);
}

/** Ends the daemon and starts it again, several times. @returns milliseconds from each start to the first answer */
async function restarts(
  home: Home,
  running: Daemon,
  signal: NodeJS.Signals,
): Promise<{ daemon: Daemon; ms: number[] }> {
  let daemon = running;
  const ms: number[] = [];
  for (let run = 0; run < settings.restarts; run++) {
    await daemon.kill(signal);
    const started = performance.now();
    daemon = await home.start();
    using connection = connectTo(home);
    await connection.ask(DaemonServiceService.getStatus, {});
    ms.push(performance.now() - started);
  }
  return { daemon, ms };
}

function connectTo(home: Home): Connection {
  return new Connection(resolveTarget({ home: home.path }, {}));
}

/** Takes connections and never says a word: nothing that is queued ends by itself. */
async function silentOrigin(): Promise<{ readonly base: string } & AsyncDisposable> {
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => void server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
