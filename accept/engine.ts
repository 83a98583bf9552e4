/**
 * What the download engine has to show: the "Done when" of its issue, line by line, at full size. ACCEPT_SEED sets the
 * chance.
 */
import { diskFault } from "../test/support/scenarios/disk-full.ts";
import { hooksAndPlugins } from "../test/support/scenarios/hooks-and-plugins.ts";
import { inTurn } from "../test/support/scenarios/outcome.ts";
import { randomRun } from "../test/support/scenarios/random-run.ts";
import { rottenFile } from "../test/support/scenarios/rotten-file.ts";
import { benchRuns, testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";

const MIB = 1024 * 1024;
const seed = Number(process.env["ACCEPT_SEED"] ?? 20261122);

const disk = { size: 256 * MIB, chunkSize: 8 * MIB, rate: 50_000_000 } as const;

export const criteria: readonly Criterion[] = [
  {
    id: "1",
    title: "Every case has its origin and its test; docs/FAULTS.md says what Snatch does",
    run: () =>
      testsPass(
        "integration/faults",
        "integration/disk-faults",
        "integration/digests",
        "integration/engine",
        "integration/http-",
        "integration/metalink",
        "unit/http",
      ),
  },
  {
    id: "2",
    title: "1,000 random downloads from unreliable origins, the daemon killed with -9 at random moments",
    run: () => randomRun({ rounds: 1000, seed }),
  },
  {
    id: "3",
    title: "A small disk that is full, read-only, broken, and then not",
    run: () =>
      inTurn({
        full: () => diskFault({ ...disk, fault: "disk-full" }),
        "read-only": () => diskFault({ ...disk, fault: "read-only" }),
        broken: () => diskFault({ ...disk, fault: "io-error" }),
      }),
  },
  {
    id: "4",
    title: "50 random flips: verify names each chunk, repair fetches just those",
    run: () => rottenFile({ size: 768 * MIB, chunkSize: 8 * MIB, flips: 50, seed }),
  },
  {
    id: "5",
    title: "Two plugins, a command and a webhook work on a real download; the spec's example of hooks",
    run: () => inTurn({ plugins: () => hooksAndPlugins({ size: 64 * MIB }), spec: () => testsPass("test/spec/") }),
  },
  { id: "6", title: "The bench against curl, aria2c and wget2", run: () => benchRuns("1,2,3,4,5,6,7") },
];
