/** Puts the room together. Nothing here starts anything: that is for the first share or fetch. */
import { join } from "node:path";
import { EncryptionManager } from "./channel/encryption.ts";
import { Dht } from "./discovery/dht.ts";
import type { DhtRelays } from "./discovery/dht-route.ts";
import { DhtSignalling } from "./discovery/dht-signalling.ts";
import { Discoveries } from "./discovery/discoveries.ts";
import { MulticastDiscovery } from "./discovery/mdns.ts";
import { Seeder } from "./give/seeder.ts";
import { localAddresses } from "./nat/addresses.ts";
import { MappedPorts } from "./nat/mapped-ports.ts";
import { PortMapping } from "./nat/port-mapping.ts";
import { StunClient } from "./nat/stun.ts";
import { TurnRelays } from "./nat/turn-relay.ts";
import { Network } from "./network/network.ts";
import { IceLibrary } from "./path/ice-library.ts";
import type { PeerRoomInit } from "./room-init.ts";
import type { SecretStore } from "./secret-store.ts";
import { Shares } from "./share/shares.ts";
import { Swarms } from "./take/swarms.ts";

/** What the room consists of. */
export interface PeerParts extends AsyncDisposable {
  readonly network: Network;
  readonly discoveries: Discoveries;
  readonly seeder: Seeder;
  readonly shares: Shares;
  readonly swarms: Swarms;
}

/** Makes the parts. */
export function makePeerParts(init: PeerRoomInit, secrets: SecretStore): PeerParts {
  const { directory, settings, keyValue, receipts, clock, logger } = init;
  const { mode, suite, port, dht: dhtSettings, mdns, upnp, natPmp, stun, turn } = init.reach();
  const log = { clock, logger };
  const discoveries = new Discoveries(log);
  const turnRelays = new TurnRelays(turn, clock);
  // Whoever stays behind a relay shows no node where he is; others need one only where UDP does not get through.
  const relays: DhtRelays | undefined =
    mode === "relay-only" || (mode === "auto" && !turnRelays.isEmpty)
      ? { only: mode === "relay-only", open: (events, signal) => turnRelays.open(events, signal) }
      : undefined;
  // Whoever stays on the local network asks nobody else, and tells nobody where he is.
  const dht =
    dhtSettings.enabled && mode !== "lan-only"
      ? new Dht({ settings: () => dhtSettings, file: join(directory, "dht.json"), relays, ...log })
      : undefined;
  if (dht) discoveries.register(dht);
  const multicast = mdns && mode !== "relay-only" ? new MulticastDiscovery({ enabled: () => true, ...log }) : undefined;
  if (multicast) discoveries.register(multicast);
  const encryption = new EncryptionManager({ directory, suite: () => suite, ...log });
  const outside = mode === "lan-only" ? { stun: [], turn: [] } : { stun, turn };
  const mapped = mode === "auto" || mode === "no-relay";
  const ports = new MappedPorts(join(directory, "mapped-ports.json"), clock);
  const network = new Network({
    ...{ mode, suite, port, encryption, localAddresses, finder: discoveries },
    ...(dht && { signalling: new DhtSignalling({ items: dht, ...log }) }),
    stun: new StunClient({ servers: outside.stun, clock }),
    mapping: () => (mapped && (upnp || natPmp) ? new PortMapping({ upnp, natPmp, ports, ...log }) : undefined),
    ice: new IceLibrary(),
    iceServers: outside,
    ...log,
  });
  const seeder = new Seeder({ uploadLimit: settings().uploadLimit, ...log });
  const swarms: Swarms = new Swarms({
    ...{ network, secrets },
    maxPeers: () => settings().maxPeers,
    give: (channel, servable) => seeder.serve(channel, servable),
    ...log,
  });
  const shares = new Shares({
    ...{ keyValue, secrets, network, seeder, receipts },
    fetched: swarms,
    own: init.own,
    defaults: () => ({ maxPeers: settings().maxPeers, expiresInMs: settings().shareForMs }),
    ...log,
  });
  return {
    ...{ network, discoveries, seeder, shares, swarms },
    async [Symbol.asyncDispose]() {
      // First, since it says why: to whoever is told that a share has ended there is nothing to come back for.
      await seeder[Symbol.asyncDispose]();
      await swarms[Symbol.asyncDispose]();
      await shares[Symbol.asyncDispose]();
      await network[Symbol.asyncDispose]();
      await multicast?.[Symbol.asyncDispose]();
      await dht?.[Symbol.asyncDispose]();
    },
  };
}
