/** What media has to show: the "Done when" of its issue, line by line, at full size. */

import { killedMedia } from "../test/support/scenarios/killed-media.ts";
import { Findings, inTurn, type Outcome } from "../test/support/scenarios/outcome.ts";
import { pageAsAudio } from "../test/support/scenarios/page-as-audio.ts";
import { polledFeed } from "../test/support/scenarios/polled-feed.ts";
import { SELECTOR_CASES } from "../test/support/selector-cases.ts";
import { TEMPLATE_CASES } from "../test/support/template-cases.ts";
import { benchRuns, testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";

/** A table of cases that is long enough, and whose tests pass. */
async function table(cases: number, least: number, tests: string): Promise<Outcome> {
  const findings = new Findings();
  findings.note("cases", cases);
  findings.expect(cases >= least, `${cases} cases; ${least} were asked for`);
  const passed = await testsPass(tests);
  return { ok: findings.outcome().ok && passed.ok, values: { ...findings.outcome().values, ...passed.values } };
}

export const criteria: readonly Criterion[] = [
  {
    id: "1",
    title: "Media made by FFmpeg comes out right; the fixtures of the parsers' packages parse",
    run: () =>
      inTurn({
        made: () => testsPass("integration/media-made"),
        misbehaving: () => testsPass("integration/media-segments", "integration/media-live"),
        fixtures: () => testsPass("unit/resolve/playlist-fixtures"),
      }),
  },
  {
    id: "2",
    title: "get PAGE --format bestaudio --quality 320k gives an audio file; --json says asked and had",
    run: () => pageAsAudio(),
  },
  {
    id: "3",
    title: "kill -9 in the middle of 500 fragments: only the rest is fetched",
    run: () => killedMedia({ segments: 500, packets: 1090, kills: 1, rate: 160 * 1024 }),
  },
  {
    id: "4",
    title: "Selectors as a table of 80 cases or more, templates of 40 or more",
    run: () =>
      inTurn({
        selectors: () => table(SELECTOR_CASES.length, 80, "unit/resolve/choose"),
        templates: () => table(TEMPLATE_CASES.length, 40, "unit/resolve/template"),
      }),
  },
  {
    id: "5",
    title: "A podcast feed polled three times fetches each episode once",
    run: () => polledFeed(),
  },
  { id: "6", title: "The bench rows", run: () => benchRuns("10") },
];
