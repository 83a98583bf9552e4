/** A client that is not ours: `buf curl` knows nothing of Snatch but what reflection tells it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { HealthClient } from "../../src/gen/grpc/health/v1/health.ts";
import { call, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";

const run = promisify(execFile);
const SERVICES = [
  "DownloadService",
  "SessionService",
  "ReceiptService",
  "WatchFolderService",
  "CacheService",
  "DaemonService",
].map((name) => `snatch.v1.${name}`);
let fixture: RpcFixture;
before(async () => {
  fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  await fixture.server.start();
});
after(() => fixture[Symbol.asyncDispose]());

async function curl(path: string, ...flags: string[]): Promise<string> {
  const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
  const all = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...flags];
  const { stdout } = await run(buf, [...all, "--unix-socket", fixture.socket, `http://localhost${path}`]);
  return stdout;
}

describe("a client that is not ours", () => {
  test("lists the services and their methods by reflection", async () => {
    const services = (await curl("", "--list-services")).trim().split("\n");
    for (const service of [...SERVICES, "grpc.health.v1.Health"]) assert.ok(services.includes(service), service);
    const methods = await curl("", "--list-methods");
    assert.match(methods, /snatch\.v1\.SessionService\/ListSessions/);
    assert.match(methods, /snatch\.v1\.DownloadService\/FollowDownloads/);
  });

  test("asks for health", async () => {
    assert.deepEqual(JSON.parse(await curl("/grpc.health.v1.Health/Check", "-d", "{}")), { status: "SERVING" });
    const one = await curl("/grpc.health.v1.Health/Check", "-d", `{"service":"${SERVICES[0]}"}`);
    assert.deepEqual(JSON.parse(one), { status: "SERVING" });
  });

  test("adds a download and reads an error with its details", async () => {
    const wanted = '{"downloads":[{"urls":["https://foreign.example/a"],"options":{"retryDelay":"1.5s"}}]}';
    const answer = JSON.parse(await curl("/snatch.v1.DownloadService/AddDownloads", "-d", wanted));
    assert.equal(answer.results[0].session.options.retryDelay, "1.500s");
    await assert.rejects(curl("/snatch.v1.SessionService/GetSession", "-d", '{"sessionId":"ffff0000"}'), (error) => {
      const { code, message } = JSON.parse((error as { stderr: string }).stderr);
      assert.equal(code, "not_found");
      assert.match(message, /no session ffff0000/);
      return true;
    });
  });

  test("needs the token over TCP, also for reflection", async () => {
    const token = (await readFile(fixture.tokenFile, "utf8")).trim();
    const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
    const list = (...flags: string[]) =>
      run(buf, ["curl", "--protocol", "grpc", "--list-services", ...flags, `http://${fixture.tcp()[0]}`]);
    const { stdout } = await list(
      "-H",
      `Authorization: Bearer ${token}`,
      "--reflect-header",
      `Authorization: Bearer ${token}`,
    );
    assert.match(stdout, /snatch\.v1\.DaemonService/);
    await assert.rejects(list(), /unauthenticated|token/i);
  });
});

test("health knows no strangers, and says NOT_SERVING when the server drains", async () => {
  const client = new HealthClient(`unix:${fixture.socket}`, credentials.createInsecure());
  await assert.rejects(call(client.check.bind(client, { service: "nobody" })), { code: 5 });
  const watch = client.watch({ service: "snatch.v1.DownloadService" });
  const [first] = await once(watch, "data");
  assert.equal(first.status, "SERVING");
  const told = once(watch, "data");
  const ended = once(watch, "end");
  const drained = fixture.server.drain(2000);
  assert.equal((await told)[0].status, "NOT_SERVING");
  await ended;
  await drained;
  client.close();
});

test("the room loads neither reflection nor health until they are asked for", async () => {
  const room = new URL("../../src/daemon/rpc/server.ts", import.meta.url).href;
  const script = `await import(${JSON.stringify(room)}); const { createRequire } = await import("node:module");
    const loaded = Object.keys(createRequire(${JSON.stringify(room)}).cache);
    console.log(JSON.stringify(loaded.filter((file) => /protobufjs|proto-loader|reflection|grpc-health-check/.test(file))), loaded.length);`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
  const [found = "", count = "0"] = stdout.trim().split(" ");
  assert.deepEqual(JSON.parse(found), []);
  assert.ok(Number(count) > 10, "grpc-js itself is in the list");
});
