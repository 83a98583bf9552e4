/** Runs {@link ./nat-agent.ts} on a host of a rig, and reads along what it says. */
import { join } from "node:path";
import type { Rig } from "../rigs.ts";
import type { Finished } from "../run-program.ts";
import { waitFor } from "../wait.ts";

const PROGRAM = join(import.meta.dirname, "nat-agent.ts");

/** A line of it. */
export type Said = Readonly<Record<string, unknown>>;

/** An agent that runs. */
export interface Agent {
  /** What it has said so far. */
  readonly said: readonly Said[];
  /** Waits for a line that fits, of those after `from`. @throws Error if the program ends before */
  hear(what: string, fits: (line: Said) => boolean, from?: number): Promise<Said>;
  /** Ends it in an orderly way. */
  stop(): Promise<Finished>;
  /** As a power cut would. */
  kill(): Promise<Finished>;
}

/** Starts it. */
export function startAgent<Host extends string>(rig: Rig<Host>, host: Host, ...args: readonly string[]): Agent {
  const { child, finished } = rig.run(host, process.execPath, [PROGRAM, ...args]);
  const said: Said[] = [];
  let rest = "";
  child.stdout?.on("data", (bytes: Buffer) => {
    const lines = (rest + bytes.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    said.push(...lines.map((line) => JSON.parse(line) as Said));
  });
  let end: Finished | undefined;
  void finished.then((value) => {
    end = value;
  });
  return {
    said,
    hear: (what, fits, from = 0) =>
      waitFor(what, () => {
        const line = said.slice(from).find(fits);
        if (line === undefined && end !== undefined)
          throw new Error(`ended before ${what}: ${end.stdout}${end.stderr}`);
        return line;
      }),
    stop() {
      child.kill("SIGTERM");
      return finished;
    },
    kill() {
      child.kill("SIGKILL");
      return finished;
    },
  };
}

/** Runs it to its end. @returns what it said last */
export async function askAgent<Host extends string>(
  rig: Rig<Host>,
  host: Host,
  ...args: readonly string[]
): Promise<Said> {
  const finished = await rig.run(host, process.execPath, [PROGRAM, ...args]).finished;
  const line = finished.json().at(-1);
  if (line === undefined) throw new Error(`${args.join(" ")} said nothing: ${finished.stderr}`);
  return line;
}
