/** Receipts of real downloads, files that rot, and their repair, against origins that change meanwhile. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import {
  copyFile,
  link,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { VerifyEvent, VerifyOutcome, VerifyTarget } from "../../src/daemon/core/ports/receipts.ts";
import type { Clock } from "../../src/daemon/core/ports/runtime.ts";
import type { SourceFactory } from "../../src/daemon/core/ports/sources.ts";
import { redactReceipt } from "../../src/daemon/core/receipt.ts";
import { DiskFileStore } from "../../src/daemon/disk/file-store.ts";
import { Verifier, type VerifierParts } from "../../src/daemon/download/verifier.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import type { DownloadManager } from "../../src/daemon/library.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { type LibraryHome, libraryHome } from "../support/library.ts";
import { needsNginx, startNginx } from "../support/nginx.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const CHUNK = 64 * 1024;
const BYTES = randomBytes(5 * CHUNK + 1000);
const clock = new SystemClock();
const plainly = (call: Call): void => call.answer();

/** A file that was fetched, the origin that it came from, and a verifier. */
interface Fetched extends AsyncDisposable {
  readonly home: LibraryHome;
  readonly origin: Origin;
  readonly manager: DownloadManager;
  readonly path: string;
  readonly sessionId: string;
  /** What its verifier works with. */
  readonly parts: VerifierParts & { sources: SourceFactory };
  verify(target: VerifyTarget, repair?: boolean): Promise<Verified>;
}

interface Verified {
  readonly events: readonly VerifyEvent[];
  readonly outcomes: readonly VerifyOutcome[];
  /** Of the only file. */
  readonly outcome: VerifyOutcome;
  readonly damaged: readonly number[];
}

async function fetched(answer = plainly, urls = (origin: Origin): string[] => [origin.url]): Promise<Fetched> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await libraryHome());
  const origin = stack.use(await serve(resourceOf(BYTES), answer));
  const client = stack.use(new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() }));
  const manager = home.manager({ chunk_size: CHUNK }, { httpClient: client });
  const [result] = await manager.download([urls(origin)], { headers: [["X-Token", "geheim"]] });
  assert.equal(result?.status, "completed", result?.error?.message);
  const path = result.path ?? "";
  const parts: Fetched["parts"] = {
    receipts: manager.sessions.receipts,
    files: new DiskFileStore(),
    sources: new HttpSourceFactory({ client, clock }),
    clock,
    busy: () => false,
    timeoutMs: () => 5000,
  };
  const verifier = new Verifier(parts);
  const held = stack.move();
  return {
    home,
    origin,
    manager,
    path,
    sessionId: result.sessionId,
    parts,
    async verify(target, repair = false) {
      const mayWrite = () => Promise.resolve();
      const events: VerifyEvent[] = [];
      const options = { repair, findMoved: true, mayWrite, signal: AbortSignal.timeout(20_000) };
      for await (const event of verifier.verify(target, options)) events.push(event);
      const outcomes = events.flatMap((event) => (event.type === "done" ? [event.outcome] : []));
      const damaged = events.flatMap((event) => (event.type === "damaged" ? [event.chunk.index] : []));
      return { events, outcomes, outcome: outcomes[0] ?? assert.fail("no file"), damaged };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Changes one byte and nothing else that can be seen. */
async function flip(path: string, at: number): Promise<void> {
  const { mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
  await utimes(path, mtime, mtime);
}

async function assertRight(path: string): Promise<void> {
  assert.ok((await readFile(path)).equals(BYTES), "the file has its bytes");
}

test("a whole file is whole; a flipped byte's chunk is found and fetched again by one range of one chunk", async () => {
  await using file = await fetched();
  const { path, origin } = file;
  const { mtimeMs } = await stat(path);
  assert.equal((await file.verify({ path })).outcome.status, "whole");
  await flip(path, 3 * CHUNK - 1);
  await flip(path, 5 * CHUNK);
  const found = await file.verify({ path });
  assert.equal(found.outcome.status, "damaged");
  assert.deepEqual(found.damaged, [2, 5]);

  const before = origin.requests.length;
  const mended = await file.verify({ sessionId: file.sessionId.slice(0, 8) }, true);
  assert.equal(mended.outcome.status, "repaired");
  assert.deepEqual([mended.outcome.damaged, mended.outcome.repaired], [2, 2]);
  const requests = origin.requests.slice(before);
  assert.deepEqual(
    requests.map(({ range, headers }) => [range, headers["if-range"], headers["x-token"]]),
    [
      [{ start: 2 * CHUNK, end: 3 * CHUNK }, '"v1"', "geheim"],
      [{ start: 5 * CHUNK, end: BYTES.length }, '"v1"', "geheim"],
    ],
  );
  await assertRight(path);
  assert.equal((await stat(path)).mtimeMs, mtimeMs);
  assert.equal((await file.verify({ path })).outcome.status, "whole");
});

test("a file that was cut, and one that has grown, get their length back", async () => {
  await using file = await fetched();
  const { path } = file;
  await truncate(path, 2 * CHUNK + 5);
  const short = await file.verify({ path }, true);
  assert.deepEqual(short.damaged, [2, 3, 4, 5]);
  assert.deepEqual([short.outcome.status, short.outcome.size], ["repaired", 2 * CHUNK + 5]);
  await assertRight(path);
  await writeFile(path, "more", { flag: "a" });
  const long = await file.verify({ path });
  assert.deepEqual([long.outcome.status, long.outcome.damaged, long.outcome.touched], ["damaged", 0, true]);
  const requests = file.origin.requests.length;
  assert.equal((await file.verify({ path }, true)).outcome.status, "repaired");
  assert.equal(file.origin.requests.length, requests, "nothing had to be fetched");
  await assertRight(path);
  assert.equal((await file.verify({ path })).outcome.touched, false);
});

test("an origin that has changed: the file stays as it is, and the error says so", async () => {
  await using file = await fetched();
  file.origin.state.resource = resourceOf(randomBytes(BYTES.length), "2");
  await flip(file.path, 10);
  const rotten = await readFile(file.path);
  const { mtimeMs } = await stat(file.path);
  const { outcome } = await file.verify({ path: file.path }, true);
  assert.equal(outcome.status, "failed");
  assert.equal(outcome.error?.code, "REPAIR_IMPOSSIBLE");
  assert.match(outcome.error.message, /the origin has changed: .*ETag.*bytes 0–65535 are not those of the receipt/);
  assert.ok((await readFile(file.path)).equals(rotten));
  assert.equal((await stat(file.path)).mtimeMs, mtimeMs);
});

test("another validator, the same bytes: their digest proves them", async () => {
  await using file = await fetched();
  file.origin.state.resource = resourceOf(BYTES, "2");
  await flip(file.path, CHUNK);
  await flip(file.path, 2 * CHUNK);
  const before = file.origin.requests.length;
  assert.equal((await file.verify({ path: file.path }, true)).outcome.status, "repaired");
  await assertRight(file.path);
  assert.equal(file.origin.requests.length - before, 3, "asked under the old validator only once");
});

test("an origin that gives no ranges any more: the chunk is taken out of the whole", async () => {
  let ranges = true;
  await using file = await fetched((call) => {
    if (ranges) call.answer();
    else call.send(200, { etag: '"v1"', "content-length": BYTES.length }, BYTES);
  });
  ranges = false;
  await flip(file.path, 4 * CHUNK + 7);
  assert.equal((await file.verify({ path: file.path }, true)).outcome.status, "repaired");
  await assertRight(file.path);
});

test("an origin that is gone: a mirror gives the chunk; without one the file stays damaged", async () => {
  let gone = false;
  const answer = (call: Call) => (gone && call.seen.at === "here" ? call.send(410, {}) : call.answer());
  await using file = await fetched(answer, ({ url, elsewhere }) => [url, `${elsewhere}/mirror.bin`]);
  gone = true;
  await flip(file.path, 0);
  const mended = await file.verify({ path: file.path }, true);
  assert.equal(mended.outcome.status, "repaired");
  const [repaired] = mended.events.filter((event) => event.type === "repaired");
  assert.equal(repaired?.source, `${file.origin.elsewhere}/mirror.bin`);
  const { headers } = file.origin.requests.at(-1) ?? assert.fail();
  assert.equal(headers["x-token"], undefined, "what was meant for the first origin is not shown to the mirror");

  gone = false;
  await using other = await fetched(answer);
  gone = true;
  await flip(other.path, 0);
  const { outcome } = await other.verify({ path: other.path }, true);
  assert.deepEqual([outcome.status, outcome.error?.code], ["failed", "HTTP_GONE"]);
});

test("a connection that breaks is made anew; bytes that are not right are never written", async () => {
  let asked = 0;
  let mode: "right" | "broken" | "wrong" = "right";
  await using file = await fetched((call) => {
    if (mode === "right") return call.answer();
    if (mode === "broken" && ++asked === 2) return call.answer();
    if (mode === "broken") return call.raw("HTTP/1.1 206 Partial", "reset");
    const { start, end } = call.seen.range ?? assert.fail();
    const fields = { etag: '"v1"', "content-range": `bytes ${start}-${end - 1}/${BYTES.length}` };
    call.send(206, fields, Buffer.alloc(end - start));
  });
  mode = "broken";
  await flip(file.path, 0);
  assert.equal((await file.verify({ path: file.path }, true)).outcome.status, "repaired");
  assert.equal(asked, 2);
  mode = "wrong";
  await flip(file.path, 0);
  const rotten = await readFile(file.path);
  const { outcome } = await file.verify({ path: file.path }, true);
  assert.deepEqual([outcome.status, outcome.error?.code], ["failed", "REPAIR_IMPOSSIBLE"]);
  assert.match(outcome.error?.message ?? "", /sent other bytes 0–65535 than the receipt has/);
  assert.ok((await readFile(file.path)).equals(rotten));
});

test("a moved file is recognised, and known in its new place from then on, so that it is not fetched again", async () => {
  await using file = await fetched();
  const moved = join(file.home.home, "elsewhere", "b.bin");
  await mkdir(dirname(moved));
  await rename(file.path, moved);
  const { outcome } = await file.verify({ path: moved });
  assert.deepEqual([outcome.status, outcome.receipt.file.path, outcome.path], ["whole", file.path, moved]);
  assert.equal((await file.manager.sessions.receipts.byPath(moved))?.sessionId, file.sessionId);
  const requests = file.origin.requests.length;
  const [again] = await file.manager.download([[file.origin.url]]);
  assert.deepEqual([again?.already, again?.path], [true, moved]);
  assert.equal(file.origin.requests.length, requests);
});

test("a copy under another name does not take the receipt away; restored in its place, it is known again", async () => {
  await using file = await fetched();
  const second = `${file.path}.link`;
  await symlink(file.path, second);
  await flip(file.path, 5);
  const linked = await file.verify({ path: second }, true);
  assert.deepEqual([linked.outcome.status, linked.outcome.path], ["repaired", file.path]);
  await rm(second);
  await link(file.path, second);
  assert.equal((await file.verify({ path: second })).outcome.status, "whole");
  assert.equal((await file.manager.sessions.receipts.byPath(file.path))?.sessionId, file.sessionId);
  await rm(second);
  await copyFile(file.path, second);
  await rm(file.path);
  await copyFile(second, file.path);
  const copied = await file.verify({ path: file.path });
  assert.deepEqual([copied.outcome.status, copied.outcome.touched], ["whole", true]);
  assert.equal((await file.verify({ path: file.path })).outcome.touched, false);
});

test("what is not there is missing; what Snatch did not fetch has no receipt", async () => {
  await using file = await fetched();
  const stranger = join(file.home.home, "stranger");
  await assert.rejects(file.verify({ path: stranger }), { code: "RECEIPT_NOT_FOUND", message: /no such file/ });
  await writeFile(stranger, BYTES);
  await assert.rejects(file.verify({ path: stranger }), { code: "RECEIPT_NOT_FOUND", message: /did not fetch it/ });
  await rm(file.path);
  const { outcomes } = await file.verify({ all: true }, true);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["missing"],
  );
});

test("all files, their sessions forgotten or not; one that cannot be read does not hide the others", async () => {
  await using file = await fetched();
  const others = await file.manager.download([[`${file.origin.base}/b.bin`], [`${file.origin.base}/c.bin`]]);
  const [b, c] = others.map(({ path = "" }) => path) as [string, string];
  await file.manager.sessions.remove([file.sessionId]);
  await flip(b, 1);
  await rm(c);
  await mkdir(c);
  const { outcomes } = await file.verify({ all: true }, true);
  const found = new Map(outcomes.map(({ path, status }) => [path, status]));
  assert.deepEqual(
    found,
    new Map([
      [file.path, "whole"],
      [b, "repaired"],
      [c, "failed"],
    ] as const),
  );
  await assertRight(b);
});

test("a receipt that was carried out verifies a copy anywhere; with its secrets it repairs it", async () => {
  await using file = await fetched(plainly, ({ url }) => [`${url}?token=geheim`]);
  const copy = join(file.home.home, "copy.bin");
  await copyFile(file.path, copy);
  await flip(copy, 2 * CHUNK);
  const { receipts } = file.manager.sessions;
  const receipt = await receipts.bySession(file.sessionId);
  const carried = async (what: typeof receipt): Promise<string> => {
    let json = "";
    for await (const piece of receipts.write(what)) json += piece;
    const path = join(file.home.home, "receipt.json");
    await writeFile(path, json);
    return path;
  };
  const shown = await carried(redactReceipt(receipt));
  assert.doesNotMatch(await readFile(shown, "utf8"), /geheim/);
  const found = await file.verify({ receiptFile: shown, path: copy }, true);
  assert.deepEqual([found.damaged, found.outcome.error?.code], [[2], "REPAIR_IMPOSSIBLE"]);
  assert.match(found.outcome.error?.message ?? "", /exported without the secrets/);
  const whole = await carried(receipt);
  await assert.rejects(file.verify({ receiptFile: whole }, true), {
    code: "INVALID_ARGUMENT",
    message: /needs the path/,
  });
  const asked: (readonly [url: string, headers: unknown, namedBy: unknown])[] = [];
  const { sources } = file.parts;
  file.parts.sources = {
    http: (url, { namedBy, ...options }) => {
      asked.push([url, options.headers, namedBy]);
      return sources.http(url, options);
    },
  };
  const mended = await file.verify({ receiptFile: whole, path: copy }, true);
  assert.equal(mended.outcome.status, "repaired");
  assert.deepEqual(asked, [[`${file.origin.url}?token=geheim`, [], "https://receipt.invalid/"]], "as a stranger's");
  await assertRight(copy);
  file.parts.sources = sources;
  assert.equal((await receipts.byPath(file.path))?.sessionId, file.sessionId, "the receipt stays with the first file");

  await flip(copy, 0);
  const source = { ...receipt.manifests.source, root: "0".repeat(64) };
  const processed = await carried({ ...receipt, manifests: { ...receipt.manifests, source } });
  const { outcome } = await file.verify({ receiptFile: processed, path: copy }, true);
  assert.match(outcome.error?.message ?? "", /was processed after it was fetched/);
});

test("what is no regular file is not opened: a FIFO would hold it up for ever", async () => {
  await using file = await fetched();
  await rm(file.path);
  execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", file.path]);
  const { outcome } = await file.verify({ path: file.path }, true);
  assert.deepEqual([outcome.status, outcome.error?.code], ["failed", "IO_ERROR"]);
  assert.match(outcome.error?.message ?? "", /not a regular file/);
  await assert.rejects(file.verify({ receiptFile: file.path }), { code: "IO_ERROR", message: /not a regular file/ });
});

test("it ends when it is called off, and leaves the disk to downloads half of the time", async () => {
  await using file = await fetched();
  let slept = 0;
  const patient = { ...file.parts, busy: () => true, clock: quick(() => slept++) };
  const abort = new AbortController();
  const options = { repair: false, findMoved: false, mayWrite: () => Promise.resolve(), signal: abort.signal };
  for await (const event of new Verifier(patient).verify({ path: file.path }, options))
    if (event.type === "done") assert.equal(event.outcome.status, "whole");
  assert.equal(slept, 6, "once for each chunk");
  await assert.rejects(
    async () => {
      for await (const event of new Verifier(file.parts).verify({ path: file.path }, options))
        if (event.type === "begun") abort.abort(new Error("enough"));
    },
    { message: "enough" },
  );
});

/** A clock that does not sleep, but says that it would. */
function quick(onSleep: () => void): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    timer: (ms, callback) => clock.timer(ms, callback),
    sleep: () => Promise.resolve(onSleep()),
  };
}

test("the receipt tells the way, the times, the version, the digest and where each chunk came from", async () => {
  const redirecting = (call: Call) =>
    call.seen.path === "/file.bin" ? call.send(302, { location: `${call.elsewhere}/real.bin` }) : call.answer();
  const began = Date.now();
  await using file = await fetched(redirecting);
  const { receipts } = file.manager.sessions;
  const receipt = await receipts.bySession(file.sessionId);
  assert.equal(receipt.url, file.origin.url);
  assert.equal(receipt.resource.finalUrl, `${file.origin.elsewhere}/real.bin`);
  assert.deepEqual(receipt.resource.answer?.redirects, [file.origin.url]);
  assert.equal(receipt.resource.strongValidator, '"v1"');
  const times = [began, receipt.requestedAt, receipt.resource.answer?.at ?? 0, receipt.completedAt, Date.now()];
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  );
  const digests: string[] = [];
  for await (const chunk of receipts.chunks(receipt)) {
    digests.push(chunk.sha256);
    assert.deepEqual(chunk.sources, [0]);
  }
  const own = (index: number) => createHash("sha256").update(BYTES.subarray(index * CHUNK, (index + 1) * CHUNK));
  assert.deepEqual(
    digests,
    digests.map((_, index) => own(index).digest("hex")),
  );
  assert.deepEqual(receipt.manifests.source, receipt.manifests.file);
  // A repair begins where the download did: the place that it was sent to may not know it any more.
  await flip(file.path, 0);
  const before = file.origin.requests.length;
  assert.equal((await file.verify({ path: file.path }, true)).outcome.status, "repaired");
  assert.deepEqual(
    file.origin.requests.slice(before).map(({ path }) => path),
    ["/file.bin", "/real.bin"],
  );
});

test("a transfer that only the connection's end ended: length unverified", async () => {
  const head = 'HTTP/1.1 200 OK\r\nETag: "v1"\r\nConnection: close\r\n\r\n';
  await using file = await fetched((call) => call.raw(Buffer.concat([Buffer.from(head), BYTES])));
  await assertRight(file.path);
  const receipt = await file.manager.sessions.receipts.bySession(file.sessionId);
  assert.equal(receipt.resource.lengthUnverified, true);
  assert.equal((await file.verify({ path: file.path })).outcome.status, "whole");
});

test("over TLS the receipt has the fingerprint of the server's certificate", needsNginx, async () => {
  await using home = await libraryHome();
  await writeFile(join(home.home, "a.bin"), BYTES);
  await using nginx = await startNginx({ root: home.home });
  const pem = await readFile(nginx.certificate);
  const options = { userAgent: "snatch-test", certificateAuthorities: pem };
  await using client = new UndiciClient(options, { clock, logger: new RecordLogger() });
  const manager = home.manager({ chunk_size: CHUNK }, { httpClient: client });
  const [result] = await manager.download([[`${nginx.https}/a.bin`]]);
  assert.equal(result?.status, "completed", result?.error?.message);
  const { resource } = await manager.sessions.receipts.bySession(result.sessionId);
  const fingerprint = new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(resource.answer?.certificate, fingerprint);
});
