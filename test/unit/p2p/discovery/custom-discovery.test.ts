import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PeerDiscovery, PeerInfo } from "../../../../src/daemon/core/peers.ts";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { Discoveries } from "../../../../src/daemon/p2p/discovery/discoveries.ts";
import { RecordLogger } from "../../../support/record-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { waitFor } from "../../../support/wait.ts";

test("the example finds the peers of its list, as the house's own ways do", async () => {
  const { default: plugin } = await import("../../../../examples/custom-discovery.ts");
  await using folder = await temporaryFolder();
  const file = join(folder.path, "peers.txt");
  await writeFile(file, "# office\n192.168.1.20:4711  # Anna\n[2001:db8::7]:4712\nnonsense\n224.0.0.1:80\n");
  const discoveries = new Discoveries({ clock: new SystemClock(), logger: new RecordLogger() });
  const seen: PeerInfo[] = [];
  const stop = new AbortController();
  try {
    const registerDiscoveryMethod = (discovery: PeerDiscovery) => discoveries.register(discovery);
    await plugin.setup({ config: { file }, registerDiscoveryMethod } as Parameters<typeof plugin.setup>[0]);
    discoveries.discover("ab".repeat(20), (peer) => seen.push(peer), stop.signal);
    await waitFor("two peers", () => seen.length === 2);
    assert.deepEqual(
      seen.map(({ externalIp, externalPort }) => `${externalIp} ${externalPort}`),
      ["192.168.1.20 4711", "2001:db8::7 4712"],
    );
  } finally {
    stop.abort();
  }
});
