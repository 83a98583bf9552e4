/**
 * The hidden folder that a result grows in, beside the user's own files. Its name says whose it is, so that what a process left
 * that was killed is cleared away by the next one, and what grows elsewhere on the same disk is not.
 */
import { createHash } from "node:crypto";
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { join } from "node:path";

/** Place where process ids mean the same, process id, ticks at which the process began (0: not known), and what mkdtemp adds. */
const NAME = /^\.snatch-audio-(?:([0-9a-f]{8})-(\d+)-(\d+)-)?[A-Za-z0-9]{6}$/;
/** Milliseconds after which a folder of which nothing is known, and in which nothing moves, is taken for left over. */
const FORGOTTEN_MS = 24 * 3_600_000;

/**
 * Makes a folder of this process, and clears away those of dead ones beside it.
 * @throws what files throw
 */
export async function makeDraftFolder(parent: string): Promise<string> {
  const here = await hostPart();
  const folder = await mkdtemp(
    join(parent, `.snatch-audio-${here}-${process.pid}-${(await startOf(process.pid)) ?? 0}-`),
  );
  // A folder that may be written but not listed is as good.
  for (const name of await readdir(parent).catch(() => []))
    if (await isLeftOver(parent, name, here))
      await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  return folder;
}

async function isLeftOver(parent: string, name: string, here: string): Promise<boolean> {
  const [found, host, pid, start = ""] = NAME.exec(name) ?? [];
  if (found === undefined) return false;
  if (host === here && start !== "0") return (await startOf(Number(pid))) !== start;
  const path = join(parent, name);
  const names = await readdir(path).catch(() => []);
  const touched = [path, ...names.map((inner) => join(path, inner))].map((entry) =>
    lstat(entry).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ),
  );
  return Date.now() - Math.max(...(await Promise.all(touched))) > FORGOTTEN_MS;
}

/** Field 22 of proc_pid_stat(5): ticks from the machine's start to the process's; undefined if there is no such process, or no /proc. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name of the program is in parentheses, and may hold some itself.
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

/** Eight digits for this start of this machine, and the namespace of its process ids: on a shared disk others may write as well. */
async function hostPart(): Promise<string> {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  const space = await readlink("/proc/self/ns/pid").catch(() => "");
  return createHash("sha256").update(`${boot}\n${space}`).digest("hex").slice(0, 8);
}
