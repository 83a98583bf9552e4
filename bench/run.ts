/**
 * Snatch against curl and aria2c: one large file, and many small ones, from nginx on loopback to the disk. All in one run,
 * in turns, so that they meet the same machine; medians, and ratios to the others.
 *
 * The daemon runs and is warm, as it is in daily life; a run is timed from the start of `snatchctl get` to its exit. The
 * figures of Snatch are those of snatchctl and the daemon together.
 *
 * Sizes for a quick look: BENCH_LARGE_MIB (1024), BENCH_SMALL_COUNT (2000), BENCH_ROUNDS (5).
 */
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { formatBytes } from "../src/shared/format.ts";
import { makeFile, sha256Of, temporaryFolder } from "../test/support/files.ts";
import { median } from "../test/support/median.ts";
import { startNginx } from "../test/support/nginx.ts";
import { type Daemon, Home } from "../test/support/program.ts";
import { runProgram } from "../test/support/run-program.ts";
import {
  CONNECTIONS,
  type Contestant,
  contestants,
  cpuSeconds,
  type Item,
  PARALLEL,
  peakBytes,
  resetPeak,
} from "./contestants.ts";

const LARGE = Number(process.env["BENCH_LARGE_MIB"] ?? 1024) * 1024 * 1024;
const SMALL_COUNT = Number(process.env["BENCH_SMALL_COUNT"] ?? 2000);
const SMALL = 20 * 1024;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
/** GNU time; the shell's own knows nothing of memory. */
const TIME = "/usr/bin/time";

/** One run of one program. */
interface Sample {
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
  /** Seconds between the first session made and the last completed, as the daemon has them. */
  readonly inside?: number;
}

/** What is fetched. */
interface Work {
  readonly title: string;
  readonly items: readonly Item[];
  command(contestant: Contestant, folder: string): Promise<readonly string[]> | readonly string[];
  /** @throws Error if a file is not right */
  check(folder: string): Promise<void>;
}

await using scratch = await temporaryFolder();
const www = join(scratch.path, "www");
await mkdir(join(www, "small"), { recursive: true });
const digest = await makeFile(join(www, "large.bin"), LARGE);
const names = Array.from({ length: SMALL_COUNT }, (_, index) => `small-${index}.bin`);
for (const name of names) await makeFile(join(www, "small", name), SMALL);
await using nginx = await startNginx({ root: www });
const config = `max_concurrent_downloads = ${PARALLEL}\nconnections_per_download = ${CONNECTIONS}\nconnections_per_host = ${PARALLEL}\n`;
await using home = await Home.create({ config });
const daemon = await home.start();

const large: Item = { url: `${nginx.http}/large.bin`, name: "large.bin" };
const small = names.map((name): Item => ({ url: `${nginx.http}/small/${name}`, name }));
const works: readonly Work[] = [
  {
    title: `one file of ${formatBytes(LARGE)}`,
    items: [large],
    command: (contestant, folder) => contestant.one(large, folder),
    async check(folder) {
      if ((await sha256Of(join(folder, large.name))) !== digest) throw new Error("the large file is not right");
    },
  },
  {
    title: `${SMALL_COUNT} files of ${formatBytes(SMALL)}`,
    items: small,
    command: (contestant, folder) => contestant.many(small, folder, scratch.path),
    async check(folder) {
      const sizes = await Promise.all(
        (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
      );
      if (sizes.length !== SMALL_COUNT || sizes.some((size) => size !== SMALL))
        throw new Error("a small file is missing");
    },
  },
];

console.log(
  `${cpus()[0]?.model}, ${availableParallelism()} cores; Node ${process.versions.node}; ${ROUNDS} rounds in turns`,
);
console.log(`${CONNECTIONS} connections for the large file (curl: 1), ${PARALLEL} small files at once\n`);
const programs = contestants();
for (const work of works) {
  const samples = new Map(programs.map(({ name }) => [name, [] as Sample[]]));
  // Round 0 warms every program and the page cache, and is not counted.
  for (let round = 0; round <= ROUNDS; round++)
    for (let turn = 0; turn < programs.length; turn++) {
      const program = programs[(turn + round) % programs.length] as Contestant;
      const sample = await measure(work, program, join(scratch.path, `out-${program.name}-${round}`), daemon);
      if (round > 0) samples.get(program.name)?.push(sample);
    }
  report(work.title, samples);
}

async function measure(work: Work, program: Contestant, folder: string, { pid }: Daemon): Promise<Sample> {
  await mkdir(folder);
  const command = await work.command(program, folder);
  // What earlier runs wrote is not to be paid for by this one.
  await runProgram("sync", []);
  const ours = program.name === "snatch";
  const before = ours ? await cpuSeconds(pid) : 0;
  if (ours) await resetPeak(pid);
  const figures = join(scratch.path, "time.txt");
  const result = await runProgram(TIME, ["-q", "-o", figures, "-f", "%U %S %M", ...command], { env: home.env });
  if (result.code !== 0)
    throw new Error(`${command.join(" ")} exited ${result.code}: ${result.stderr}${daemon.log().slice(-2000)}`);
  const [user = 0, system = 0, kilobytes = 0] = (await readFile(figures, "utf8")).trim().split(" ").map(Number);
  const sample = {
    wall: result.ms / 1000,
    cpu: user + system + (ours ? (await cpuSeconds(pid)) - before : 0),
    rss: kilobytes * 1024 + (ours ? await peakBytes(pid) : 0),
    ...(ours && { inside: await insideSeconds(work.items.length) }),
  };
  await work.check(folder);
  // Many small ones stay until the end: ext4 steps over every inode that was freed in the last minutes when it makes a
  // file (ten times slower after a few rounds), and the programs that come later would pay for it.
  if (work.items.length === 1) await rm(folder, { recursive: true });
  return sample;
}

/** From the first of the newest sessions made to the last of them completed. */
async function insideSeconds(count: number): Promise<number> {
  const newest = (await home.ctl(["list", "--json", "--newest", "--limit", String(count)])).json();
  const times = (key: string) => newest.map((session) => Date.parse(String(session[key])));
  return (Math.max(...times("completed_at")) - Math.min(...times("created_at"))) / 1000;
}

function report(title: string, samples: ReadonlyMap<string, readonly Sample[]>): void {
  const middle = (name: string, pick: (sample: Sample) => number) => median((samples.get(name) ?? []).map(pick));
  console.log(title);
  console.log("             wall s   (all)                                     cpu s   peak RSS");
  for (const [name, runs] of samples) {
    const all = runs.map(({ wall }) => wall.toFixed(2)).join(" ");
    const [wall, cpu] = [middle(name, (run) => run.wall), middle(name, (run) => run.cpu)];
    const rss = formatBytes(middle(name, (run) => run.rss));
    console.log(
      `  ${name.padEnd(8)} ${wall.toFixed(3).padStart(8)}   ${all.padEnd(40)} ${cpu.toFixed(2).padStart(6)}   ${rss}`,
    );
  }
  const inside = median((samples.get("snatch") ?? []).map((run) => run.inside ?? Number.NaN));
  console.log(`  snatch inside the daemon, first session made to last completed: ${inside.toFixed(3)} s`);
  for (const other of [...samples.keys()].filter((name) => name !== "snatch")) {
    const ratio = (pick: (sample: Sample) => number) => (middle("snatch", pick) / middle(other, pick)).toFixed(2);
    console.log(
      `  snatch ÷ ${other}: wall ${ratio((run) => run.wall)}, cpu ${ratio((run) => run.cpu)}, rss ${ratio((run) => run.rss)}`,
    );
  }
  console.log();
}
