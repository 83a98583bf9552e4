/** FeedService over a Unix socket and over TCP, and `snatchctl feed` against it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { FeedServiceClient } from "../../src/gen/snatch/v1/feed_service.ts";
import { call, errorOf, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";
import { snatchctl } from "../support/snatchctl.ts";

const FEED = "https://pod.example/feed?token=geheim";

let fixture: RpcFixture;
let local: FeedServiceClient;
let remote: FeedServiceClient;
let withToken: Metadata;

before(async () => {
  fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  await fixture.server.start();
  local = new FeedServiceClient(`unix:${fixture.socket}`, credentials.createInsecure());
  remote = new FeedServiceClient(fixture.tcp()[0] ?? "", credentials.createInsecure());
  withToken = new Metadata();
  withToken.set("authorization", `Bearer ${(await readFile(fixture.tokenFile, "utf8")).trim()}`);
});
after(async () => {
  for (const client of [local, remote]) client.close();
  await fixture[Symbol.asyncDispose]();
});

const ctl = (...args: string[]) => snatchctl(["--address", `unix:${fixture.socket}`, "feed", ...args]);

describe("feeds over the wire", () => {
  test("are followed as the command line says, and shown without secrets", async () => {
    const added = await ctl(
      "add",
      FEED,
      "--every",
      "90m",
      "--keep",
      "5",
      "--delete-old",
      "--newest",
      "2",
      "-d",
      "/pods",
      "--format",
      "bestaudio",
    );
    assert.equal(added.code, 0, added.stderr);
    assert.doesNotMatch(added.stdout, /geheim/);
    assert.match(added.stdout, /every 1 h 30 min.*the newest 5, older files removed/);
    const [state] = fixture.daemon.feeds.list();
    assert.equal(state?.url, FEED);
    assert.deepEqual(
      [state.everyMs, state.keep, state.newest, state.deleteOld, state.options],
      [5_400_000, 5, 2, true, { directory: "/pods", format: "bestaudio" }],
    );
    const { feeds } = await call(local.listFeeds.bind(local, {}));
    assert.equal(feeds.length, 1);
    assert.doesNotMatch(JSON.stringify(feeds), /geheim/);
  });

  test("are polled, and told as lines of JSON", async () => {
    const polled = await ctl("poll", "--json");
    assert.equal(polled.code, 0, polled.stderr);
    const line = JSON.parse(polled.stdout) as Record<string, unknown>;
    assert.deepEqual(
      [line["title"], line["new_count"], line["removed_count"], line["every_seconds"], line["last_poll_at"]],
      ["Polled", 3, 1, 5400, new Date(2000).toISOString()],
    );
    assert.match((await ctl("poll")).stdout, /^Polled: 3 new, 1 removed/);
  });

  test("a caller over TCP may look, and no more", async () => {
    const { feeds } = await call(remote.listFeeds.bind(remote, {}), { metadata: withToken });
    assert.equal(feeds.length, 1);
    const request = {
      url: FEED,
      every: { seconds: 3600, nanos: 0 },
      keep: 0,
      newest: 0,
      deleteOld: false,
      options: undefined,
    };
    for (const refused of [
      call(remote.addFeed.bind(remote, request), { metadata: withToken }),
      call(remote.removeFeed.bind(remote, { feed: FEED }), { metadata: withToken }),
      call(remote.pollFeeds.bind(remote, { feed: "" }), { metadata: withToken }),
    ])
      assert.equal((await errorOf(refused)).code, status.PERMISSION_DENIED);
  });

  test("numbers that make no sense are refused, with the field", async () => {
    const request = { url: FEED, every: undefined, keep: -1, newest: 0, deleteOld: false, options: undefined };
    const error = await errorOf(call(local.addFeed.bind(local, request)));
    assert.equal(error.code, status.INVALID_ARGUMENT);
    assert.match(JSON.stringify(detailsOf(error)), /keep/);
  });

  test("what is not followed any more is gone", async () => {
    assert.equal((await ctl("rm", FEED)).code, 0);
    assert.match((await ctl("list")).stderr, /no feed is followed/);
    const again = await ctl("rm", FEED);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /FEED_NOT_FOUND/);
  });
});
