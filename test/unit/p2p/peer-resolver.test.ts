import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plan } from "../../../src/daemon/core/plan.ts";
import type { Expansion } from "../../../src/daemon/core/resolved.ts";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { formatCode, makeCode, readCode } from "../../../src/daemon/p2p/code.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { SecretStore } from "../../../src/daemon/p2p/secret-store.ts";
import { readShareUrl, shareUrl } from "../../../src/daemon/p2p/share-url.ts";
import { PeerResolver } from "../../../src/daemon/p2p/take/peer-resolver.ts";
import { Swarms } from "../../../src/daemon/p2p/take/swarms.ts";
import { FakeNetwork } from "../../support/p2p/fake-network.ts";
import { makeContent, scriptGiver } from "../../support/p2p/script-giver.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const folder = makeContent(
  [
    ["one.txt", Buffer.from("one")],
    ["sub/two.txt", Buffer.from("two")],
    ["empty", Buffer.alloc(0)],
  ],
  { name: "holiday" },
);

async function taker() {
  const directory = await temporaryFolder();
  const network = new FakeNetwork();
  const secrets = new SecretStore(directory.path);
  const clock = new TestClock();
  const swarms = new Swarms({
    network,
    secrets,
    clock,
    logger: new RecordLogger(),
    maxPeers: () => 10,
    give: () => undefined,
  });
  const settings = { enabled: true, allowRemote: false };
  const resolver = new PeerResolver({ swarms: () => Promise.resolve(swarms), secrets, settings: () => settings });
  return {
    network,
    secrets,
    settings,
    resolver,
    resolve: (url: string, options: DownloadOptions = {}) =>
      resolver.resolve({ url, mirrors: [], options }, new AbortController().signal),
    async [Symbol.asyncDispose]() {
      await swarms[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

test("a code is concealed: the URL says nothing of it, and the secret is kept when conceal returns", async () => {
  await using here = await taker();
  const code = makeCode();
  const secret = readCode(code);
  const { publicId } = deriveKeys(secret);
  for (const url of [`snatch:${code}`, `SNATCH://${code.toLowerCase()}`, `snatch:${code.replaceAll("-", "")}`]) {
    assert.ok(here.resolver.claims(url));
    assert.equal(here.resolver.conceal(url), `snatch:share/${publicId}`);
  }
  assert.deepEqual(Buffer.from(here.secrets.get(publicId) ?? []), Buffer.from(secret));
  for (const url of [`snatch:share/${publicId}`, `snatch:share/${publicId}/17`])
    assert.equal(here.resolver.conceal(url), url);
  assert.throws(() => here.resolver.conceal("snatch:share/../../etc"), { code: "CODE_INVALID" });
  assert.throws(() => here.resolver.conceal(`snatch:${formatCode(Buffer.alloc(15)).replace("0", "1")}`), {
    code: "CODE_INVALID",
  });
  assert.equal(here.resolver.claims("https://example.com/snatch:x"), false);
});

test("URLs of shares are read strictly", () => {
  const publicId = "0123456789abcdef0123456789abcdef";
  for (const url of [
    { publicId, remote: false },
    { publicId, file: 0, remote: false },
    { publicId, file: 99_999, remote: true },
  ])
    assert.deepEqual(readShareUrl(shareUrl(url)), url);
  for (const text of [
    "",
    "snatch:share/",
    `snatch:share/${publicId}/01`,
    `snatch:share/${publicId}/-1`,
    `snatch:share/${publicId}/1/2`,
    `snatch:share/${publicId.toUpperCase()}`,
  ])
    assert.equal(readShareUrl(text), undefined, text);
});

test("a folder becomes its files, each under the folder's name with its manifest", async () => {
  await using here = await taker();
  here.network.givers.push(scriptGiver(folder));
  const code = makeCode();
  const url = here.resolver.conceal(`snatch:${code}`);
  const expansion = (await here.resolve(url)) as Expansion;
  assert.equal(expansion.title, "holiday");
  assert.deepEqual(
    expansion.items.map(({ title, url: item }) => [title, item.slice(url.length)]),
    [
      ["one.txt", "/0"],
      ["sub/two.txt", "/1"],
      ["empty", "/2"],
    ],
  );
  const plan = (await here.resolve(expansion.items[1]?.url ?? "")) as Plan;
  assert.equal(plan.filename, "holiday/sub/two.txt");
  assert.ok(plan.nested && plan.exact && plan.final && plan.alone);
  assert.equal(plan.size, 3);
  assert.equal(plan.manifest?.size, 3);
  await assert.rejects(here.resolve(`${url}/3`), { code: "INVALID_URL" });
});

test("what is switched off, or not for callers over TCP, is refused by name", async () => {
  await using here = await taker();
  const url = here.resolver.conceal(`snatch:${makeCode()}`);
  await assert.rejects(here.resolve(url, { remote: true }), { code: "NETWORK_OFF", message: /p2p\.allow_remote/ });
  here.settings.allowRemote = true;
  here.network.givers.push(scriptGiver(makeContent([["a", Buffer.from("a")]])));
  const plan = (await here.resolve(url, { remote: true })) as Plan;
  assert.equal(plan.candidates[0].url, `${url}/0?remote`);
  assert.ok(!plan.exact && !plan.nested, "a file by itself is not to hide");
  assert.deepEqual(
    [...here.network.takers].map(({ remote }) => remote),
    [true],
  );
  here.settings.enabled = false;
  await assert.rejects(here.resolve(url), { code: "NETWORK_OFF", message: /p2p\.enabled/ });
  here.settings.enabled = true;
  await assert.rejects(here.resolve(`snatch:share/${"0".repeat(32)}`), { code: "SHARE_NOT_FOUND" });
});

test("peers that a person names are HOST:PORT, and are handed on", async () => {
  await using here = await taker();
  here.network.givers.push(scriptGiver(folder));
  const url = here.resolver.conceal(`snatch:${makeCode()}`);
  for (const peer of ["", "host", "host:0", "host:65536", "::1:80", "http://x:80", "a b:80", "[zz]:80", "host:80/x"])
    await assert.rejects(here.resolve(url, { peers: [peer] }), { code: "INVALID_ARGUMENT" }, peer);
  await assert.rejects(here.resolve(url, { peers: Array.from({ length: 17 }, () => "a:1") }), {
    code: "INVALID_ARGUMENT",
  });
  const peers = ["192.168.1.5:40123", "[fe80::1]:4000", "nas.local:1"];
  await here.resolve(url, { peers });
  assert.deepEqual([...here.network.takers][0]?.explicit, peers);
  await here.resolve(url, { peers: ["other:2"] });
  const explicit = await waitFor("sought anew", () => [...here.network.takers][0]?.explicit);
  assert.deepEqual(explicit, [...peers, "other:2"]);
});
