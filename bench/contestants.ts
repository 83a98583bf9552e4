/** The programs that are compared, each doing the same work with as many connections as the others. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROGRAMS } from "../test/support/program.ts";
import { requireTool } from "../test/support/tools.ts";

/** Connections for one large file. curl has one only. */
export const CONNECTIONS = 4;
/** Small files at once. */
export const PARALLEL = 16;

/** One file to fetch. */
export interface Item {
  readonly url: string;
  readonly name: string;
}

/** A program and how it is called. */
export interface Contestant {
  readonly name: string;
  /** The command line that fetches one file into a folder. */
  one(item: Item, folder: string): readonly string[];
  /** The command line that fetches many; `scratch` is a folder for its list. */
  many(items: readonly Item[], folder: string, scratch: string): Promise<readonly string[]>;
}

const ARIA2 = ["--no-conf", "--quiet", "--file-allocation=none"];

/** All of them; `snatch` talks to a daemon that runs. */
export function contestants(): readonly Contestant[] {
  const [curl, aria2c] = [requireTool("curl"), requireTool("aria2c")];
  const snatchctl = [process.execPath, PROGRAMS.snatchctl];
  return [
    {
      name: "snatch",
      one: (item, folder) => [...snatchctl, "get", item.url, "-o", join(folder, item.name), "--quiet"],
      async many(items, folder, scratch) {
        const list = join(scratch, "snatch.txt");
        await writeFile(list, items.map(({ url, name }) => `${url}\n  out=${name}\n`).join(""));
        return [...snatchctl, "get", "-i", list, "-d", folder, "--quiet"];
      },
    },
    {
      name: "curl",
      one: (item, folder) => [curl, "-q", "-sS", "-o", join(folder, item.name), item.url],
      async many(items, folder, scratch) {
        const config = join(scratch, "curl.conf");
        await writeFile(
          config,
          items.map(({ url, name }) => `url="${url}"\noutput="${join(folder, name)}"\n`).join(""),
        );
        return [curl, "-q", "-sS", "-Z", "--parallel-max", String(PARALLEL), "-K", config];
      },
    },
    {
      name: "aria2c",
      one: (item, folder) => [
        aria2c,
        ...ARIA2,
        ...["-x", String(CONNECTIONS), "-s", String(CONNECTIONS), "-d", folder, "-o", item.name, item.url],
      ],
      async many(items, folder, scratch) {
        const list = join(scratch, "aria2.txt");
        await writeFile(list, items.map(({ url, name }) => `${url}\n  out=${name}\n`).join(""));
        return [aria2c, ...ARIA2, "-j", String(PARALLEL), "-d", folder, "-i", list];
      },
    },
  ];
}

/** Processor time of a running process so far, in seconds. @throws Error if it is gone */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may hold anything; utime and stime are fields 14 and 15 of proc_pid_stat(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks / 100;
}

/** Forgets the largest resident size so far (clear_refs, proc_pid_clear_refs(5)). */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** The largest resident size since {@link resetPeak}, in bytes. */
export async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
