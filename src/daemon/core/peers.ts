/**
 * Sharing as the rooms speak of it: what a peer is, how peers are found, what is shared, and how the network looks from
 * here. Implemented by the p2p room; asked by the RPC room, the engine, plugins and the library.
 */
import type { ShareKind } from "./session.ts";

/** How a NAT maps and filters, as the classic names have it (RFC 3489 §5), told by RFC 5780's tests. */
export type NatType =
  | "none"
  | "full-cone"
  | "restricted-cone"
  | "port-restricted-cone"
  | "symmetric"
  | "firewall"
  | "udp-blocked"
  | "unknown";

/** How a NAT maps, or filters (RFC 4787 §4.1, §5). */
export type NatBehaviour = "endpoint-independent" | "address-dependent" | "address-and-port-dependent";

/** By which way two peers reach each other. */
export type PeerPath = "lan" | "ipv6" | "direct" | "mapped" | "punched" | "ice" | "relay-udp" | "relay-tcp";

/** The spec's PeerInfo: a peer, as discovery knows it. What is not known is empty, or 0. */
export interface PeerInfo {
  /** SHA-256 of the public key's SPKI, lower-case hex. Only a handshake proves it. */
  readonly peerId: string;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** Without brackets, without a zone. */
  readonly externalIp: string;
  /** TCP. */
  readonly externalPort: number;
  /** TCP, of the machine itself, where a router has another one outside: what the local network is told. */
  readonly localPort?: number;
  readonly natType: NatType;
  readonly capabilities: readonly string[];
}

/**
 * The spec's PeerDiscovery: one way to find peers. What it answers is a hint: whoever is found has to prove that he knows
 * the code before he learns anything.
 */
export interface PeerDiscovery {
  /** For people and the log. */
  readonly name: string;
  /**
   * Who has the share, as far as is known now.
   *
   * @param fileHash - the share's lookup key: 20 bytes as lower-case hex, derived from the code one way
   */
  discoverPeers(fileHash: string, signal: AbortSignal): Promise<readonly PeerInfo[]>;
  /** Makes this peer findable, and keeps it so until the answer is disposed of. */
  announce?(fileHash: string, self: PeerInfo): Promise<AsyncDisposable>;
}

/** A peer that is connected, for people. */
export interface PeerState {
  readonly peerId: string;
  readonly path: PeerPath;
  /** Of the other end, where the path has one. */
  readonly address: string;
  /** The suite that was negotiated. */
  readonly suite: string;
  /** Public id of the share. */
  readonly shareId: string;
  /** "up": it fetches from us; "down": we fetch from it; "both". */
  readonly direction: "up" | "down" | "both";
  /** Payload. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** How a share is made. */
export interface ShareOptions {
  /** Default true. False: chunks go over the local network in the clear; code and chunks are proved all the same. */
  readonly encryption?: boolean;
  /** Peers that may fetch at once, counted when they have proved the code. Default from the configuration. */
  readonly maxPeers?: number;
  /** Milliseconds until it ends; 0: never. Default from the configuration. */
  readonly expiresInMs?: number;
  /** It ends when it was fetched whole so often, by the bytes that were given; absent: no limit. */
  readonly maxFetches?: number;
  /** Default: the file's or folder's own, or a date for several. */
  readonly name?: string;
  /**
   * Default false: the same files shared again as they were, and with the same options, are the share that is there, which then
   * ends as late as is asked for now. One with `maxFetches` is always another.
   */
  readonly fresh?: boolean;
}

/** A share, for people. Times are milliseconds since the epoch. */
export interface ShareState {
  /** 32 hex digits; nothing of the code can be told from it. */
  readonly id: string;
  readonly name: string;
  readonly kind: ShareKind;
  /** Absolute: what was shared. */
  readonly paths: readonly string[];
  readonly size: number;
  readonly fileCount: number;
  /** SHA-256 over the catalogue, lower-case hex. */
  readonly root: string;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly fetchCount: number;
  readonly maxFetches?: number;
  readonly maxPeers: number;
  readonly encryption: boolean;
  /** Peers that fetch it now. */
  readonly peerCount: number;
  /** Payload, since it was made. */
  readonly sentBytes: number;
  /** Why it cannot be had now, such as a file that was changed. */
  readonly problem?: string;
}

/** How far the making of a share is: files are read and hashed. */
export interface ShareProgress {
  readonly files: number;
  readonly bytes: number;
  readonly totalFiles: number;
  readonly totalBytes: number;
}

/** A share that was made. */
export interface MadeShare {
  readonly state: ShareState;
  /** The secret: grouped, with its check character. */
  readonly code: string;
  /** What was left out, and why: symbolic links, sockets, empty folders. */
  readonly leftOut: readonly { readonly path: string; readonly why: string }[];
}

/** How the network looks from here. */
export interface NetworkState {
  /** False: there was no share and no fetch yet, or none is left. */
  readonly listening: boolean;
  readonly peerId: string;
  readonly port?: number;
  /** Addresses of this machine that others on the network can use. */
  readonly localAddresses: readonly string[];
  /** What others see of us. */
  readonly externalIp?: string;
  readonly externalPort?: number;
  /** Who opened the port. */
  readonly mappedBy?: "upnp" | "nat-pmp";
  /** Milliseconds since the epoch. */
  readonly mappedUntil?: number;
  /** Why there is no mapping that helps, for people: none found, taken, a private address behind it (double NAT). */
  readonly mappingProblem?: string;
  readonly natType: NatType;
  readonly mapping?: NatBehaviour;
  readonly filtering?: NatBehaviour;
  /** True if somebody has come in from outside through the port. */
  readonly reached: boolean;
  readonly mode: PeerMode;
  readonly suite: PeerSuite;
  /** ICE and TURN can be used; if not, why. */
  readonly ice: boolean;
  readonly iceProblem?: string;
  /** Ways to find peers, by name, and for people how they fare. */
  readonly discovery: readonly { readonly name: string; readonly state: string }[];
  readonly peers: readonly PeerState[];
}

/** Which ways may be used. */
export type PeerMode = "auto" | "lan-only" | "relay-only" | "no-relay";

/** "modern": TLS 1.3; "classic": the suite of the spec, DHE-RSA-AES256-SHA256 in TLS 1.2. */
export type PeerSuite = "modern" | "classic";

/** Shares, and what is known of the network; implemented by the p2p room. Shares are named by id, a beginning of it, or code. */
export interface PeerSharing {
  /**
   * Shares files and folders; the answer comes when they are hashed and the share is durable.
   *
   * @param paths - absolute; several, or a folder, become one share of many files
   * @throws DownloadError SHARE_INVALID, INVALID_ARGUMENT; FileSystemError; the signal's reason
   */
  share(
    paths: readonly string[],
    options: ShareOptions,
    control: { readonly signal: AbortSignal; readonly onProgress?: (progress: ShareProgress) => void },
  ): Promise<MadeShare>;
  shares(): Promise<readonly ShareState[]>;
  /** @throws DownloadError SHARE_NOT_FOUND */
  codeOf(share: string): Promise<string>;
  /** Ends a share; the files stay. @throws DownloadError SHARE_NOT_FOUND */
  unshare(share: string): Promise<ShareState>;
  /** @param probe - ask the servers for the kind of NAT now; else what is known is told */
  network(probe: boolean, signal: AbortSignal): Promise<NetworkState>;
  /** Adds a way to find peers; it is asked along with the others. @returns takes it out */
  registerDiscoveryMethod(discovery: PeerDiscovery): () => void;
}
