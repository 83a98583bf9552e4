/**
 * Sharing as a library: the spec's P2PManager, a face over the download manager and its peers. What is fetched goes the way
 * of every download: the same part files, names, limits and resumption.
 */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { decodeShareCode, encodeShareCode } from "../shared/share-code.ts";
import type { ConfigInput } from "./config/schema.ts";
import { failure } from "./core/errors.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { PeerDiscovery, PeerSharing, ShareOptions } from "./core/peers.ts";
import type { DownloadOptions } from "./core/session.ts";
import type { DownloadResult } from "./download/manager.ts";
import { DownloadManager } from "./library.ts";
import type { HomeOptions } from "./library-init.ts";

/** What fetches, and shares. */
interface PeerDownloads extends AsyncDisposable {
  readonly sharing: PeerSharing;
  start(): Promise<void>;
  download(urls: readonly string[], options: DownloadOptions): Promise<readonly DownloadResult[]>;
}

/** What may be brought along. */
export interface P2PLibraryOptions extends HomeOptions {
  /** Fetches, and shares; it is started, and not ended. Default: one of its own, by the configuration. */
  readonly downloadManager?: PeerDownloads;
}

/** How something is fetched. */
export interface FetchOptions {
  /** Peers that are asked besides those that are found, each "host:port". */
  readonly peers?: readonly string[];
  /** Share on what was fetched, by the same code. */
  readonly share?: boolean;
}

/**
 * Shares files by codes, and fetches them. State is kept as the daemon keeps it: one process at a time, unless each has a
 * `home` of its own. What is shared can be had until it is disposed of, and again when it is started.
 */
export class P2PManager implements Startable {
  readonly #downloads: PeerDownloads;
  readonly #owned: boolean;

  /**
   * @param config - keys as in the configuration file; what is absent has its default
   * @throws DownloadError CONFIG_INVALID
   */
  constructor(config: ConfigInput = {}, { downloadManager, ...home }: P2PLibraryOptions = {}) {
    this.#owned = downloadManager === undefined;
    this.#downloads = downloadManager ?? new DownloadManager(config, home);
  }

  /** Shares, and how the network looks from here. */
  get sharing(): PeerSharing {
    return this.#downloads.sharing;
  }

  /** Starts at the first call. Nothing listens before the first share or fetch. @throws DownloadError ALREADY_RUNNING … */
  start(): Promise<void> {
    return this.#downloads.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#owned) await this.#downloads[Symbol.asyncDispose]();
  }

  /**
   * Shares a file or a folder.
   *
   * @returns the code by which it is fetched: a secret
   * @throws DownloadError SHARE_INVALID, INVALID_ARGUMENT, NETWORK_OFF; FileSystemError; the signal's reason
   */
  async shareFile(
    filePath: string,
    { signal, ...options }: ShareOptions & { readonly signal?: AbortSignal } = {},
  ): Promise<string> {
    await this.start();
    const control = { signal: signal ?? new AbortController().signal };
    return (await this.sharing.share([resolve(filePath)], options, control)).code;
  }

  /**
   * Fetches what is shared by a code, and waits for all of it.
   *
   * @param outputPath - a folder if it ends with a slash or is there; else the path of the file, for a share of one
   * @returns the paths of the files
   * @throws DownloadError CODE_INVALID, and what became of the first file that failed
   */
  async fetchFile(shareCode: string, outputPath: string, options: FetchOptions = {}): Promise<readonly string[]> {
    const url = `snatch:${codeOf(shareCode)}`;
    const path = resolve(outputPath);
    const isFolder = /[/\\]$/.test(outputPath) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    await this.start();
    const place = isFolder ? { directory: path } : { output: path };
    const files = (await this.#downloads.download([url], { ...options, ...place })).flatMap(leaves);
    for (const { status, error } of files)
      if (status !== "completed") throw error ?? failure("CANCELLED", "the download was called off");
    return files.flatMap((file) => (file.path === undefined ? [] : [file.path]));
  }

  /** Adds a way to find peers; it is asked along with the others. @returns takes it out */
  registerDiscoveryMethod(discovery: PeerDiscovery): () => void {
    return this.sharing.registerDiscoveryMethod(discovery);
  }
}

/** The code as it is written. The message has nothing of it. */
function codeOf(text: string): string {
  try {
    return encodeShareCode(decodeShareCode(text));
  } catch (error) {
    throw failure("CODE_INVALID", `that is not a code: ${error instanceof Error ? error.message : ""}`);
  }
}

/** The files of a folder, or the one. */
function leaves(result: DownloadResult): readonly DownloadResult[] {
  return result.items === undefined ? [result] : result.items.flatMap(leaves);
}
