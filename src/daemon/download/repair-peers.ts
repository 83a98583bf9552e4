/**
 * Peers as a place to mend a file from: the share that it came by is asked for again, as long as its code is kept. Whoever is
 * found there may lie like anybody else; the digest of the chunk tells.
 */
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { ChunkSource, PeerSources } from "../core/ports/sources.ts";
import type { Receipt } from "../core/receipt.ts";

/** What finds the peers of a share; absent where there are none. */
export interface PeerParts {
  readonly peers?: PeerSources;
  readonly resolvers?: readonly Resolver[];
}

/** True for the URL of a share. */
export const isShare = (url: string): boolean => /^snatch:/i.test(url);

/**
 * Finds the peers of the share that a file came by.
 *
 * @throws DownloadError REPAIR_IMPOSSIBLE, with what can be done instead; the signal's reason
 */
export async function peerSource(
  { peers, resolvers = [] }: PeerParts,
  url: string,
  { remote, peers: named }: Pick<Receipt, "remote" | "peers">,
  signal: AbortSignal,
): Promise<ChunkSource> {
  const resolver = resolvers.find((each) => each.claims(url));
  if (!peers || !resolver) throw noPeers(failure("NETWORK_OFF", "nothing here can fetch from peers"));
  const options = { ...(remote && { remote }), ...(named && { peers: named }) };
  try {
    const found = await resolver.resolve({ url, mirrors: [], options }, signal);
    if ("candidates" in found) return peers.peer(found.candidates[0].url);
    throw failure("SHARE_CHANGED", "the share is a folder, and which file of it this was is not known");
  } catch (error) {
    signal.throwIfAborted();
    throw noPeers(asDownloadError(error));
  }
}

/** Why peers give nothing, in words for whoever has the damaged file. */
export function noPeers(why: DownloadError): DownloadError {
  return failure("REPAIR_IMPOSSIBLE", `the file came from peers, and ${remedy(why)}`, { cause: why });
}

function remedy({ code, message }: DownloadError): string {
  if (code === "SHARE_NOT_FOUND") return `${message}; repair finds its peers by that alone`;
  if (code === "NETWORK_OFF") return `they cannot be asked: ${message}`;
  return `they do not give it now: ${message}. Ask whoever shared it to do so again, and fetch it by the new code if there is one`;
}
