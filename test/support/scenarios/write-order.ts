/**
 * What the kernel saw of one download: the bytes are written, then synced, then recorded in the database and the record
 * synced, then the file gets its name, then its folder is synced.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFile, sha256Of, temporaryFolder } from "../files.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { parseStrace, STRACE_FLAGS, type SystemCall } from "../strace.ts";
import { Findings, type Outcome } from "./outcome.ts";

const WRITES = /^p?write/;

/** Runs a daemon under strace, fetches one file of `size` bytes and looks at the order. */
export async function writeOrder(options: { readonly size: number; readonly chunkSize: number }): Promise<Outcome> {
  const findings = new Findings();
  await using www = await temporaryFolder();
  const digest = await makeFile(join(www.path, "traced.bin"), options.size);
  await using nginx = await startNginx({ root: www.path });
  await using home = await Home.create({ config: `chunk_size = ${options.chunkSize}\n` });
  const trace = join(www.path, "trace.txt");
  const daemon = await home.start([], ["strace", ...STRACE_FLAGS, "-o", trace]);
  const target = join(home.path, "out", "traced.bin");
  const got = await home.ctl(["get", `${nginx.http}/traced.bin`, "-o", target]);
  await daemon.kill("SIGTERM");
  findings.expect(got.code === 0, `get exited ${got.code}: ${got.stderr}`);
  findings.expect((await sha256Of(target).catch(() => "")) === digest, "the file is not right");

  const calls = parseStrace(await readFile(trace, "utf8")).filter(({ failed }) => !failed);
  const steps = order(calls, target, join(home.path, "state"));
  for (const [step, call] of Object.entries(steps)) {
    findings.expect(call !== undefined, `no ${step} in its place`);
    findings.note(step, call === undefined ? "missing" : shorten(call.text, home.path));
  }
  return findings.outcome();
}

/** The calls, each of which began after the one before had ended; undefined where there is none. */
function order(calls: readonly SystemCall[], target: string, state: string): Record<string, SystemCall | undefined> {
  const rename = calls.find(({ name, paths }) => /^(rename|link)/.test(name) && paths.at(-1) === target);
  const part = rename?.paths.findLast(
    (path) => path !== target && dirname(path) !== path && !target.startsWith(`${path}/`),
  );
  const before = calls.filter(({ end }) => rename !== undefined && end < rename.begin);
  const write = before.findLast(({ name, paths }) => WRITES.test(name) && paths[0] === part);
  const sync = next(before, write, ({ name, paths }) => name === "fdatasync" && paths[0] === part);
  const isRecord = ({ paths }: SystemCall) =>
    paths[0]?.startsWith(`${state}/`) === true && paths[0].endsWith(".log") && !paths[0].endsWith("snatchd.log");
  const record = next(before, sync, (call) => WRITES.test(call.name) && isRecord(call));
  const recordSync = next(before, record, (call) => /^fd?a?t?a?sync$/.test(call.name) && isRecord(call));
  const folder = next(calls, rename, ({ name, paths }) => name === "fsync" && paths[0] === dirname(target));
  return { write, fdatasync: sync, record, "sync of the record": recordSync, rename, "folder sync": folder };
}

function next(
  calls: readonly SystemCall[],
  after: SystemCall | undefined,
  fits: (call: SystemCall) => boolean,
): SystemCall | undefined {
  return after && calls.find((call) => call.begin > after.end && fits(call));
}

/** A line that fits a terminal: what was written is cut, the home is "~". */
function shorten(text: string, home: string): string {
  return text
    .replaceAll(home, "~")
    .replace(/"(?!~)((?:[^"\\]|\\.){24})(?:[^"\\]|\\.)*"/g, '"$1…"')
    .replace(/\s+/g, " ");
}
