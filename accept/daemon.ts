/** What the daemon has to show: the "Done when" of its issue, line by line, at full size. ACCEPT_SEED sets the chance. */
import { foreignClient } from "../test/support/scenarios/foreign-client.ts";
import { killedDownload } from "../test/support/scenarios/killed-download.ts";
import { killedList } from "../test/support/scenarios/killed-list.ts";
import { listSpeed } from "../test/support/scenarios/list-speed.ts";
import { writeOrder } from "../test/support/scenarios/write-order.ts";
import { benchRuns, testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";
import { newcomer } from "./newcomer.ts";

const MIB = 1024 * 1024;
const seed = Number(process.env["ACCEPT_SEED"] ?? 20261122);

export const criteria: readonly Criterion[] = [
  { id: "1", title: "A fresh clone, an empty HOME, the README's two commands", run: newcomer },
  {
    id: "2",
    title: "1 GiB at 50 MB/s, the daemon killed with -9 at 20 random moments",
    run: () =>
      killedDownload({
        size: 1024 * MIB,
        kills: 20,
        seed,
        rate: 50_000_000,
        connections: 4,
        chunkSize: 8 * MIB,
        longestLifeMs: 2000,
      }),
  },
  {
    id: "3",
    title: "A list of 10,000 lines, the daemon killed with -9 three times, the list dropped again",
    run: () => killedList({ lines: 10_000, kills: 3, seed, timeoutMs: 15 * 60_000 }),
  },
  {
    id: "4",
    title: "strace: write < fdatasync < record < rename < folder sync",
    run: () => writeOrder({ size: 20 * MIB, chunkSize: 8 * MIB }),
  },
  {
    id: "5",
    title: "Integration tests against a real nginx, e2e tests of the real programs; none skipped",
    run: () => testsPass("test/integration/", "test/e2e/"),
  },
  { id: "6", title: "A foreign gRPC client lists the services and asks for health", run: foreignClient },
  {
    id: "7",
    title: "snatchctl list with 1,000 sessions: median of 15 at most 100 ms",
    run: () => listSpeed({ sessions: 1000, runs: 15, limitMs: 100 }),
  },
  {
    id: "8",
    title: "One file of 1 GiB and 2,000 of 20 KiB against curl and aria2c, on disk",
    run: () => benchRuns("1,3", { BENCH_LARGE_MIB: "1024", BENCH_PLACES: "disk" }),
  },
  { id: "9", title: "The spec's own examples", run: () => testsPass("test/spec/") },
];
