/** ReceiptService over a Unix socket and over TCP: what is shown to whom, and who may have what repaired. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { makeManifest } from "../../src/daemon/core/manifest.ts";
import {
  type ExportReceiptResponse,
  ReceiptServiceClient,
  type VerifyFilesRequest,
  type VerifyFilesResponse,
  type VerifyOutcome,
} from "../../src/gen/snatch/v1/receipt_service.ts";
import { call, errorOf, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";

const CHUNK = 1000;
const BYTES = randomBytes(2500);

let fixture: RpcFixture;
let local: ReceiptServiceClient;
let remote: ReceiptServiceClient;
let withToken: Metadata;

before(async () => {
  fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  await fixture.server.start();
  local = new ReceiptServiceClient(`unix:${fixture.socket}`, credentials.createInsecure());
  remote = new ReceiptServiceClient(fixture.tcp()[0] ?? "", credentials.createInsecure());
  withToken = new Metadata();
  withToken.set("authorization", `Bearer ${(await readFile(fixture.tokenFile, "utf8")).trim()}`);
  await mkdir(join(fixture.folder, "downloads"));
});
after(async () => {
  for (const client of [local, remote]) client.close();
  await fixture[Symbol.asyncDispose]();
});

/** A file with a receipt. @returns its path and its session */
async function finished(name: string): Promise<{ readonly path: string; readonly id: string }> {
  const path = join(fixture.folder, name);
  await writeFile(path, BYTES);
  const { size, mtimeMs, ino } = await stat(path);
  const url = `http://u:geheim@origin.test/${name}?sig=geheim`;
  const options = { headers: [["Cookie", "geheim"]] as const };
  const [session] = await fixture.kept.create([{ url, mirrors: [], options }]);
  const { id } = session ?? assert.fail();
  const digests = [0, 1, 2].map((index) =>
    createHash("sha256")
      .update(BYTES.subarray(index * CHUNK, (index + 1) * CHUNK))
      .digest("hex"),
  );
  await fixture.kept.update(id, {
    status: "active",
    resource: { finalUrl: url, ranges: true, size, strongValidator: '"v1"', answer: { at: 5, redirects: [url] } },
    part: { path: `${path}.part`, chunkSize: CHUNK, epoch: 1, sources: [url] },
  });
  await fixture.kept.recordChunks(
    id,
    1,
    digests.map((digest, index) => [index, digest, [0]] as const),
  );
  const manifestRoot = makeManifest(size, CHUNK, digests).root;
  await fixture.kept.update(id, { status: "completed", manifestRoot, file: { path, size, mtimeMs, ino } });
  return { path, id };
}

async function verify(
  client: ReceiptServiceClient,
  target: VerifyFilesRequest["target"],
  repair = false,
): Promise<{ readonly events: VerifyFilesResponse[]; readonly outcomes: VerifyOutcome[] }> {
  const events: VerifyFilesResponse[] = [];
  for await (const message of client.verifyFiles({ target, repair }, withToken)) events.push(message);
  return { events, outcomes: events.flatMap(({ event }) => (event?.$case === "done" ? [event.value] : [])) };
}

const byPath = (value: string) => ({ name: { name: { $case: "path", value } as const } });
const byId = (value: string) => ({ name: { name: { $case: "sessionId", value } as const } });
const pathOf = (value: string) => ({ $case: "path", value }) as const;

async function exported(client: ReceiptServiceClient, path: string, secrets: boolean): Promise<string> {
  let json = "";
  for await (const { data } of client.exportReceipt({ ...byPath(path), secrets }, withToken))
    json += (data as ExportReceiptResponse["data"]).toString();
  return json;
}

describe("a receipt", () => {
  test("is found by path and by the beginning of the id, without its secrets", async () => {
    const { path, id } = await finished("a.bin");
    const found = await call(local.getReceipt.bind(local, byPath(path)));
    assert.equal(found.receipt?.sessionId, id);
    assert.equal(found.receipt.file?.chunkCount, 3);
    assert.equal(found.receipt.file.root, found.receipt.source?.root);
    assert.deepEqual(await call(local.getReceipt.bind(local, byId(id.slice(0, 8)))), found);
    assert.doesNotMatch(JSON.stringify(found), /geheim/);
    assert.doesNotMatch(await exported(remote, path, false), /geheim/);
  });

  test("shows its secrets to its owner only", async () => {
    const { path } = await finished("b.bin");
    assert.match(await exported(local, path, true), /sig=geheim.*"Cookie","geheim"/);
    const error = await errorOf(exported(remote, path, true));
    assert.equal(error.code, status.PERMISSION_DENIED);
  });

  test("that is not there is NOT_FOUND; a name that is none is INVALID_ARGUMENT", async () => {
    const missing = await errorOf(call(local.getReceipt.bind(local, byPath("/no/such"))));
    assert.equal(missing.code, status.NOT_FOUND);
    assert.equal(detailsOf(missing).info?.reason, "RECEIPT_NOT_FOUND");
    for (const name of [{ name: undefined }, byPath("relative"), byPath(""), byId("x!")])
      assert.equal((await errorOf(call(local.getReceipt.bind(local, name)))).code, status.INVALID_ARGUMENT);
  });

  test("is forgotten, and its session with it", async () => {
    const { path, id } = await finished("c.bin");
    const gone = await call(local.forgetReceipt.bind(local, byPath(path)));
    assert.equal(gone.receipt?.sessionId, id);
    assert.equal(await fixture.kept.get(id), undefined);
    assert.equal((await errorOf(call(local.forgetReceipt.bind(local, byPath(path))))).code, status.NOT_FOUND);
    assert.ok((await readFile(path)).equals(BYTES), "the file stays");
  });
});

describe("verification", () => {
  test("tells the damaged chunk with its bytes", async () => {
    const { path, id } = await finished("d.bin");
    const changed = Buffer.from(BYTES);
    changed[1999] = (changed[1999] ?? 0) ^ 1;
    await writeFile(path, changed);
    const { events, outcomes } = await verify(remote, { $case: "sessionId", value: id });
    assert.deepEqual(
      events.map(({ event }) => event?.$case),
      ["begun", "damaged", "done"],
    );
    const damaged = events[1]?.event;
    const chunk = { index: 1, start: 1000, end: 2000, problem: "CHUNK_PROBLEM_CHANGED" };
    assert.deepEqual(damaged?.$case === "damaged" && damaged.value, chunk);
    assert.deepEqual([outcomes[0]?.status, outcomes[0]?.damagedCount], ["VERIFY_STATUS_DAMAGED", 1]);
  });

  test("repairs for callers over TCP only below the allowed folders", async () => {
    const inside = await finished("downloads/e.bin");
    const outside = await finished("f.bin");
    for (const { path } of [inside, outside]) await writeFile(path, "more", { flag: "a" });
    const denied = await verify(remote, pathOf(outside.path), true);
    assert.equal(denied.outcomes[0]?.error?.code, "TARGET_NOT_ALLOWED");
    assert.equal((await readFile(outside.path)).length, BYTES.length + 4);
    const allowed = await verify(remote, pathOf(inside.path), true);
    assert.equal(allowed.outcomes[0]?.status, "VERIFY_STATUS_REPAIRED");
    assert.ok((await readFile(inside.path)).equals(BYTES));
    const own = await verify(local, pathOf(outside.path), true);
    assert.equal(own.outcomes[0]?.status, "VERIFY_STATUS_REPAIRED");
  });

  test("finds moved files, and reads receipts in files, for the owner only", async () => {
    const { path } = await finished("g.bin");
    const receiptPath = join(fixture.folder, "g.json");
    await writeFile(receiptPath, await exported(local, path, false));
    const target = { $case: "receiptFile", value: { receiptPath, path: "" } } as const;
    assert.equal((await verify(local, target)).outcomes[0]?.status, "VERIFY_STATUS_WHOLE");
    assert.equal((await errorOf(verify(remote, target))).code, status.PERMISSION_DENIED);
    const stranger = join(fixture.folder, "stranger");
    await writeFile(stranger, "x");
    assert.equal((await errorOf(verify(remote, pathOf(stranger)))).code, status.NOT_FOUND);
  });

  test("goes through all files; a request without a target is INVALID_ARGUMENT", async () => {
    const { outcomes } = await verify(local, { $case: "all", value: true });
    assert.ok(outcomes.length >= 5);
    for (const target of [undefined, { $case: "all", value: false } as const, pathOf("relative")])
      assert.equal((await errorOf(verify(local, target))).code, status.INVALID_ARGUMENT);
  });
});
