/** Wire → domain and back, for shares and the network. */
import type {
  CreateShareRequest,
  GetNetworkResponse,
  ConnectedPeer as WirePeer,
  Share as WireShare,
} from "../../gen/snatch/v1/share_service.ts";
import type { NetworkState, PeerState, ShareOptions, ShareState } from "../core/peers.ts";
import { badField, toPath } from "./convert.ts";

/** Limits that no honest caller meets. */
const MOST_PATHS = 10_000;
const MOST_PEERS = 100;
const MOST_FETCHES = 1_000_000_000;
const LONGEST_SHARE_S = 3650 * 86_400;
const LONGEST_NAME = 255;
/** An id, or a code with all that may be in and around it. */
const LONGEST_REFERENCE = 200;

const KINDS = { file: "SHARE_KIND_FILE", folder: "SHARE_KIND_FOLDER" } as const;

/** What is to be shared. @throws DownloadError INVALID_ARGUMENT */
export function toSharePaths(wire: readonly string[]): readonly string[] {
  if (wire.length === 0) throw badField("paths", "there is nothing to share");
  if (wire.length > MOST_PATHS)
    throw badField("paths", `${wire.length} paths; at most ${MOST_PATHS} are taken: share the folder that holds them`);
  return wire.map((path, index) => toPath(path, `paths[${index}]`));
}

/** How it is to be shared. What is unset is as configured. @throws DownloadError INVALID_ARGUMENT */
export function toShareOptions(request: CreateShareRequest): ShareOptions {
  const { name, expiresIn, maxFetches, maxPeers, noEncryption, fresh } = request;
  return {
    ...(noEncryption && { encryption: false }),
    ...(maxPeers !== 0 && { maxPeers: toCount(maxPeers, MOST_PEERS, "max_peers") }),
    ...(maxFetches !== 0 && { maxFetches: toCount(maxFetches, MOST_FETCHES, "max_fetches") }),
    ...(expiresIn !== undefined && { expiresInMs: toMilliseconds(expiresIn) }),
    ...(name !== "" && { name: toName(name) }),
    ...(fresh && { fresh }),
  };
}

/** An id, its beginning, or a code. The message never repeats it: it may be a secret. @throws DownloadError INVALID_ARGUMENT */
export function toShareName(text: string): string {
  if (text === "" || text.length > LONGEST_REFERENCE)
    throw badField("share", `give the share's id, its beginning, or its code; this has ${text.length} characters`);
  return text;
}

function toCount(value: number, most: number, field: string): number {
  if (value < 1 || value > most) throw badField(field, `${value} is not between 1 and ${most}`);
  return value;
}

function toMilliseconds({ seconds, nanos }: NonNullable<CreateShareRequest["expiresIn"]>): number {
  const wholly = seconds + nanos / 1e9;
  if (!(wholly >= 0 && wholly <= LONGEST_SHARE_S))
    throw badField("expires_in", `${wholly} s is not between 0 (never) and ${LONGEST_SHARE_S} s`);
  return Math.round(wholly * 1000);
}

/** A single segment of a path: others make a file or a folder of it. */
function toName(text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > LONGEST_NAME) throw badField("name", `a name of ${bytes} bytes; at most ${LONGEST_NAME} are possible`);
  if (/[/\\\p{Cc}]/u.test(text) || text === "." || text === "..")
    throw badField("name", "a name has no slashes and no control characters, and is not . or ..");
  return text;
}

/** A share for callers. */
export function presentShare(state: ShareState): WireShare {
  const { expiresAt, maxFetches = 0, problem = "", kind, paths, createdAt, id, ...rest } = state;
  return {
    shareId: id,
    name: rest.name,
    kind: KINDS[kind],
    paths: [...paths],
    size: rest.size,
    fileCount: rest.fileCount,
    root: rest.root,
    createTime: new Date(createdAt),
    expireTime: expiresAt === undefined ? undefined : new Date(expiresAt),
    fetchCount: rest.fetchCount,
    maxFetches,
    maxPeers: rest.maxPeers,
    encryption: rest.encryption,
    peerCount: rest.peerCount,
    sentBytes: rest.sentBytes,
    problem,
  };
}

/** How the network looks, for callers. */
export function presentNetwork(state: NetworkState): GetNetworkResponse {
  const { listening, peerId, natType, reached, mode, suite, ice } = state;
  return {
    listening,
    peerId,
    port: state.port ?? 0,
    localAddresses: [...state.localAddresses],
    externalIp: state.externalIp ?? "",
    externalPort: state.externalPort ?? 0,
    mappedBy: state.mappedBy ?? "",
    mappingExpireTime: state.mappedUntil === undefined ? undefined : new Date(state.mappedUntil),
    mappingProblem: state.mappingProblem ?? "",
    natType,
    natMapping: state.mapping ?? "",
    natFiltering: state.filtering ?? "",
    reached,
    mode,
    suite,
    ice,
    iceProblem: state.iceProblem ?? "",
    discovery: state.discovery.map(({ name, state: words }) => ({ name, state: words })),
    peers: state.peers.map(presentPeer),
  };
}

function presentPeer({ direction, since, ...peer }: PeerState): WirePeer {
  return {
    peerId: peer.peerId,
    path: peer.path,
    address: peer.address,
    suite: peer.suite,
    shareId: peer.shareId,
    takes: direction !== "down",
    gives: direction !== "up",
    sentBytes: peer.sentBytes,
    receivedBytes: peer.receivedBytes,
    connectTime: new Date(since),
  };
}
