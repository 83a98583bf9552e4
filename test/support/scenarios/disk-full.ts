/**
 * A download onto a disk that fills up in the middle, becomes read-only or breaks: it has to wait and say so, lose nothing,
 * and go on by itself when the disk can be written again.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failingMount } from "../failing-mount.ts";
import { makeFile, sha256Of, temporaryFolder } from "../files.ts";
import { fillDisk } from "../fill-disk.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { temporaryMount } from "../temporary-folder.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How large, and what happens to the disk. */
export interface DiskFaultOptions {
  readonly fault: keyof typeof CODES;
  readonly size: number;
  readonly chunkSize: number;
  /** Bytes a second. */
  readonly rate: number;
}

/** What the session says of each. */
const CODES = { "disk-full": "DISK_FULL", "read-only": "READ_ONLY", "io-error": "IO_ERROR" } as const;

/** Room on the disk besides the file, in bytes. */
const SPARE = 4 * 1024 * 1024;

/** Longest wait for a step, in milliseconds. */
const PATIENCE_MS = 60_000;

/** A session as `snatchctl show` gives it. */
type Shown = Record<string, unknown>;

/** Runs it. */
export async function diskFault({ fault, size, chunkSize, rate }: DiskFaultOptions): Promise<Outcome> {
  const findings = new Findings();
  await using www = await temporaryFolder();
  const digest = await makeFile(join(www.path, "file.bin"), size);
  await using nginx = await startNginx({ root: www.path, limitRate: rate });
  await using disk = await faulty(fault, size);
  const config = `chunk_size = ${chunkSize}\nconnections_per_download = 1\nmin_free_space = 0\n`;
  await using home = await Home.create({ config });
  let daemon = await home.start();
  const url = `${nginx.http}/limited/file.bin`;
  const target = join(disk.path, "file.bin");
  await using stack = new AsyncDisposableStack();
  const events = home.startCtl(["watch", "--json"], { timeoutMs: 300_000 });
  stack.defer(() => void events.child.kill("SIGKILL"));
  let told = "";
  events.child.stdout?.on("data", (bytes: Buffer) => {
    told += bytes.toString();
  });
  const [added] = (await home.ctl(["add", url, "-o", target, "--json"])).json();
  const id = String(added?.["session_id"]);
  const show = async (): Promise<Shown> => (await home.ctl(["show", id, "--json"])).json()[0] ?? {};

  await until("something is here", async () => downloaded(await show()) >= 2 * chunkSize);
  await disk.break(async (between) => {
    await daemon.kill();
    between();
    daemon = await home.start();
  });
  const code = CODES[fault];
  const parked = await until(`it waits: ${code}`, async () => {
    const now = await show();
    return now["status"] === "waiting" && errorOf(now) === code ? now : undefined;
  });
  const kept = downloaded(parked);
  findings.note("fault", fault);
  findings.note("says", String((parked["error_info"] as Shown | undefined)?.["message"]));
  findings.note("downloaded when it parked", kept);
  findings.expect(kept >= 2 * chunkSize, `only ${kept} bytes are kept`);
  findings.expect(parked["next_attempt_at"] !== undefined, "it does not say when it looks again");
  findings.expect(Number(parked["attempt"]) <= 1, `${parked["attempt"]} attempts are counted`);
  await until("the event", async () => told.includes(code));
  findings.expect(
    (await readdir(disk.path)).some((name) => name.endsWith(".part")),
    "the part file is gone",
  );

  const mended = performance.now();
  const before = (await nginx.requests()).reduce((sum, request) => sum + request.bytes, 0);
  await disk.mend();
  const ended = await until("it goes on by itself", async () => {
    const now = await show();
    return now["status"] === "completed" || now["status"] === "failed" ? now : undefined;
  });
  await daemon.kill("SIGTERM");
  const after = (await nginx.requests()).reduce((sum, request) => sum + request.bytes, 0);
  findings.note("seconds until it was whole", ((performance.now() - mended) / 1000).toFixed(1));
  findings.note("sent before", before);
  findings.note("sent in all", after);
  findings.expect(ended["status"] === "completed", `it is ${ended["status"]}: ${errorOf(ended)}`);
  findings.expect((await sha256Of(target).catch(() => "")) === digest, "the file is not right");
  findings.expect((await readFile(target).catch(() => Buffer.alloc(0))).length === size, "it has another length");
  const left = (await readdir(disk.path)).filter((name) => !["file.bin", "lost+found"].includes(name));
  findings.expect(left.length === 0, `left over: ${left.join(", ")}`);
  return findings.outcome();
}

/** A disk, and what is done to it. The daemon may have to be started anew for it. */
interface Faulty extends AsyncDisposable {
  readonly path: string;
  break(restart: (between: () => void) => Promise<void>): Promise<void>;
  mend(): Promise<void>;
}

async function faulty(fault: DiskFaultOptions["fault"], size: number): Promise<Faulty> {
  if (fault === "io-error") return failingMount(4 * size);
  const disk = await temporaryMount(size + SPARE);
  const filler = join(disk.path, ".filler");
  const end = { path: disk.path, [Symbol.asyncDispose]: () => disk[Symbol.asyncDispose]() };
  if (fault === "disk-full") return { ...end, break: () => fillDisk(filler), mend: () => rm(filler) };
  return {
    ...end,
    // A file system with files open for writing cannot be made read-only: it happens as after a crash.
    break: (restart) => restart(() => disk.remount("ro")),
    mend: () => Promise.resolve(disk.remount("rw")),
  };
}

function downloaded(session: Shown): number {
  return Number((session["progress"] as Shown | undefined)?.["downloaded_bytes"] ?? 0);
}

function errorOf(session: Shown): string {
  const error = session["error_info"] as Shown | null | undefined;
  return String(error?.["code"] ?? "");
}

async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(100);
  }
}
