/** ShareService over a Unix socket and over TCP. */
import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { DownloadServiceClient } from "../../src/gen/snatch/v1/download_service.ts";
import { DownloadOptions } from "../../src/gen/snatch/v1/session.ts";
import {
  CreateShareRequest,
  type CreateShareResponse,
  ShareServiceClient,
} from "../../src/gen/snatch/v1/share_service.ts";
import { publicIdOf } from "../support/memory-sharing.ts";
import { call, errorOf, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";

const CODE = /^[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){4}$/;

let fixture: RpcFixture;
let local: ShareServiceClient;
let remote: ShareServiceClient;
let withToken: Metadata;

before(async () => {
  fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  await fixture.server.start();
  local = new ShareServiceClient(`unix:${fixture.socket}`, credentials.createInsecure());
  remote = new ShareServiceClient(fixture.tcp()[0] ?? "", credentials.createInsecure());
  withToken = new Metadata();
  withToken.set("authorization", `Bearer ${(await readFile(fixture.tokenFile, "utf8")).trim()}`);
  const folder = join(fixture.folder, "holiday");
  await mkdir(join(folder, "sub"), { recursive: true });
  await writeFile(join(folder, "a.txt"), "a".repeat(1000));
  await writeFile(join(folder, "sub", "b.txt"), "b".repeat(500));
  await symlink("/etc/passwd", join(folder, "link"));
});
after(async () => {
  for (const client of [local, remote]) client.close();
  await fixture[Symbol.asyncDispose]();
});

/** All messages of a share's making. */
async function share(
  client: ShareServiceClient,
  request: Partial<CreateShareRequest>,
  metadata = new Metadata(),
): Promise<CreateShareResponse[]> {
  const messages: CreateShareResponse[] = [];
  for await (const message of client.createShare({ ...CreateShareRequest.create(), ...request }, metadata))
    messages.push(message as CreateShareResponse);
  return messages;
}

describe("shares over the wire", () => {
  test("one is made: its progress, then the share, its code, and what was left out", async () => {
    const folder = join(fixture.folder, "holiday");
    const messages = await share(local, {
      paths: [folder],
      name: "Holiday",
      expiresIn: { seconds: 3600, nanos: 0 },
      maxFetches: 3,
      maxPeers: 2,
      noEncryption: true,
    });
    assert.deepEqual(messages[0]?.event, {
      $case: "progress",
      value: { fileCount: 0, byteCount: 0, totalFileCount: 2, totalByteCount: 1500 },
    });
    const last = messages.at(-1)?.event;
    assert.ok(last?.$case === "created");
    const { share: made, code, leftOut } = last.value;
    assert.match(code, CODE);
    assert.ok(made);
    const { createTime, expireTime, root, ...rest } = made;
    assert.equal((expireTime?.getTime() ?? 0) - (createTime?.getTime() ?? 0), 3_600_000);
    assert.match(root, /^[0-9a-f]{64}$/);
    assert.deepEqual(rest, {
      shareId: publicIdOf(code),
      name: "Holiday",
      kind: "SHARE_KIND_FOLDER",
      paths: [folder],
      size: 1500,
      fileCount: 2,
      fetchCount: 0,
      maxFetches: 3,
      maxPeers: 2,
      encryption: false,
      peerCount: 0,
      sentBytes: 0,
      problem: "",
    });
    assert.deepEqual(leftOut, [{ path: join(folder, "link"), reason: "a symbolic link" }]);
    assert.deepEqual(fixture.daemon.sharing.asked.at(-1)?.options, {
      encryption: false,
      maxPeers: 2,
      maxFetches: 3,
      expiresInMs: 3_600_000,
      name: "Holiday",
    });
  });

  test("what is unset is as configured, and a duration of zero is for ever", async () => {
    const path = join(fixture.folder, "holiday", "a.txt");
    await share(local, { paths: [path] });
    assert.deepEqual(fixture.daemon.sharing.asked.at(-1)?.options, {});
    const messages = await share(local, { paths: [path], expiresIn: { seconds: 0, nanos: 0 } });
    assert.deepEqual(fixture.daemon.sharing.asked.at(-1)?.options, { expiresInMs: 0 });
    const last = messages.at(-1)?.event;
    assert.ok(last?.$case === "created");
    assert.deepEqual([last.value.share?.expireTime, last.value.share?.kind], [undefined, "SHARE_KIND_FILE"]);
  });

  test("they are listed, the oldest first and without codes; a code is told, and a share ended, by id and by code", async () => {
    const { shares } = await call(local.listShares.bind(local, {}));
    assert.equal(shares.length, 3);
    assert.equal(shares[0]?.name, "Holiday");
    assert.doesNotMatch(JSON.stringify(shares), /[0-9A-Z]{5}-[0-9A-Z]{5}-/);
    for (const by of ["id", "code"]) {
      const [first] = (await call(local.listShares.bind(local, {}))).shares;
      const name = first?.shareId.slice(0, 8) ?? "";
      const { code } = await call(local.getShareCode.bind(local, { share: name }));
      assert.equal(publicIdOf(code), first?.shareId);
      const ended = await call(local.deleteShare.bind(local, { share: by === "id" ? name : code }));
      assert.equal(ended.share?.shareId, first?.shareId);
      const error = await errorOf(call(local.getShareCode.bind(local, { share: name })));
      assert.equal(detailsOf(error).info?.reason, "SHARE_NOT_FOUND");
    }
  });

  test("a caller who leaves ends the hashing", async () => {
    const { sharing } = fixture.daemon;
    const ended = Promise.withResolvers<unknown>();
    const before = (await sharing.shares()).length;
    sharing.beforeShare = (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          ended.resolve(signal.reason);
          reject(signal.reason as Error);
        }),
      );
    const stream = local.createShare(
      CreateShareRequest.fromPartial({ paths: [join(fixture.folder, "holiday", "a.txt")] }),
    );
    stream.on("data", () => stream.cancel());
    const failed = new Promise<ServiceError>((resolve) =>
      stream.on("error", (error) => resolve(error as ServiceError)),
    );
    assert.equal((await failed).code, status.CANCELLED);
    assert.match(String(await ended.promise), /caller has left/);
    sharing.beforeShare = () => Promise.resolve();
    assert.equal((await sharing.shares()).length, before);
  });

  test("a caller over TCP may look at shares and the network, and no more", async () => {
    const options = { metadata: withToken };
    const { shares } = await call(remote.listShares.bind(remote, {}), options);
    assert.equal(shares.length, 1);
    assert.equal((await call(remote.getNetwork.bind(remote, { probe: false }), options)).natType, "unknown");
    const { length } = fixture.daemon.sharing.asked;
    for (const refused of [
      share(remote, { paths: ["/etc/passwd"] }, withToken),
      call(remote.getShareCode.bind(remote, { share: shares[0]?.shareId ?? "" }), options),
      call(remote.deleteShare.bind(remote, { share: shares[0]?.shareId ?? "" }), options),
      call(remote.getNetwork.bind(remote, { probe: true }), options),
    ])
      assert.equal((await errorOf(refused)).code, status.PERMISSION_DENIED);
    assert.equal(fixture.daemon.sharing.asked.length, length);
    assert.equal((await sharing()).length, 1);

    const downloads = new DownloadServiceClient(fixture.tcp()[0] ?? "", credentials.createInsecure());
    try {
      const wanted = { urls: ["https://example.org/a"], options: DownloadOptions.fromPartial({ share: true }) };
      const { results } = await call(downloads.addDownloads.bind(downloads, { downloads: [wanted] }), options);
      const [refused] = results;
      assert.equal(refused?.result?.$case === "error" && refused.result.value.code, "PERMISSION_DENIED");
      const header = { part: { $case: "header" as const, value: { name: "list", options: wanted.options } } };
      const { promise, resolve } = Promise.withResolvers<ServiceError | null>();
      const list = downloads.addList(withToken, resolve);
      list.on("error", () => {});
      list.write(header);
      list.end();
      assert.equal((await promise)?.code, status.PERMISSION_DENIED);
    } finally {
      downloads.close();
    }
  });

  const sharing = () => fixture.daemon.sharing.shares();

  test("what makes no sense is refused, with the field", async () => {
    for (const [field, request] of [
      ["paths", { paths: [] }],
      ["paths[1]", { paths: ["/a", "b"] }],
      ["paths[0]", { paths: ["/a\0"] }],
      ["name", { paths: ["/a"], name: "../up" }],
      ["name", { paths: ["/a"], name: "a\nb" }],
      ["name", { paths: ["/a"], name: ".." }],
      ["name", { paths: ["/a"], name: "é".repeat(200) }],
      ["max_peers", { paths: ["/a"], maxPeers: 101 }],
      ["max_fetches", { paths: ["/a"], maxFetches: -1 }],
      ["expires_in", { paths: ["/a"], expiresIn: { seconds: -1, nanos: 0 } }],
      ["expires_in", { paths: ["/a"], expiresIn: { seconds: 1e10, nanos: 0 } }],
    ] as const) {
      const error = await errorOf(share(local, { ...request, paths: [...request.paths] }));
      assert.equal(error.code, status.INVALID_ARGUMENT, field);
      assert.equal(detailsOf(error).info?.metadata["field"], field);
    }
    const long = await errorOf(call(local.deleteShare.bind(local, { share: "ABCD-".repeat(60) })));
    assert.equal(long.code, status.INVALID_ARGUMENT);
    assert.doesNotMatch(long.details, /ABCD/, "it may have been a code");
  });

  test("the network is told whole", async () => {
    const { sharing: daemon } = fixture.daemon;
    daemon.state = {
      listening: true,
      peerId: "ab".repeat(32),
      port: 4000,
      localAddresses: ["192.168.0.7"],
      externalIp: "203.0.113.9",
      externalPort: 4001,
      mappedBy: "nat-pmp",
      mappedUntil: Date.parse("2026-11-22T13:00:00Z"),
      natType: "port-restricted-cone",
      mapping: "endpoint-independent",
      filtering: "address-and-port-dependent",
      reached: true,
      mode: "no-relay",
      suite: "classic",
      ice: false,
      iceProblem: "the optional package @roamhq/wrtc is not installed",
      discovery: [{ name: "dht", state: "42 nodes" }],
      peers: [
        {
          peerId: "cd".repeat(32),
          path: "punched",
          address: "198.51.100.4:5000",
          suite: "TLS_AES_256_GCM_SHA384",
          shareId: "0".repeat(32),
          direction: "up",
          sentBytes: 5e9,
          receivedBytes: 0,
          since: Date.parse("2026-11-22T12:00:00Z"),
        },
      ],
    };
    const { mappingExpireTime, peers, discovery, ...rest } = await call(local.getNetwork.bind(local, { probe: true }));
    assert.equal(daemon.probes.at(-1), true);
    assert.equal(mappingExpireTime?.toISOString(), "2026-11-22T13:00:00.000Z");
    assert.deepEqual(discovery, [{ name: "dht", state: "42 nodes" }]);
    assert.deepEqual(peers, [
      {
        peerId: "cd".repeat(32),
        path: "punched",
        address: "198.51.100.4:5000",
        suite: "TLS_AES_256_GCM_SHA384",
        shareId: "0".repeat(32),
        takes: true,
        gives: false,
        sentBytes: 5e9,
        receivedBytes: 0,
        connectTime: new Date("2026-11-22T12:00:00Z"),
      },
    ]);
    assert.deepEqual(rest, {
      listening: true,
      peerId: "ab".repeat(32),
      port: 4000,
      localAddresses: ["192.168.0.7"],
      externalIp: "203.0.113.9",
      externalPort: 4001,
      mappedBy: "nat-pmp",
      mappingProblem: "",
      natType: "port-restricted-cone",
      natMapping: "endpoint-independent",
      natFiltering: "address-and-port-dependent",
      reached: true,
      mode: "no-relay",
      suite: "classic",
      ice: false,
      iceProblem: "the optional package @roamhq/wrtc is not installed",
    });
  });
});
