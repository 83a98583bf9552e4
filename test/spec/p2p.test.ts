/** The examples of the specification's P2P section, in TypeScript, against the package by its name. Only loopback. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { P2PManager, type PeerDiscovery, type PeerInfo } from "snatch";
import { libraryHome } from "../support/library.ts";

const video = Buffer.alloc(3_000_000, "a video, as far as this test goes. ");
/** Nobody outside of this machine is asked. */
const config = {
  min_free_space: 0,
  retry_delay: 0.05,
  p2p: { dht: { enabled: false }, mdns: false, upnp: false, nat_pmp: false, stun: [] },
};

/** Where the other one listens. */
async function portOf(manager: P2PManager): Promise<number> {
  const { port } = await manager.sharing.network(false, AbortSignal.timeout(5000));
  assert.ok(port !== undefined, "it listens once it shares");
  return port;
}

describe("spec: p2p", () => {
  test("shareFile and fetchFile: file sharing", async () => {
    await using giver = await libraryHome();
    await using taker = await libraryHome();
    await writeFile(join(giver.home, "video.mp4"), video);
    // Initialize P2P manager
    await using p2p = new P2PManager(config, { home: giver.home });
    await p2p.start();
    // Share a file
    const shareCode = await p2p.shareFile(join(giver.home, "video.mp4"), { encryption: true, maxPeers: 10 });
    const [share] = await p2p.sharing.shares();
    assert.deepEqual(
      [share?.name, share?.size, share?.encryption, share?.maxPeers],
      ["video.mp4", video.length, true, 10],
    );
    // Fetch shared file
    await using other = new P2PManager(config, { home: taker.home });
    const downloads = `${join(taker.home, "downloads")}/`;
    const paths = await other.fetchFile(shareCode, downloads, { peers: [`127.0.0.1:${await portOf(p2p)}`] });
    assert.deepEqual(paths, [join(taker.home, "downloads", "video.mp4")]);
    assert.deepEqual(await readFile(paths[0] ?? ""), video);
  });

  test("registerDiscoveryMethod: custom peer discovery", async () => {
    await using giver = await libraryHome();
    await using taker = await libraryHome();
    await mkdir(join(giver.home, "trip", "day 1"), { recursive: true });
    await writeFile(join(giver.home, "trip", "a.bin"), video.subarray(0, 70_000));
    await writeFile(join(giver.home, "trip", "day 1", "b.bin"), video.subarray(0, 100));
    await using p2p = new P2PManager(config, { home: giver.home });
    const shareCode = await p2p.shareFile(join(giver.home, "trip"));
    const externalPort = await portOf(p2p);

    const asked: string[] = [];
    class CustomDiscovery implements PeerDiscovery {
      readonly name = "custom";

      async discoverPeers(fileHash: string): Promise<PeerInfo[]> {
        asked.push(fileHash);
        const unknown = { peerId: "", publicKey: new Uint8Array(), natType: "unknown", capabilities: [] } as const;
        return [{ ...unknown, externalIp: "127.0.0.1", externalPort }];
      }
    }

    await using other = new P2PManager(config, { home: taker.home });
    other.registerDiscoveryMethod(new CustomDiscovery());
    const downloads = join(taker.home, "downloads");
    const paths = await other.fetchFile(shareCode, `${downloads}/`);
    assert.deepEqual([...paths].sort(), [join(downloads, "trip", "a.bin"), join(downloads, "trip", "day 1", "b.bin")]);
    assert.deepEqual(await readFile(join(downloads, "trip", "a.bin")), video.subarray(0, 70_000));
    assert.match(asked[0] ?? "", /^[0-9a-f]{40}$/);
    assert.ok(
      !shareCode
        .replaceAll("-", "")
        .toLowerCase()
        .includes((asked[0] ?? "").slice(0, 8)),
    );
  });

  test("the example's code is none: nine characters can be guessed", async () => {
    await using home = await libraryHome();
    await using p2p = new P2PManager(config, { home: home.home });
    await assert.rejects(p2p.fetchFile("ABC123XYZ", "downloads/"), { code: "CODE_INVALID" });
  });
});
