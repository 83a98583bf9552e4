/**
 * A list of many small files in the watch folder; the daemon is killed with -9 in the middle, several times, and the same
 * list is dropped again. Every line has to become one session, one file and one outcome, and nothing may be asked for
 * again after its completion was recorded.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryFolder } from "../files.ts";
import { type NginxRequest, startNginx } from "../nginx.ts";
import { type Daemon, Home } from "../program.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How many. */
export interface KilledListOptions {
  readonly lines: number;
  readonly kills: number;
  readonly seed: number;
  /** Longest time for the whole, in milliseconds. */
  readonly timeoutMs: number;
}

/** A line of a report. */
interface ReportLine {
  readonly line: number;
  readonly url?: string;
  readonly status: string;
}

/** Runs it. */
export async function killedList(options: KilledListOptions): Promise<Outcome> {
  const { lines, kills } = options;
  const findings = new Findings();
  const deadline = performance.now() + options.timeoutMs;
  await using www = await temporaryFolder();
  const names = Array.from({ length: lines }, (_, index) => `file-${String(index).padStart(6, "0")}.txt`);
  for (const name of names) await writeFile(join(www.path, name), content(name));
  await using nginx = await startNginx({ root: www.path });
  await using home = await Home.create({ config: "max_concurrent_downloads = 8\n[watch]\nsettle = 0.1\n" });
  const list = names.map((name) => `${nginx.http}/${name}\n`).join("");

  const started = performance.now();
  let daemon: Daemon = await home.start();
  await home.drop("list.txt", list);
  const random = seeded(options.seed);
  for (let kill = 1; kill <= kills; kill++) {
    // Somewhere within the next part of the list, so that each kill comes in the middle.
    const wanted = Math.floor((lines * (kill - 1 + 0.2 + 0.6 * random())) / (kills + 1));
    await until(async () => (await countFiles(home.downloads)) >= wanted, deadline);
    await daemon.kill();
    findings.note(`files at kill ${kill}`, await countFiles(home.downloads));
    daemon = await home.start();
  }
  const done = join(home.watch, "done");
  await until(async () => (await readReport(join(done, "list.report.jsonl"))).length >= lines, deadline);
  const fetched = performance.now();
  await home.drop("list.txt", list);
  await until(async () => (await readReport(join(done, "list-2.report.jsonl"))).length >= lines, deadline);
  const ended = performance.now();

  const [first, second] = [
    await readReport(join(done, "list.report.jsonl")),
    await readReport(join(done, "list-2.report.jsonl")),
  ];
  const sessions = (await home.ctl(["list", "--json"])).json();
  const files = await readdir(home.downloads);
  const wrong = await countWrong(home.downloads, names);
  const requests = await nginx.requests();
  const late = lateRequests(requests, sessions);

  findings.note("seed", options.seed);
  findings.note("seconds", ((fetched - started) / 1000).toFixed(1));
  findings.note("seconds, dropped again", ((ended - fetched) / 1000).toFixed(1));
  findings.note("sessions", sessions.length);
  findings.note("completed", sessions.filter(({ status }) => status === "completed").length);
  findings.note("files", files.length);
  findings.note("outcomes", first.length);
  findings.note("outcomes, dropped again", `${second.length} (${countBy(second)})`);
  findings.note("requests", requests.length);
  findings.note("requests after completion", late.length);
  findings.expect(sessions.length === lines, `${sessions.length} sessions`);
  findings.expect(
    sessions.every(({ status }) => status === "completed"),
    "not every session is completed",
  );
  const strangers = files.filter((file) => !isWhole(file));
  findings.expect(wrong === 0, `${wrong} files are missing or wrong`);
  findings.expect(strangers.length === 0, `left over: ${strangers.slice(0, 5).join(", ")}`);
  findings.expect(files.length - strangers.length === lines, `${files.length - strangers.length} files`);
  findings.expect(
    complete(first, lines) && first.every(({ status }) => status === "completed"),
    `outcomes: ${countBy(first)}`,
  );
  findings.expect(
    complete(second, lines) && second.every(({ status }) => status === "already"),
    `dropped again: ${countBy(second)}`,
  );
  findings.expect(late.length === 0, `requested after completion: ${late.slice(0, 3).join(", ")}`);
  return findings.outcome();
}

const content = (name: string) => `${name}: `.repeat(20);

/** Requests that ended after the completion of their URL was recorded. */
function lateRequests(requests: readonly NginxRequest[], sessions: readonly Record<string, unknown>[]): string[] {
  const completed = new Map(
    sessions.map((session) => [new URL(String(session["url"])).pathname, Date.parse(String(session["completed_at"]))]),
  );
  return requests
    .filter((request) => request.time > (completed.get(request.uri) ?? Number.POSITIVE_INFINITY))
    .map((request) => `${request.uri} ${request.time - (completed.get(request.uri) ?? 0)} ms late`);
}

/** Every line once. */
function complete(report: readonly ReportLine[], lines: number): boolean {
  return report.length === lines && new Set(report.map(({ line }) => line)).size === lines;
}

function countBy(report: readonly ReportLine[]): string {
  const counts = Map.groupBy(report, ({ status }) => status);
  return [...counts].map(([status, of]) => `${of.length} ${status}`).join(", ");
}

async function countWrong(folder: string, names: readonly string[]): Promise<number> {
  let wrong = 0;
  for (const name of names) if ((await readFile(join(folder, name), "utf8").catch(() => "")) !== content(name)) wrong++;
  return wrong;
}

/** By its name: not one that is still being fetched. */
const isWhole = (name: string) => /^file-\d+\.txt$/.test(name);

async function countFiles(folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  return (await readdir(folder)).filter(isWhole).length;
}

async function readReport(path: string): Promise<ReportLine[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ReportLine);
}

async function until(met: () => Promise<boolean>, deadline: number): Promise<void> {
  while (!(await met())) {
    if (performance.now() > deadline) throw new Error("it took too long");
    await sleep(20);
  }
}
