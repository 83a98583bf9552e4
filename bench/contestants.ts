/** The programs that are compared, and how each is called for the same work. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROGRAMS } from "../test/support/program.ts";
import { requireTool } from "../test/support/tools.ts";

/** Files of a list at once, for every program. */
export const PARALLEL = 16;

/** The programs. */
export type ProgramName = "snatch" | "curl" | "aria2c" | "wget2" | "disk" | "ffmpeg" | "yt-dlp" | "tls" | "wormhole";

/** One file to fetch. Its name is the last part of its URL: wget2 gives no other names to the files of a list. */
export interface Item {
  readonly url: string;
  readonly name: string;
}

/** More arguments, for those programs that are to get some. */
export type Extra = Partial<Readonly<Record<ProgramName, readonly string[]>>>;

/** A program and how it is called. */
export interface Contestant {
  readonly name: ProgramName;
  /** The command line that fetches one file into a folder. */
  one(item: Item, folder: string, extra?: Extra): readonly string[];
  /** The command line that fetches many, {@link PARALLEL} at once; `scratch` is a folder for its list. */
  many(items: readonly Item[], folder: string, scratch: string): Promise<readonly string[]>;
}

/** All of them; `snatch` talks to a daemon that runs, whose configuration says how many files are fetched at once. */
export function contestants(): readonly Contestant[] {
  return [snatch(), curl(), aria2c(), wget2()];
}

/**
 * No download at all: a file that is in memory already is written past the page cache and synced. So long the disk takes for
 * bytes that survive a power cut; the others, snatch excepted, end with theirs in the page cache and sync nothing.
 */
export function bareDisk(file: string): Pick<Contestant, "name" | "one"> {
  const program = [requireTool("dd"), `if=${file}`, "bs=8M", "oflag=direct", "conv=fdatasync", "status=none"];
  return { name: "disk", one: (item, folder) => [...program, `of=${join(folder, item.name)}`] };
}

function snatch(): Contestant {
  const program = [process.execPath, PROGRAMS.snatchctl];
  return {
    name: "snatch",
    one: (item, folder, extra) => [
      ...program,
      ...["get", item.url, "-o", join(folder, item.name), "--quiet"],
      ...(extra?.snatch ?? []),
    ],
    async many(items, folder, scratch) {
      const list = join(scratch, "snatch.txt");
      await writeFile(list, items.map(({ url, name }) => `${url}\n  out=${name}\n`).join(""));
      return [...program, "get", "-i", list, "-d", folder, "--quiet"];
    },
  };
}

function curl(): Contestant {
  const program = [requireTool("curl"), "-q", "-sS"];
  return {
    name: "curl",
    one: (item, folder, extra) => [...program, "-o", join(folder, item.name), item.url, ...(extra?.curl ?? [])],
    async many(items, folder, scratch) {
      const config = join(scratch, "curl.conf");
      const lines = items.map(({ url, name }) => `url="${url}"\noutput="${join(folder, name)}"\n`);
      await writeFile(config, lines.join(""));
      return [...program, "-Z", "--parallel-max", String(PARALLEL), "-K", config];
    },
  };
}

function aria2c(): Contestant {
  // Without allocation it is at its quickest.
  const program = [requireTool("aria2c"), "--no-conf", "--quiet", "--file-allocation=none"];
  return {
    name: "aria2c",
    one: (item, folder, extra) => [...program, ...(extra?.aria2c ?? []), "-d", folder, "-o", item.name, item.url],
    async many(items, folder, scratch) {
      const list = join(scratch, "aria2.txt");
      await writeFile(list, items.map(({ url, name }) => `${url}\n  out=${name}\n`).join(""));
      return [...program, "-j", String(PARALLEL), "-d", folder, "-i", list];
    },
  };
}

function wget2(): Contestant {
  const program = [requireTool("wget2"), "--no-config", "--quiet", "--no-hsts"];
  return {
    name: "wget2",
    one: (item, folder, extra) => [...program, ...(extra?.wget2 ?? []), "-O", join(folder, item.name), item.url],
    async many(items, folder, scratch) {
      const list = join(scratch, "wget2.txt");
      await writeFile(list, items.map(({ url }) => `${url}\n`).join(""));
      return [...program, `--max-threads=${PARALLEL}`, "-P", folder, "-i", list];
    },
  };
}
