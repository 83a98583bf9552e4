/** Shares and paths to peers, in words and as JSON. */
import type { Share } from "../gen/snatch/v1/share_service.ts";

/** "1 file", "12 files". */
export function countOfFiles(count: number): string {
  return `${count} ${count === 1 ? "file" : "files"}`;
}

/** By the names of the wire. */
const PATHS: Readonly<Record<string, string>> = {
  lan: "LAN",
  ipv6: "IPv6",
  direct: "direct TCP",
  mapped: "a mapped port",
  punched: "TCP hole punching",
  ice: "ICE",
  "relay-udp": "relay (TURN over UDP)",
  "relay-tcp": "relay (TURN over TCP)",
};

/** A way to a peer, in words; what is not known here is shown as it is. */
export function pathText(path: string): string {
  return Object.hasOwn(PATHS, path) ? (PATHS[path] ?? path) : path;
}

/** "via LAN", "via LAN and relay (TURN over UDP)"; empty if nothing came from peers. */
export function viaText(via: readonly string[]): string {
  return via.length === 0 ? "" : `via ${via.map(pathText).join(" and ")}`;
}

/** A share, without its code. Times are ISO 8601. */
export function shareJson(share: Share): Record<string, unknown> {
  return {
    share_id: share.shareId,
    name: share.name,
    kind: share.kind.slice("SHARE_KIND_".length).toLowerCase(),
    paths: share.paths,
    size: share.size,
    file_count: share.fileCount,
    root: share.root,
    created_at: share.createTime?.toISOString() ?? null,
    expires_at: share.expireTime?.toISOString() ?? null,
    fetch_count: share.fetchCount,
    max_fetches: share.maxFetches || null,
    max_peers: share.maxPeers,
    encryption: share.encryption,
    peer_count: share.peerCount,
    sent_bytes: share.sentBytes,
    problem: share.problem || null,
  };
}
