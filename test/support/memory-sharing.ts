/**
 * Shares in memory: faithful in what callers see. Files are read, so that progress and sizes are true; nothing is hashed,
 * and there is no network.
 */
import { createHash, randomBytes } from "node:crypto";
import { lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { failure } from "../../src/daemon/core/errors.ts";
import type { NetworkState, PeerSharing, ShareOptions, ShareState } from "../../src/daemon/core/peers.ts";
import { decodeShareCode, encodeShareCode, SHARE_CODE_BYTES } from "../../src/shared/share-code.ts";

const WEEK_MS = 7 * 86_400_000;

interface Kept {
  readonly state: ShareState;
  readonly code: string;
}

/** A code of its own. */
export function someCode(): string {
  return encodeShareCode(randomBytes(SHARE_CODE_BYTES));
}

/** The public id of a code, as far as tests care. */
export function publicIdOf(code: string): string {
  return createHash("sha256").update(decodeShareCode(code)).digest("hex").slice(0, 32);
}

/** The shares, and a network that tests set. */
export class MemorySharing implements Omit<PeerSharing, "registerDiscoveryMethod"> {
  /** How each share was asked for. */
  readonly asked: { readonly paths: readonly string[]; readonly options: ShareOptions }[] = [];
  /** Whether each look at the network was a probe. */
  readonly probes: boolean[] = [];
  /** Called before each share is made, when its first progress was told. */
  beforeShare: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  state: NetworkState = {
    listening: false,
    peerId: "",
    localAddresses: [],
    natType: "unknown",
    reached: false,
    mode: "auto",
    suite: "modern",
    ice: true,
    discovery: [],
    peers: [],
  };
  readonly #kept = new Map<string, Kept>();

  share: PeerSharing["share"] = async (paths, options, { signal, onProgress }) => {
    this.asked.push({ paths, options });
    const files: { readonly path: string; readonly size: number }[] = [];
    const leftOut: { readonly path: string; readonly why: string }[] = [];
    for (const path of paths) await collect(path, files, leftOut);
    if (files.length === 0) throw failure("SHARE_INVALID", `there is no file in ${paths.join(", ")}`);
    const size = files.reduce((sum, file) => sum + file.size, 0);
    onProgress?.({ files: 0, bytes: 0, totalFiles: files.length, totalBytes: size });
    await this.beforeShare(signal);
    signal.throwIfAborted();
    const code = someCode();
    const id = publicIdOf(code);
    const [first = ""] = paths;
    const expiresInMs = options.expiresInMs ?? WEEK_MS;
    const state: ShareState = {
      id,
      name: options.name ?? basename(first),
      kind: files.length === 1 && files[0]?.path === first ? "file" : "folder",
      paths,
      size,
      fileCount: files.length,
      root: createHash("sha256").update(paths.join("\0")).digest("hex"),
      createdAt: Date.now(),
      ...(expiresInMs > 0 && { expiresAt: Date.now() + expiresInMs }),
      fetchCount: 0,
      ...(options.maxFetches !== undefined && { maxFetches: options.maxFetches }),
      maxPeers: options.maxPeers ?? 10,
      encryption: options.encryption ?? true,
      peerCount: 0,
      sentBytes: 0,
    };
    this.#kept.set(id, { state, code });
    return { state, code, leftOut };
  };

  shares = (): Promise<readonly ShareState[]> => Promise.resolve([...this.#kept.values()].map(({ state }) => state));

  codeOf = async (share: string): Promise<string> => this.#find(share).code;

  unshare = async (share: string): Promise<ShareState> => {
    const { state } = this.#find(share);
    this.#kept.delete(state.id);
    return state;
  };

  network = (probe: boolean): Promise<NetworkState> => {
    this.probes.push(probe);
    return Promise.resolve(this.state);
  };

  /** Changes what is told of a share. */
  change(id: string, change: Partial<ShareState>): void {
    const kept = this.#find(id);
    this.#kept.set(id, { ...kept, state: { ...kept.state, ...change } });
  }

  #find(share: string): Kept {
    for (const kept of this.#kept.values()) {
      if (kept.state.id.startsWith(share.toLowerCase())) return kept;
      if (kept.code === share) return kept;
    }
    throw failure("SHARE_NOT_FOUND", "there is no such share");
  }
}

async function collect(
  path: string,
  files: { path: string; size: number }[],
  leftOut: { path: string; why: string }[],
): Promise<void> {
  const stats = await lstat(path);
  if (stats.isFile()) files.push({ path, size: stats.size });
  else if (stats.isDirectory()) for (const name of await readdir(path)) await collect(join(path, name), files, leftOut);
  else leftOut.push({ path, why: "a symbolic link" });
}
