/** The acceptance scenarios in small, with the same code as at full size (accept/daemon.ts). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { foreignClient } from "../support/scenarios/foreign-client.ts";
import { killedDownload } from "../support/scenarios/killed-download.ts";
import { killedList } from "../support/scenarios/killed-list.ts";
import { killedMedia } from "../support/scenarios/killed-media.ts";
import { listSpeed } from "../support/scenarios/list-speed.ts";
import type { Outcome } from "../support/scenarios/outcome.ts";
import { pageAsAudio } from "../support/scenarios/page-as-audio.ts";
import { polledFeed } from "../support/scenarios/polled-feed.ts";
import { rottenFile } from "../support/scenarios/rotten-file.ts";
import { writeOrder } from "../support/scenarios/write-order.ts";
import { missing } from "../support/tools.ts";

const MIB = 1024 * 1024;
const skip = missing("nginx");

function met({ ok, values }: Outcome): void {
  assert.ok(ok, JSON.stringify(values, undefined, 2));
}

describe("in small", () => {
  test("a file is right after five kills at random moments", { skip }, async () => {
    const small = { size: 16 * MIB, kills: 5, seed: 5, rate: 2 * MIB, connections: 4, chunkSize: MIB / 16 };
    met(await killedDownload({ ...small, longestLifeMs: 500 }));
  });

  test("a list survives two kills and being dropped again", { skip }, async () => {
    met(await killedList({ lines: 600, kills: 2, seed: 6, timeoutMs: 120_000 }));
  });

  test("fifty flipped bits are found, and repaired by one range of one chunk each", { skip }, async () => {
    met(await rottenFile({ size: 16 * MIB + 1234, chunkSize: MIB / 16, flips: 50, seed: 4 }));
  });

  test("media of segments goes on after a kill with what is missing", { skip }, async () => {
    met(await killedMedia({ segments: 80, packets: 140, kills: 1, rate: 24 * 1024 }));
  });

  test("a page becomes its audio; a feed brings each episode once", { skip: missing("nginx", "ffmpeg") }, async () => {
    met(await pageAsAudio());
    met(await polledFeed());
  });

  test("bytes, record, name and folder reach the disk in this order", {
    skip: missing("nginx", "strace"),
  }, async () => {
    met(await writeOrder({ size: 3 * MIB, chunkSize: MIB }));
  });

  test("a client that is not ours finds its way by reflection", async () => {
    met(await foreignClient());
  });

  test("snatchctl list is quick", { skip }, async () => {
    // The full-size limit is 100 ms; here other tests run at the same time.
    met(await listSpeed({ sessions: 100, runs: 5, limitMs: 1000 }));
  });
});
