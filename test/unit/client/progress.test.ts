import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { occurrenceLine, plainLine, summaryLine } from "../../../src/client/lines.ts";
import { readableLine } from "../../../src/client/log-lines.ts";
import { barLines } from "../../../src/client/progress.ts";
import { displayWidth } from "../../../src/client/table.ts";
import { Tally } from "../../../src/client/tally.ts";
import { FollowSummary } from "../../../src/gen/snatch/v1/download_service.ts";
import { Session } from "../../../src/gen/snatch/v1/session.ts";

const MIB = 1024 * 1024;
const session = (change: Partial<Session>) =>
  Session.fromPartial({
    sessionId: "3f2a9c1e-0000-4000-8000-000000000000",
    url: "https://example.org/a.iso",
    path: "/srv/a.iso",
    stage: "STAGE_UNSPECIFIED",
    metadata: { title: "a.iso" },
    ...(change as object),
  });
const active = session({
  status: "SESSION_STATUS_ACTIVE",
  stage: "STAGE_FETCH",
  progress: {
    downloadedBytes: 10 * MIB,
    totalBytes: 40 * MIB,
    percentage: 25,
    bytesPerSecond: 2 * MIB,
    connections: 2,
    pendingBytes: 10 * MIB,
  },
});
const completed = session({
  status: "SESSION_STATUS_COMPLETED",
  progress: {
    downloadedBytes: 40 * MIB,
    totalBytes: 40 * MIB,
    percentage: 100,
    bytesPerSecond: 0,
    connections: 0,
    pendingBytes: 0,
  },
});
const failed = session({
  sessionId: "7839739a-0000-4000-8000-000000000000",
  status: "SESSION_STATUS_FAILED",
  error: {
    code: "HTTP_NOT_FOUND",
    message: "https://example.org/a.iso answered 404\x1b[2J",
    hint: "Check the URL.",
    retryable: false,
    metadata: {},
  },
});
const summary = (change: Partial<FollowSummary>) => FollowSummary.fromPartial({ totalCount: 2, ...change });

describe("the tally", () => {
  test("a beginning with more bytes than the file has is none: no rate is below zero", () => {
    const tally = new Tally(() => 5000);
    const progress = { downloadedBytes: 40 * MIB, pendingBytes: 40 * MIB };
    tally.note(session({ ...active, progress: { ...active.progress, ...progress } } as Partial<Session>));
    const times = { createTime: new Date(1000), completeTime: new Date(3000) };
    const end = tally.note(session({ ...completed, ...times }));
    assert.equal(end?.kind === "ended" && end.rate, 20 * MIB);
  });

  test("reports an end once, with the average rate since it was seen first", () => {
    let now = 0;
    const tally = new Tally(() => now);
    assert.deepEqual(tally.take({ sessions: [active] }), []);
    now = 4000;
    const [end] = tally.take({ sessions: [completed] });
    assert.deepEqual(end, { kind: "ended", session: completed, rate: 5 * MIB });
    assert.deepEqual(tally.take({ sessions: [completed] }), []);
    assert.equal(tally.exit, 0);
  });

  test("leaves the exit code of the first failure", () => {
    const tally = new Tally();
    tally.take({ sessions: [failed, session({ sessionId: "c", status: "SESSION_STATUS_CANCELLED" })] });
    assert.equal(tally.exit, 4);
  });

  test("a failure that was queued again and completed is none", () => {
    const tally = new Tally();
    tally.take({ sessions: [failed] });
    tally.take({ sessions: [{ ...failed, status: "SESSION_STATUS_QUEUED" }] });
    tally.take({ sessions: [{ ...completed, sessionId: failed.sessionId }] });
    assert.equal(tally.exit, 0);
  });

  test("a pause leaves its own code", () => {
    const tally = new Tally();
    tally.take({
      sessions: [session({ status: "SESSION_STATUS_PAUSED" })],
      summary: summary({ pausedCount: 1, totalCount: 1 }),
    });
    assert.ok(tally.settled);
    assert.equal(tally.exit, 10);
  });

  test("each attempt that failed is reported once", () => {
    const waiting = session({ status: "SESSION_STATUS_WAITING", attempt: 1 });
    const tally = new Tally();
    assert.equal(tally.take({ sessions: [waiting] }).length, 1);
    assert.equal(tally.take({ sessions: [waiting] }).length, 0);
    assert.equal(tally.take({ sessions: [{ ...waiting, attempt: 2 }] }).length, 1);
  });

  test("an attempt that failed is reported also if the wait for the next was too short to be seen", () => {
    const gone = { code: "PEER_REFUSED", message: "gone", hint: "", retryable: true, metadata: {} };
    const error = { ...gone, time: new Date(1000) };
    const active = session({ status: "SESSION_STATUS_ACTIVE", attempt: 1 });
    const again = session({ status: "SESSION_STATUS_ACTIVE", attempt: 2, error });
    const tally = new Tally();
    assert.equal(tally.take({ sessions: [active] }).length, 0);
    assert.deepEqual(
      tally.take({ sessions: [again] }).map(({ kind }) => kind),
      ["waiting"],
    );
    assert.equal(tally.take({ sessions: [again] }).length, 0);
    const third = session({ status: "SESSION_STATUS_QUEUED", attempt: 2, error: { ...gone, time: new Date(2000) } });
    assert.equal(tally.take({ sessions: [third] }).length, 1);
    assert.equal(tally.take({ sessions: [{ ...third, status: "SESSION_STATUS_ACTIVE", attempt: 3 }] }).length, 0);
    const resumed = new Tally();
    resumed.take({ sessions: [session({ status: "SESSION_STATUS_QUEUED", attempt: 1, error })] });
    assert.equal(resumed.take({ sessions: [again] }).length, 0, "what was long ago");
    const seen = new Tally();
    seen.take({ sessions: [active] });
    seen.take({ sessions: [session({ status: "SESSION_STATUS_WAITING", attempt: 1, error })] });
    assert.equal(seen.take({ sessions: [again] }).length, 0, "once");
  });

  test("a file that waits because others of its share wait already is not reported as well", () => {
    const error = { code: "PEERS_NOT_FOUND", message: "nobody", hint: "", retryable: true, metadata: { held: "ab" } };
    const tally = new Tally();
    assert.equal(
      tally.take({ sessions: [session({ status: "SESSION_STATUS_WAITING", attempt: 1, error })] }).length,
      0,
    );
    const tried = { ...error, metadata: {} };
    const waiting = session({ status: "SESSION_STATUS_WAITING", attempt: 2, error: tried });
    assert.equal(tally.take({ sessions: [waiting] }).length, 1);
  });

  test("an empty batch is not settled", () => {
    const tally = new Tally();
    tally.take({ sessions: [], summary: summary({ totalCount: 0 }) });
    assert.equal(tally.settled, false);
  });
});

describe("lines", () => {
  test("say where a file was saved, how large it is and how fast it came", () => {
    assert.equal(
      occurrenceLine({ kind: "ended", session: completed, rate: 5 * MIB }),
      "saved /srv/a.iso (40.0 MiB, 5.00 MiB/s)",
    );
    assert.equal(
      occurrenceLine({ kind: "ended", session: { ...completed, already: true }, rate: 0 }),
      "already here /srv/a.iso (40.0 MiB)",
    );
  });

  test("say what failed, with code and hint, and without the server's control characters", () => {
    assert.equal(
      occurrenceLine({ kind: "ended", session: failed, rate: 0 }),
      "FAILED https://example.org/a.iso: HTTP_NOT_FOUND: https://example.org/a.iso answered 404\\x1b[2J\n  Check the URL.",
    );
  });

  test("say how far it has come", () => {
    assert.equal(plainLine(active), "a.iso: 25 % of 40.0 MiB, 2.00 MiB/s, 10 s left");
    assert.equal(
      summaryLine(
        summary({ totalCount: 10, completedCount: 3, failedCount: 1, downloadedBytes: MIB, bytesPerSecond: 0 }),
      ),
      "3 of 10 files, 1 failed, 1.00 MiB, 0 B/s",
    );
  });

  test("the daemon's JSON log is readable, other text stays", () => {
    assert.equal(
      readableLine(
        '{"level":"warn","time":"2026-11-22T12:00:00.000Z","room":"http","msg":"slow","host":"example.org"}',
      ),
      "2026-11-22 12:00:00.000 WARN  http: slow host=example.org",
    );
    assert.equal(readableLine("Error: \x1b[2J"), "Error: \\x1b[2J");
  });
});

describe("bars", () => {
  test("one file has one bar, several have the whole above the active ones", () => {
    const one = new Tally();
    one.take({ sessions: [active], summary: summary({ totalCount: 1 }) });
    assert.equal(barLines(one, 120, 24).length, 1);
    assert.match(barLines(one, 120, 24)[0] ?? "", /^a\.iso \[=+ +\] 25 % of 40\.0 MiB, 2\.00 MiB\/s, 10 s left$/);
    const many = new Tally();
    many.take({
      sessions: Array.from({ length: 50 }, (_, index) => ({ ...active, sessionId: String(index) })),
      summary: summary({ totalCount: 50 }),
    });
    const lines = barLines(many, 100, 24);
    assert.equal(lines.length, 6);
    assert.match(lines[0] ?? "", /^0 of 50 files/);
    assert.equal(barLines(many, 100, 5).length, 3, "no more than the terminal is high");
  });

  test("fit the terminal", () => {
    const long = { ...active, metadata: { ...active.metadata, title: "名前".repeat(80) } } as Session;
    const tally = new Tally();
    tally.take({ sessions: [long], summary: summary({ totalCount: 1 }) });
    for (const columns of [30, 60, 80, 200])
      for (const line of barLines(tally, columns, 24)) assert.ok(displayWidth(line) < columns, `${columns}: ${line}`);
  });
});
