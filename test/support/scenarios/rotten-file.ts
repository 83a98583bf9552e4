/**
 * A finished file rots on the disk: single bits flip in places that chance chooses, and nothing else shows it. Every one
 * has to be found in its chunk, although the daemon was killed and the session forgotten meanwhile, and be repaired by
 * exactly one range of one chunk. A second time the daemon is killed in the middle of the repair.
 */
import { readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chunkRange } from "../../../src/daemon/core/manifest.ts";
import { makeFile, sha256Of, temporaryFolder } from "../files.ts";
import { type Nginx, type NginxRequest, startNginx } from "../nginx.ts";
import { type Daemon, Home } from "../program.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How large, how often. */
export interface RottenFileOptions {
  readonly size: number;
  readonly chunkSize: number;
  readonly flips: number;
  readonly seed: number;
}

/** snatchctl's exit code for bytes that are not right. */
const INTEGRITY = 7;

/** Runs it. */
export async function rottenFile(options: RottenFileOptions): Promise<Outcome> {
  const { size, chunkSize, flips, seed } = options;
  const findings = new Findings();
  await using www = await temporaryFolder();
  const digest = await makeFile(join(www.path, "large.bin"), size);
  await using nginx = await startNginx({ root: www.path });
  await using home = await Home.create({ config: `chunk_size = ${chunkSize}\n` });
  const path = join(home.path, "large.bin");
  const scene: Scene = { ...options, findings, home, nginx, path, digest, random: seeded(seed) };

  let daemon = await home.start();
  const got = await home.ctl(["get", `${nginx.http}/large.bin`, "-o", path, "--json"]);
  findings.expect(got.code === 0, `get exited ${got.code}: ${got.stderr}`);
  await daemon.kill();
  daemon = await home.start();
  const { session_id: id } = JSON.parse((await home.ctl(["receipt", path, "--json"])).stdout) as { session_id: string };
  const removed = await home.ctl(["rm", id]);
  findings.expect(removed.code === 0, `rm exited ${removed.code}: ${removed.stderr}`);
  await daemon.kill();
  daemon = await home.start();

  const first = await rot(scene);
  findings.note("size", size);
  findings.note("chunks", `${Math.ceil(size / chunkSize)} of ${chunkSize}`);
  findings.note("flips", flips);
  findings.note("seed", seed);
  findings.note("damaged chunks", first.size);
  await expectFound(scene, first);
  await expectRepaired(scene, first, []);
  await expectKilledRepair(scene, daemon);
  return findings.outcome();
}

interface Scene extends RottenFileOptions {
  readonly findings: Findings;
  readonly home: Home;
  readonly nginx: Nginx;
  readonly path: string;
  readonly digest: string;
  readonly random: () => number;
}

/** Flips bits, keeping size and time. @returns the chunks that they are in */
async function rot({ path, size, chunkSize, flips, random }: Scene): Promise<Set<number>> {
  const { mtime } = await stat(path);
  const bytes = await readFile(path);
  const places = new Set<number>();
  while (places.size < flips) places.add(Math.floor(random() * size));
  for (const at of places) bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  await writeFile(path, bytes);
  await utimes(path, mtime, mtime);
  return new Set([...places].map((at) => Math.floor(at / chunkSize)));
}

interface Told {
  readonly event: string;
  readonly index?: number;
  readonly start?: number;
  readonly end?: number;
  readonly status?: string;
}

function eventsOf(stdout: string): Told[] {
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Told);
}

const sorted = (numbers: Iterable<number>): string => [...numbers].sort((a, b) => a - b).join();

async function expectFound(
  { findings, home, path, size, chunkSize }: Scene,
  expected: ReadonlySet<number>,
): Promise<void> {
  const { code, stdout } = await home.ctl(["verify", path, "--json"], { timeoutMs: 600_000 });
  findings.expect(code === INTEGRITY, `verify of a damaged file exited ${code}`);
  const damaged = eventsOf(stdout).filter(({ event }) => event === "damaged");
  const found = sorted(damaged.map(({ index = -1 }) => index));
  findings.expect(found === sorted(expected), `chunks ${found} were found damaged, and ${sorted(expected)} are`);
  for (const { index = 0, start, end } of damaged) {
    const range = chunkRange(index, size, chunkSize);
    findings.expect(start === range.start && end === range.end, `chunk ${index} was said to be bytes ${start}-${end}`);
  }
}

/** @param earlier - requests of a repair that was broken off */
async function expectRepaired(
  scene: Scene,
  chunks: ReadonlySet<number>,
  earlier: readonly NginxRequest[],
): Promise<void> {
  const { findings, home, nginx, path, size, chunkSize, digest } = scene;
  const { mtimeMs } = await stat(path);
  await nginx.clearRequests();
  const { code, stdout, stderr } = await home.ctl(["verify", path, "--repair", "--json"], { timeoutMs: 600_000 });
  findings.expect(code === 0, `verify --repair exited ${code}: ${stdout.slice(-500)}${stderr}`);
  const requests = await nginx.waitForRequests((all) => all.length >= chunks.size - earlier.length);
  findings.note(earlier.length > 0 ? "requests of the repair after a kill" : "requests of the repair", requests.length);
  const wanted = new Map([...chunks].map((index) => [rangeField(index, size, chunkSize), index]));
  for (const { status, range, ifRange, bytes } of requests) {
    const { start, end } = chunkRange(wanted.get(range) ?? -1, size, chunkSize);
    findings.expect(wanted.has(range), `the range ${range} is not that of one damaged chunk`);
    findings.expect(
      status === 206 && ifRange !== "" && bytes === end - start,
      `${range}: HTTP ${status}, ${bytes} bytes`,
    );
  }
  if (earlier.length === 0) {
    const ranges = new Set(requests.map(({ range }) => range));
    findings.expect(
      requests.length === chunks.size && ranges.size === chunks.size,
      `${requests.length} requests for ${chunks.size} damaged chunks`,
    );
    findings.expect((await stat(path)).mtimeMs === mtimeMs, "the file's time was not restored");
  }
  findings.expect((await sha256Of(path)) === digest, "the file is not right after the repair");
  const again = await home.ctl(["verify", path, "--quiet"], { timeoutMs: 600_000 });
  findings.expect(again.code === 0 && again.stdout === "", `verify after the repair exited ${again.code}`);
}

function rangeField(index: number, size: number, chunkSize: number): string {
  const { start, end } = chunkRange(index, size, chunkSize);
  return `bytes=${start}-${end - 1}`;
}

/** The daemon is killed while it repairs: what is half done is found again, and mended. */
async function expectKilledRepair(scene: Scene, daemon: Daemon): Promise<void> {
  const { findings, home, nginx, path } = scene;
  const chunks = await rot(scene);
  await nginx.clearRequests();
  const repair = home.startCtl(["verify", path, "--repair", "--json"]);
  await nginx.waitForRequests((all) => all.length > 0, 60_000);
  await daemon.kill();
  await repair.finished;
  const earlier = await nginx.requests();
  findings.note("requests before the kill", earlier.length);
  await home.start();
  await expectRepaired(scene, chunks, earlier);
}
