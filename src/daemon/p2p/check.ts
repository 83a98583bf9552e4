/** What doctor says of sharing. It makes nothing, and asks nobody. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { asDownloadError } from "../core/errors.ts";
import type { Check } from "../core/ports/house.ts";
import { IDENTITY_FILE, loadIdentity } from "./channel/identity.ts";
import { IceLibrary } from "./path/ice-library.ts";

/** What to look at. */
export interface PeersCheckOptions {
  readonly enabled: boolean;
  /** Absolute: where the identity is. */
  readonly directory: string;
  /** TURN servers that are configured. */
  readonly relays: number;
}

/** The check of sharing: the identity can be used, and so can ICE. */
export function peersCheck({ enabled, directory, relays }: PeersCheckOptions, ice = new IceLibrary()): Check {
  return {
    id: "peers",
    title: "Peer to peer",
    run: async () => {
      if (!enabled) return { status: "skipped", message: "off: p2p.enabled is false" };
      const file = join(directory, IDENTITY_FILE);
      const made = await access(file).then(
        () => true,
        () => false,
      );
      try {
        const identity = made ? await loadIdentity(directory) : undefined;
        const who = identity ? `this machine is ${identity.peerId.slice(0, 16)}` : "never used yet";
        ice.look();
        if (ice.problem === undefined) {
          const relay = relays > 0 ? `${relays} TURN server${relays > 1 ? "s" : ""}` : "no TURN server is set";
          return { status: "ok", message: `${who}; ICE can be used, ${relay}`, details: { directory } };
        }
        const fix =
          "Files still go over the local network, by open ports and by hole punching; npm install @roamhq/wrtc";
        return { status: "warning", message: `${who}; ${ice.problem}`, fix, details: { directory } };
      } catch (error) {
        const { message } = asDownloadError(error);
        const fix = `Nothing can be shared or fetched by codes. The message says what is wrong with ${file}; if it is moved away, a new one is made.`;
        return { status: "failed", message, fix, details: { directory } };
      }
    },
  };
}
