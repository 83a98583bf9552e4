import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { toMasker } from "../../../src/daemon/rpc/field-mask.ts";
import { portions } from "../../../src/daemon/rpc/page.ts";
import { presentSession } from "../../../src/daemon/rpc/present.ts";
import { Session as WireSession } from "../../../src/gen/snatch/v1/session.ts";

const session: Session = {
  id: "7d3f2c1e-0000-4000-8000-000000000001",
  seq: 7,
  url: "https://me:secret@example.org/file.iso?token=abc&page=2",
  mirrors: ["https://mirror.example/file.iso?X-Signature=abc"],
  options: { headers: [["Authorization", "Bearer abc"]], retryDelay: 0.25, ifExists: "rename" },
  status: "active",
  stage: "fetch",
  createdAt: Date.parse("2026-11-22T12:00:00.250Z"),
  updatedAt: Date.parse("2026-11-22T12:00:01Z"),
  attempt: 1,
  progress: { downloadedBytes: 25, totalBytes: 100 },
  metadata: {},
  resource: { finalUrl: "https://cdn.example/x?sig=abc", ranges: true, etag: '"v1"', strongValidator: '"v1"' },
  target: "/srv/files/file.iso",
};

describe("a session on the wire", () => {
  test("survives encoding with all that callers may see", () => {
    const live = { bytesPerSecond: 12.5, connections: 2, pendingBytes: 3.7 };
    const wire = WireSession.decode(WireSession.encode(presentSession(session, { live, queuePosition: 2 })).finish());
    assert.equal(wire.status, "SESSION_STATUS_ACTIVE");
    assert.equal(wire.stage, "STAGE_FETCH");
    assert.deepEqual(wire.progress, {
      downloadedBytes: 25,
      totalBytes: 100,
      percentage: 25,
      bytesPerSecond: 12.5,
      connections: 2,
      pendingBytes: 3,
      segments: undefined,
    });
    assert.equal(wire.createTime?.toISOString(), "2026-11-22T12:00:00.250Z");
    assert.equal(wire.completeTime, undefined);
    assert.equal(wire.path, "/srv/files/file.iso");
    assert.equal(wire.metadata?.title, "file.iso");
    assert.equal(wire.metadata?.validator, '"v1"');
    assert.deepEqual(wire.options?.retryDelay, { seconds: 0, nanos: 250_000_000 });
    assert.equal(wire.queuePosition, 2);
  });

  test("the ways by which bytes come, then by which they came; what was asked of peers; the share", () => {
    const shared = { ...session, via: ["lan"], shareId: "ab".repeat(16) } as const;
    const round = (wire: WireSession) => WireSession.decode(WireSession.encode(wire).finish());
    const live = { bytesPerSecond: 1, connections: 1, pendingBytes: 0, via: ["mapped", "relay-tcp"] } as const;
    assert.deepEqual(round(presentSession(shared, { live })).via, ["mapped", "relay-tcp"]);
    const { via, shareId, options } = round(
      presentSession({ ...shared, options: { peers: ["host:4000"], share: true } }),
    );
    assert.deepEqual([via, shareId, options?.peers, options?.share], [["lan"], "ab".repeat(16), ["host:4000"], true]);
    const plain = round(presentSession(session));
    assert.deepEqual([plain.via, plain.shareId, plain.options?.share], [[], "", false]);
  });

  test("shows no secret, wherever it stands", () => {
    const bytes = Buffer.from(WireSession.encode(presentSession(session)).finish()).toString("latin1");
    assert.doesNotMatch(bytes, /secret|abc/);
    assert.match(bytes, /page=2/);
    assert.match(bytes, /Authorization/);
  });

  test("a finished empty file is at 100 percent, an unknown size at 0", () => {
    const percentage = (more: Partial<Session>) => presentSession({ ...session, ...more }).progress?.percentage;
    assert.equal(percentage({ status: "completed", progress: { downloadedBytes: 0, totalBytes: 0 } }), 100);
    assert.equal(percentage({ progress: { downloadedBytes: 5 } }), 0);
    assert.equal(percentage({ progress: { downloadedBytes: 150, totalBytes: 100 } }), 100);
  });
});

describe("a read mask", () => {
  const wire = presentSession(session);

  test("absent, empty or * takes everything", () => {
    for (const paths of [undefined, [], ["*"]]) assert.deepEqual(toMasker(paths)(wire), wire);
  });

  test("keeps what it names and nothing else", () => {
    const kept = toMasker(["session_id", "progress.downloaded_bytes", "options"])(wire);
    assert.equal(kept.sessionId, session.id);
    assert.equal(kept.progress?.downloadedBytes, 25);
    assert.equal(kept.progress?.totalBytes, undefined);
    assert.deepEqual(kept.options, wire.options);
    assert.equal(kept.url, "");
    assert.equal(kept.createTime, undefined);
    assert.deepEqual(toMasker(["progress", "progress.percentage"])(wire).progress, wire.progress);
  });

  for (const path of [
    "no_such",
    "sessionId",
    "progress.nothing",
    "url.host",
    "progress.percentage.x",
    "",
    "constructor",
  ])
    test(`refuses ${JSON.stringify(path)}`, () =>
      assert.throws(
        () => toMasker([path]),
        (error) => error instanceof DownloadError && error.code === "INVALID_ARGUMENT",
      ));
});

test("heavy sessions are spread over messages that clients accept", () => {
  const heavy = presentSession({ ...session, url: `https://example.org/${"a".repeat(60_000)}` });
  const spread = portions(Array.from({ length: 100 }, () => heavy));
  assert.ok(spread.length > 1);
  assert.equal(spread.flat().length, 100);
  for (const portion of spread) {
    const bytes = portion.reduce((sum, one) => sum + WireSession.encode(one).finish().length, 0);
    assert.ok(bytes < 4 * 1024 * 1024, `${bytes} bytes in a message`);
  }
  assert.deepEqual(portions([]), [[]]);
  assert.equal(portions(Array.from({ length: 2500 }, () => presentSession(session))).length, 3);
});
