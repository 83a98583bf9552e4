/**
 * Random files from origins that cannot be relied on, fetched by the real daemon, which is killed with -9 at random moments
 * and started again. Each round ends with one whole version of the file under its final name, or with no file and an error;
 * it never ends with anything else, and it always ends.
 */
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LOGIN_PAGE, serveFickle } from "../origins/fickle.ts";
import { type Origin, type Resource, serve } from "../origins/origin.ts";
import { Home } from "../program.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How often, and by what chance. */
export interface RandomRunOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Only this one of them: as a failed run names it. */
  readonly only?: number;
  /** Is told how far it has come. */
  readonly onBatch?: (done: number, problems: number) => void;
}

/** Rounds that one daemon runs at once. */
const AT_ONCE = 50;

/** The longest time for a batch of rounds, in milliseconds: whatever goes on for longer hangs. */
const DEADLINE_MS = 120_000;

const KIB = 1024;

/** One download. */
interface Round {
  readonly number: number;
  readonly origin: Origin;
  /** Another server with the same file, or with what is said to be. */
  readonly mirror?: Origin;
  readonly honest: boolean;
  /** What the list says of it. */
  readonly entry: string;
  readonly folder: string;
}

/** A line of the list's report. */
interface ReportLine {
  readonly line: number;
  readonly status: string;
  readonly bytes?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** What is counted over all batches. */
interface Counts {
  files: number;
  errors: Map<string, number>;
  kills: number;
  requests: number;
  versions: number;
  problems: string[];
}

/** Runs it. */
export async function randomRun(options: RandomRunOptions): Promise<Outcome> {
  const { rounds, seed, only } = options;
  const findings = new Findings();
  const counts: Counts = { files: 0, errors: new Map(), kills: 0, requests: 0, versions: 0, problems: [] };
  const started = performance.now();
  const numbers = only === undefined ? Array.from({ length: rounds }, (_, at) => at + 1) : [only];
  for (let at = 0; at < numbers.length; at += AT_ONCE) {
    await batch(numbers.slice(at, at + AT_ONCE), seed, counts);
    options.onBatch?.(Math.min(at + AT_ONCE, numbers.length), counts.problems.length);
  }
  const failed = [...counts.errors.values()].reduce((sum, count) => sum + count, 0);
  findings.note("seed", seed);
  findings.note("rounds", numbers.length);
  findings.note("right files", counts.files);
  findings.note("errors", [...counts.errors].map(([code, count]) => `${count} ${code}`).join(", ") || "none");
  findings.note("kills", counts.kills);
  findings.note("requests", counts.requests);
  findings.note("versions", counts.versions);
  findings.note("seconds", ((performance.now() - started) / 1000).toFixed(1));
  for (const problem of counts.problems) findings.expect(false, problem);
  findings.expect(
    counts.problems.length > 0 || counts.files + failed === numbers.length,
    `${counts.files} files and ${failed} errors`,
  );
  return findings.outcome();
}

async function batch(numbers: readonly number[], seed: number, counts: Counts): Promise<void> {
  const random = seeded(seed * 7919 + (numbers[0] ?? 0));
  const chunkSize = pick(random, [64, 64, 96, 128, 512]) * KIB;
  await using home = await Home.create({
    config: [
      `max_concurrent_downloads = ${AT_ONCE}`,
      `chunk_size = ${chunkSize}`,
      "timeout = 0.5",
      "retry_delay = 0.02",
      "max_retries = 4",
      "min_free_space = 0",
      "[watch]",
      "settle = 0",
      "",
    ].join("\n"),
  });
  await using stack = new AsyncDisposableStack();
  const rounds: Round[] = [];
  for (const number of numbers) {
    const round = await makeRound(number, seed, chunkSize, join(home.path, `round-${number}`));
    stack.use(round.origin);
    if (round.mirror) stack.use(round.mirror);
    rounds.push(round);
  }
  let daemon = await home.start();
  await home.drop("rounds.txt", rounds.map(({ entry }) => entry).join(""));
  const report = join(home.watch, "done", "rounds.report.jsonl");
  const deadline = performance.now() + DEADLINE_MS;
  const kills = 2 + Math.floor(random() * 4);
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random() * 1200);
    await daemon.kill();
    counts.kills++;
    // Sometimes also while it starts.
    if (random() < 0.3) {
      const early = home.launch();
      await sleep(random() * 400);
      await early.kill();
      counts.kills++;
    }
    daemon = await home.start();
    if (random() < 0.5) await steer(home, random);
  }
  let lines = await readReport(report);
  while (lines.length < rounds.length && performance.now() < deadline) {
    await sleep(50);
    lines = await readReport(report);
  }
  const failed = await judge(rounds, lines, seed, counts);
  await callOff(home);
  for (const { number, folder } of rounds) {
    const left = (await readdir(folder).catch(() => [])).filter((name) => name !== "file");
    if (left.length > 0) counts.problems.push(`${replay(number, seed)}: left over: ${left.join(", ")}`);
  }
  if (failed > 0) counts.problems.push(`the daemon's last words: ${daemon.log().slice(-2000)}`);
  await daemon.kill();
}

/** Halts everything for a moment, or calls a download off in the middle. */
async function steer(home: Home, random: () => number): Promise<void> {
  if (random() < 0.5) {
    await home.ctl(["pause", "--all"]);
    await home.ctl(["resume", "--all"]);
    return;
  }
  const [active] = (await home.ctl(["list", "--status", "active", "--json"])).json();
  // It may have come to its end meanwhile.
  if (active) await home.ctl(["cancel", String(active["session_id"])]);
}

/** Calls off what failed: then nothing of it is left. */
async function callOff(home: Home): Promise<void> {
  const listed = await home.ctl(["list", "--status", "failed", "--json"]);
  const ids = listed.json().map(({ session_id: id }) => String(id));
  const cancelled = ids.length > 0 ? await home.ctl(["cancel", ...ids]) : listed;
  for (const { code, stderr } of [listed, cancelled]) if (code !== 0) throw new Error(`snatchctl: ${stderr}`);
}

/** @returns how many rounds went wrong */
async function judge(
  rounds: readonly Round[],
  lines: readonly ReportLine[],
  seed: number,
  counts: Counts,
): Promise<number> {
  let wrong = 0;
  // Of its entry's first line in the list.
  let at = 1;
  for (const { number, origin, mirror, honest, folder, entry } of rounds) {
    const line = lines.find((each) => each.line === at);
    at += entry.split("\n").length - 1;
    const path = join(folder, "file");
    const bytes = await readFile(path).catch(() => undefined);
    counts.requests += origin.requests.length;
    counts.versions += origin.versions.length;
    const problem = problemOf(line, bytes, [...origin.versions, ...(mirror?.versions ?? [])]);
    if (problem === undefined && bytes) counts.files++;
    else if (problem === undefined) {
      const code = line?.error?.code ?? "";
      counts.errors.set(code, (counts.errors.get(code) ?? 0) + 1);
    } else {
      wrong++;
      const manner = honest ? "honest in the end" : "never honest";
      counts.problems.push(
        `${replay(number, seed)}: ${problem} (${manner}, ${origin.requests.length} requests; ${entry.trim()})`,
      );
    }
  }
  return wrong;
}

/** What is wrong with the end of a round; undefined if nothing is. */
function problemOf(
  line: ReportLine | undefined,
  bytes: Buffer | undefined,
  versions: readonly Resource[],
): string | undefined {
  const right = bytes && isWhole(bytes, versions);
  if (bytes && !right) return `WRONG BYTES: ${bytes.length} of them are no version`;
  if (!line) return "it hangs: there is no outcome";
  if (line.status === "completed" && !bytes) return "completed, but there is no file";
  if (line.status === "completed") return undefined;
  if (bytes) return `a file, although it ${line.status}`;
  if (line.error?.code === "INTERNAL") return `an error of Snatch's own: ${line.error.message}`;
  return line.error ? undefined : `${line.status}, without an error`;
}

/** True for a version, and for a page that took its place before anything else was there. */
function isWhole(bytes: Buffer, versions: readonly Resource[]): boolean {
  return versions.some((version) => version.bytes.equals(bytes)) || bytes.toString() === LOGIN_PAGE;
}

const replay = (number: number, seed: number): string => `--seed ${seed} --only ${number}`;

async function makeRound(number: number, seed: number, chunkSize: number, folder: string): Promise<Round> {
  const random = seeded(seed * 1_000_003 + number);
  const honest = random() < 0.7;
  const size = randomSize(random, chunkSize);
  const compressible = random() < 0.3;
  const make = (length: number): Buffer => (compressible ? text(length, random) : noise(length, random));
  const honestAfter = honest ? Math.floor(random() * 40) : Number.POSITIVE_INFINITY;
  const origin = await serveFickle({ random: seeded(Math.floor(random() * 2 ** 32)), make, size, honestAfter });
  await mkdir(folder, { recursive: true });
  const kind = random();
  const own = kind > 0.2 && kind < 0.4 ? await serveMirror(origin, kind < 0.3 ? make : undefined) : undefined;
  const mirror = own ? `\t${own.url}` : kind <= 0.2 ? `\t${origin.elsewhere}/mirror` : "";
  const options = [`dir=${folder}`, "out=file", `split=${1 + Math.floor(random() * 8)}`];
  if (random() < 0.15) options.push(`max-download-limit=${256 + Math.floor(random() * 2048)}K`);
  const entry = `${origin.url}${mirror}\n${options.map((option) => ` ${option}\n`).join("")}`;
  return { number, origin, honest, entry, folder, ...(own && { mirror: own }) };
}

/** A good server with the first version of the file; or, if it can make some, with other bytes of the same length. */
function serveMirror({ resource }: Origin, make: ((length: number) => Buffer) | undefined): Promise<Origin> {
  const bytes = make?.(resource.bytes.length) ?? resource.bytes;
  return serve({ ...resource, bytes, etag: '"of the mirror"' }, (call) => call.answer());
}

/** From nothing to a few chunks and more, often at the edge of a chunk. */
function randomSize(random: () => number, chunkSize: number): number {
  const kind = random();
  if (kind < 0.05) return 0;
  if (kind < 0.15) return 1 + Math.floor(random() * 100);
  if (kind < 0.35) return Math.max(0, chunkSize * Math.ceil(random() * 4) + Math.floor(random() * 3) - 1);
  return Math.floor(random() ** 2 * 2048 * KIB);
}

function noise(length: number, random: () => number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = Math.floor(random() * 2 ** 32);
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state ^ (state >>> 15);
  }
  return Buffer.from(words.buffer, 0, length);
}

/** Lines that are alike, but no two the same. */
function text(length: number, random: () => number): Buffer {
  const name = Math.floor(random() * 2 ** 32).toString(36);
  let lines = "";
  for (let at = 0; lines.length < length; at++) lines += `line ${at} of ${name}\n`;
  return Buffer.from(lines.slice(0, length));
}

function pick<T>(random: () => number, from: readonly [T, ...T[]]): T {
  return from[Math.floor(random() * from.length)] ?? from[0];
}

async function readReport(path: string): Promise<ReportLine[]> {
  if (!(await stat(path).catch(() => undefined))) return [];
  const lines = (await readFile(path, "utf8")).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as ReportLine);
}
