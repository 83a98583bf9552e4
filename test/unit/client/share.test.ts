/** What `share`, `fetch` and `network` show, in words and as a QR code. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { encode } from "uqr";
import { progressLine } from "../../../src/client/commands/share.ts";
import { occurrenceLine, remarkLine, stateLine } from "../../../src/client/lines.ts";
import { networkJson, networkLines } from "../../../src/client/network-view.ts";
import { qrLines } from "../../../src/client/qr.ts";
import { hideCode, isShareLink } from "../../../src/client/share-link.ts";
import { viaText } from "../../../src/client/share-view.ts";
import { Session } from "../../../src/gen/snatch/v1/session.ts";
import { GetNetworkResponse } from "../../../src/gen/snatch/v1/share_service.ts";

const MIB = 1024 * 1024;
const LINK = "SNATCH:EDQ62-X33D0-G6AY3-1DNR6-RSBK6";

describe("the QR code", () => {
  test("has every module where the encoder puts it, light ones around", () => {
    const { data, size } = encode(LINK, { ecc: "L", border: 2 });
    const lines = qrLines(LINK, size, true) ?? [];
    assert.equal(lines.length, Math.ceil(size / 2));
    const dark = lines.flatMap((line) => {
      const cells = [...stripVTControlCharacters(line)];
      return [cells.map((cell) => "▀█".includes(cell)), cells.map((cell) => "▄█".includes(cell))];
    });
    assert.deepEqual(dark.slice(0, size), data);
    assert.ok(data[0]?.every((module) => !module) && data[1]?.every((module) => !module));
    assert.ok(size <= 33, `${size} columns`);
  });

  test("is left out where it would not fit, or could be the wrong way round", () => {
    assert.equal(qrLines(LINK, 28, true), undefined);
    assert.equal(qrLines(LINK, 80, false), undefined);
  });
});

describe("words", () => {
  test("how far the reading is", () => {
    const progress = { fileCount: 3, byteCount: 100 * MIB, totalFileCount: 10, totalByteCount: 500 * MIB };
    assert.equal(progressLine(progress, 1000), "reading 3 of 10 files, 100 MiB of 500 MiB, 100 MiB/s, 4 s left");
    const first = { fileCount: 0, byteCount: 0, totalFileCount: 1, totalByteCount: 5 };
    assert.equal(progressLine(first, 0), "reading the file, 0 B of 5 B");
  });

  test("by which way bytes come and came", () => {
    const progress = { downloadedBytes: MIB, totalBytes: 2 * MIB, percentage: 50, bytesPerSecond: MIB };
    const active = Session.fromPartial({
      status: "SESSION_STATUS_ACTIVE",
      stage: "STAGE_FETCH",
      progress,
      via: ["relay-udp"],
    });
    assert.equal(stateLine(active), "50 % of 2.00 MiB, 1.00 MiB/s, 1 s left, via relay (TURN over UDP)");
    const done = Session.fromPartial({
      status: "SESSION_STATUS_COMPLETED",
      path: "/a",
      progress,
      via: ["lan", "punched"],
    });
    const line = occurrenceLine({ kind: "ended", session: done, rate: MIB });
    assert.equal(line, "saved /a (1.00 MiB, 1.00 MiB/s, via LAN and TCP hole punching)");
    assert.equal(viaText(["toString"]), "via toString", "what a newer daemon says is shown as it is");
    assert.equal(viaText([]), "");
  });

  test("why nobody is there yet, and what to do about it, the first time", () => {
    const error = { code: "PEERS_NOT_FOUND", message: "nobody was found.", hint: "Check the code." };
    const url = "snatch:share/0123";
    const waiting = (attempt: number): string => {
      const session = Session.fromPartial({ url, status: "SESSION_STATUS_WAITING", attempt, error });
      return occurrenceLine({ kind: "waiting", session });
    };
    const said = `WAITING ${url}: PEERS_NOT_FOUND: nobody was found; next attempt later`;
    assert.equal(waiting(1), `${said}\n  Check the code.`);
    assert.equal(waiting(2), said);
    const at = { url, status: "SESSION_STATUS_ACTIVE", attempt: 2, error } as const;
    const again = occurrenceLine({ kind: "waiting", session: Session.fromPartial(at) });
    assert.equal(again, `WAITING ${url}: PEERS_NOT_FOUND: nobody was found; trying again\n  Check the code.`);
    const looking = Session.fromPartial({ url, status: "SESSION_STATUS_ACTIVE", stage: "STAGE_RESOLVE" });
    assert.equal(stateLine(looking), "looking for whoever shares it");
    assert.equal(stateLine({ ...looking, url: "https://h/" }), "resolve");
  });

  test("a file that is here and not shared says why", () => {
    const error = { code: "SHARE_INVALID", message: "the file is here, but is not shared: full", hint: "Less." };
    assert.equal(
      remarkLine(Session.fromPartial({ status: "SESSION_STATUS_COMPLETED", error })),
      "SHARE_INVALID: the file is here, but is not shared: full\n  Less.",
    );
    assert.equal(remarkLine(Session.fromPartial({ status: "SESSION_STATUS_COMPLETED" })), undefined);
  });

  test("links hold codes, the names of sessions do not", () => {
    for (const text of ["snatch:ABCD", " SNATCH:x", "snatch:"]) {
      assert.ok(isShareLink(text), text);
      assert.equal(hideCode(text), "snatch:***");
    }
    for (const text of ["snatch:share/0123/4", "https://h/snatch:x", "ABCD-EFGH"]) assert.equal(hideCode(text), text);
  });
});

describe("the network", () => {
  const seen = (change: Partial<GetNetworkResponse>) => {
    const network = { ...GetNetworkResponse.create(), listening: true, mode: "auto", ice: true, ...change };
    return networkLines({ ...network, port: 4000, natType: change.natType ?? "unknown" }).join("\n");
  };
  for (const [name, change, said, unsaid] of [
    ["reached", { reached: true }, /^reachable {4}yes/, /to do/],
    ["mapped", { mappedBy: "upnp" }, /^reachable {4}most likely: the router has opened the port \(upnp\)/, /to do/],
    ["public", { natType: "none" }, /^reachable {4}most likely: the address is public/, /to do/],
    ["behind a cone", { natType: "full-cone" }, /to do .*TCP port 4000[\s\S]*UPnP or NAT-PMP/, /TURN server/],
    ["symmetric", { natType: "symmetric" }, /set a TURN server \(p2p\.turn\)/, /transport=tcp/],
    ["symmetric, no relay wanted", { natType: "symmetric", mode: "no-relay" }, /to do/, /set a TURN server/],
    ["UDP blocked", { natType: "udp-blocked" }, /set a TURN server.*transport=tcp/, /^$/],
    ["LAN only", { mode: "lan-only" }, /only on the local network/, /to do/],
    [
      "relay only, and none",
      { mode: "relay-only", ice: false, iceProblem: "no wrtc" },
      /without ICE.*no wrtc/,
      /router pass/,
    ],
    ["idle", { listening: false }, /nothing listens/, /to do/],
    ["a newer daemon's kind", { natType: "constructor" }, /^router {7}constructor$/m, /function/],
  ] as const) {
    test(name, () => {
      const page = seen(change);
      assert.match(page, said);
      assert.doesNotMatch(page, unsaid);
    });
  }

  test("mapping and addresses", () => {
    const page = seen({
      mappedBy: "nat-pmp",
      mappingExpireTime: new Date(Date.now() + 1e6),
      externalIp: "2001:db8::1",
      externalPort: 7,
      natMapping: "endpoint-independent",
    });
    assert.match(page, /^mapping {6}by nat-pmp, until \d{4}-.*, then renewed$/m);
    assert.match(page, /^from outside \[2001:db8::1\]:7$/m);
    assert.match(page, /\(mapping endpoint-independent, filtering not known\)$/m);
    assert.equal(networkJson(GetNetworkResponse.create())["port"], null);
  });
});
