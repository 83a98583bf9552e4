/** What answers in the place of the peers' room where `p2p.enabled` is false: nothing is shared, and it says why. */
import { failure } from "../core/errors.ts";
import type { PeerSharing } from "../core/peers.ts";

const refuse = (): Promise<never> =>
  Promise.reject(
    failure("NETWORK_OFF", "sharing is switched off (p2p.enabled is false)", { metadata: { key: "p2p.enabled" } }),
  );

/** Refuses with NETWORK_OFF. A way to find peers may be added all the same: it is never asked. */
export const SHARING_OFF: PeerSharing = {
  share: refuse,
  shares: refuse,
  codeOf: refuse,
  unshare: refuse,
  network: refuse,
  registerDiscoveryMethod: () => () => undefined,
};
