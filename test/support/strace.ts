/** System calls of a program, as strace writes them with `-f -y`: in order, with the paths of the descriptors. */

/** One call. */
export interface SystemCall {
  readonly name: string;
  /** Between the brackets. */
  readonly args: string;
  /** Paths in the arguments: those of descriptors and those given as strings. */
  readonly paths: readonly string[];
  readonly failed: boolean;
  /** Numbers of the lines on which it began and ended: A came before B if `A.end < B.begin`. */
  readonly begin: number;
  readonly end: number;
  /** As strace wrote it, in one piece. */
  readonly text: string;
}

/** Flags for strace: which calls, all threads, paths of descriptors, long enough strings. */
export const STRACE_FLAGS = [
  "-f",
  "-y",
  "-s",
  "512",
  "-e",
  "trace=write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,rename,renameat,renameat2,link,linkat",
] as const;

/** Reads a trace. Calls that other threads interrupted are put together again. */
export function parseStrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, { readonly text: string; readonly begin: number }>();
  text.split("\n").forEach((line, number) => {
    const [, thread = "", rest = ""] = /^(\d+)\s+(?:\d[\d.:]*\s+)?(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (rest.endsWith("<unfinished ...>")) {
      open.set(thread, { text: rest.slice(0, -"<unfinished ...>".length), begin: number });
    } else if (resumed) {
      const begun = open.get(thread);
      open.delete(thread);
      if (begun) add(calls, begun.text + resumed[2], begun.begin, number);
    } else add(calls, rest, number, number);
  });
  return calls.sort((a, b) => a.begin - b.begin);
}

function add(calls: SystemCall[], text: string, begin: number, end: number): void {
  const match = /^(\w+)\((.*)\)\s+= (-?\d+|\?)/.exec(text);
  if (!match) return;
  const [, name = "", args = "", result = ""] = match;
  const paths = [...args.matchAll(/\d+<(\/[^>]*)>|"(\/[^"]*)"/g)].map(
    ([, descriptor, string]) => descriptor ?? string ?? "",
  );
  calls.push({ name, args, paths, failed: result.startsWith("-"), begin, end, text });
}
