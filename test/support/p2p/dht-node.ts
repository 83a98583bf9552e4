/** Our node of the DHT, in a network on loopback. */
import { join } from "node:path";
import type { PeerInfo } from "../../../src/daemon/core/peers.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Dht } from "../../../src/daemon/p2p/discovery/dht.ts";
import type { DhtRelays } from "../../../src/daemon/p2p/discovery/dht-route.ts";
import { RecordLogger } from "../record-logger.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** A node and the folder that it keeps its state in. */
export interface OwnNode extends AsyncDisposable {
  readonly dht: Dht;
  readonly file: string;
  readonly logger: RecordLogger;
}

/** Makes one; it starts at its first use. @param bootstrap - as `dht.bootstrap` */
export async function ownNode(bootstrap: readonly string[], relays?: DhtRelays): Promise<OwnNode> {
  const folder = await temporaryFolder();
  const file = join(folder.path, "state", "dht.json");
  const logger = new RecordLogger();
  const settings = () => ({ enabled: true, bootstrap, port: 0 });
  const dht = new Dht({ settings, file, relays, clock: new SystemClock(), logger });
  return {
    dht,
    file,
    logger,
    async [Symbol.asyncDispose]() {
      await dht[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A peer of which only the port matters. */
export function peerAt(externalPort: number, externalIp = "127.0.0.1"): PeerInfo {
  return { peerId: "", publicKey: new Uint8Array(), externalIp, externalPort, natType: "unknown", capabilities: [] };
}
