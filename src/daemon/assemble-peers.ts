/** Puts together what shares files, and fetches what others share. Nothing here starts anything. */
import { join } from "node:path";
import type { Paths } from "../shared/paths.ts";
import type { Config } from "./config/schema.ts";
import type { KeyValue } from "./core/ports/key-value.ts";
import type { ReceiptStore } from "./core/ports/receipts.ts";
import type { Clock, Logger } from "./core/ports/runtime.ts";
import type { SessionStore } from "./core/ports/sessions.ts";
import { PeerRoom } from "./p2p/room.ts";
import type { PeerReach, PeerSettings } from "./p2p/room-init.ts";

/** Sessions that are looked at together. */
const PAGE = 1000;

/** What the room is put together from. */
export interface PeersInit {
  readonly config: () => Config;
  readonly paths: Pick<Paths, "stateDir" | "configFile" | "tokenFile">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The room of peers. */
export function assemblePeers(
  { config, paths, clock, logger }: PeersInit,
  keyValue: KeyValue,
  receipts: ReceiptStore,
): PeerRoom {
  return new PeerRoom({
    directory: join(paths.stateDir, "p2p"),
    own: () => ({
      paths: [paths.stateDir, paths.configFile, paths.tokenFile],
      // A service has its download folder in its state folder.
      except: [config().download_dir],
    }),
    settings: () => settingsOf(config()),
    reach: () => reachOf(config()),
    ...{ keyValue, receipts, clock },
    logger: logger.child({ room: "p2p" }),
  });
}

function settingsOf({ p2p }: Config): PeerSettings {
  return {
    enabled: p2p.enabled,
    allowRemote: p2p.allow_remote,
    maxPeers: p2p.max_peers,
    uploadLimit: p2p.upload_limit,
    shareForMs: p2p.share_for * 1000,
  };
}

function reachOf({ p2p }: Config): PeerReach {
  const { mode, suite, port, dht, mdns, upnp, nat_pmp: natPmp, stun, turn } = p2p;
  return { mode, suite, port, dht, mdns, upnp, natPmp, stun, turn };
}

/** The public ids of shares that sessions and receipts name: their codes are still needed. */
export async function namedShares(
  sessions: Pick<SessionStore, "list">,
  receipts: Pick<ReceiptStore, "all">,
): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  const note = (url: string): void => {
    const [, id] = /^snatch:share\/([0-9a-f]{32})/.exec(url) ?? [];
    if (id !== undefined) named.add(id);
  };
  let token: string | undefined;
  do {
    const page = await sessions.list({ url: "snatch:*" }, { size: PAGE, ...(token !== undefined && { token }) });
    for (const { url } of page.sessions) note(url);
    token = page.nextPageToken;
  } while (token !== undefined);
  for await (const { url } of receipts.all()) note(url);
  return named;
}
