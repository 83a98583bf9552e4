/** What the room is made from. */
import type { PeerMode, PeerSuite } from "../core/peers.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { ReceiptStore } from "../core/ports/receipts.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { TurnServer } from "./path/ice.ts";
import type { OwnPlaces } from "./share/walk.ts";

/** What may change while the daemon runs. */
export interface PeerSettings {
  readonly enabled: boolean;
  /** Callers over TCP may fetch by codes. */
  readonly allowRemote: boolean;
  readonly maxPeers: number;
  /** Bytes a second; 0: unlimited. */
  readonly uploadLimit: number;
  /** Milliseconds; 0: without end. */
  readonly shareForMs: number;
}

/** How others are found and reached. */
export interface PeerReach {
  readonly mode: PeerMode;
  readonly suite: PeerSuite;
  /** TCP; 0: any. */
  readonly port: number;
  /** `port`: UDP; 0: any. */
  readonly dht: { readonly enabled: boolean; readonly bootstrap: readonly string[]; readonly port: number };
  readonly mdns: boolean;
  readonly upnp: boolean;
  readonly natPmp: boolean;
  /** "host:port" each. */
  readonly stun: readonly string[];
  readonly turn: readonly TurnServer[];
}

/** See above. */
export interface PeerRoomInit {
  /** Absolute: identity, codes, and what is known of the DHT. */
  readonly directory: string;
  /** What is shared with nobody. */
  readonly own: () => OwnPlaces;
  readonly settings: () => PeerSettings;
  /** Read when the network is first needed. */
  readonly reach: () => PeerReach;
  readonly keyValue: KeyValue;
  readonly receipts: Pick<ReceiptStore, "byPath" | "chunks">;
  readonly clock: Clock;
  readonly logger: Logger;
}
