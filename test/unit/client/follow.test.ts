import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../../src/client/connect.ts";
import { fail } from "../../../src/client/failure.ts";
import { follow } from "../../../src/client/follow.ts";
import { Tally } from "../../../src/client/tally.ts";
import { FollowDownloadsResponse } from "../../../src/gen/snatch/v1/download_service.ts";
import { Session } from "../../../src/gen/snatch/v1/session.ts";
import { EXIT } from "../../../src/shared/errors.ts";

const parent = Session.fromPartial({ sessionId: "parent", status: "SESSION_STATUS_COMPLETED" });
const child = (id: string, status: Session["status"]) => Session.fromPartial({ sessionId: id, status });
const message = (sessions: readonly Session[], counts: object) =>
  FollowDownloadsResponse.fromPartial({ sessions: [...sessions], summary: counts });

/** Follows what a daemon says, stream after stream. @returns the tally, and what was left of the streams */
async function followed(
  streams: Array<readonly FollowDownloadsResponse[]>,
  sessions: ReadonlyMap<string, Session> = new Map(),
) {
  const connection = {
    target: { address: "unix:/nowhere" },
    async *receive() {
      yield* streams.shift() ?? assert.fail("it follows once more");
    },
    ask: (_method: unknown, { sessionId }: { readonly sessionId: string }) => {
      const session = sessions.get(sessionId);
      return session ? Promise.resolve({ session }) : Promise.reject(fail("SESSION_NOT_FOUND", "it is not there"));
    },
  };
  const tally = new Tally();
  const ended: string[] = [];
  await follow(connection as unknown as Connection, {
    request: { sessionIds: ["parent"], batchId: "" },
    tally,
    signal: new AbortController().signal,
    onNews: (news) => {
      for (const { kind, session } of news) if (kind === "ended") ended.push(session.sessionId);
      return Promise.resolve();
    },
    say: () => Promise.resolve(),
    patienceMs: 0,
  });
  return { tally, ended, left: streams.length };
}

test("what was asked for had ended when the first message came: what it led to is waited for all the same", async () => {
  const { tally, ended } = await followed([
    [
      message([parent], { totalCount: 1, completedCount: 1 }),
      message([child("a", "SESSION_STATUS_ACTIVE")], { totalCount: 2, completedCount: 1 }),
      message([child("a", "SESSION_STATUS_FAILED")], { totalCount: 2, completedCount: 1, failedCount: 1 }),
    ],
  ]);
  assert.deepEqual(ended, ["parent", "a"]);
  assert.notEqual(tally.exit, EXIT.ok);
});

test("a failure that comes in a later portion of the last messages is not lost", async () => {
  const counts = { totalCount: 3, completedCount: 2, failedCount: 1 };
  const { tally } = await followed([
    [
      message([parent, child("a", "SESSION_STATUS_COMPLETED")], counts),
      message([child("b", "SESSION_STATUS_FAILED")], counts),
    ],
  ]);
  assert.notEqual(tally.exit, EXIT.ok);
});

test("a stream that ends before anything was said of the end is followed again", async () => {
  const { ended, left } = await followed([[], [message([parent], { totalCount: 1, completedCount: 1 })]]);
  assert.deepEqual(ended, ["parent"]);
  assert.equal(left, 0);
});

test("something that others led to and that was removed meanwhile did not end well, and is not waited for", async () => {
  const { tally } = await followed([
    [
      message([parent, child("a", "SESSION_STATUS_ACTIVE")], { totalCount: 2, completedCount: 1 }),
      message([], { totalCount: 1, completedCount: 1 }),
    ],
  ]);
  assert.equal(tally.exit, EXIT.refused);
});
