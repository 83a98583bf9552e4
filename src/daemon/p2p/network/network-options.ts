/** What the network is made of: the other parts of the room, as far as it needs them, and what the configuration says. */
import type { PeerMode, PeerSuite } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { EncryptionManager } from "../channel/encryption.ts";
import type { LocalAddress } from "../nat/addresses.ts";
import type { PortMapping } from "../nat/port-mapping.ts";
import type { StunClient } from "../nat/stun.ts";
import type { TurnServer } from "../path/ice.ts";
import type { IceLibrary } from "../path/ice-library.ts";
import type { Signalling } from "../types.ts";
import type { PeerFinder } from "./membership.ts";

/** See above. Nothing of it is awake before the first share or fetch. */
export interface NetworkOptions {
  readonly mode: PeerMode;
  readonly suite: PeerSuite;
  /** TCP, of the listener; 0: any. */
  readonly port: number;
  readonly encryption: Pick<EncryptionManager, "start" | "peerId" | "publicKey" | "connect" | "accept" | "attachPlain">;
  /** Absent: peers are only found and called, not met. Not used in the mode "lan-only". */
  readonly signalling?: Signalling;
  readonly finder: PeerFinder;
  readonly stun: Pick<StunClient, "outerTcpPorts" | "classify">;
  /** A mapping that is not started yet, for each time that the port is opened; undefined: there is to be none. */
  readonly mapping: () => Pick<PortMapping, "start" | "state" | typeof Symbol.asyncDispose> | undefined;
  readonly ice: IceLibrary;
  readonly iceServers: { readonly stun: readonly string[]; readonly turn: readonly TurnServer[] };
  readonly localAddresses: () => Promise<readonly LocalAddress[]>;
  readonly clock: Clock;
  readonly logger: Logger;
}
