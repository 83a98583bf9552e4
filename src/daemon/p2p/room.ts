/**
 * Sharing, as the other rooms see it: what resolves codes, gives the engine its sources, shares what was fetched, and answers
 * what people ask. Of all behind it nothing is loaded, and nothing listens, before the first share or fetch, or a start with
 * shares that were made before: most daemons never need it.
 */
import { join } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { MadeShare, NetworkState, PeerDiscovery, PeerSharing, ShareOptions, ShareState } from "../core/peers.ts";
import type { PlacedFile } from "../core/ports/files.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { ChunkSource, FileSharer, PeerSources } from "../core/ports/sources.ts";
import type { Session } from "../core/session.ts";
import type { PeerParts } from "./parts.ts";
import type { PeerRoomInit } from "./room-init.ts";
import { SecretStore } from "./secret-store.ts";
import { SHARES } from "./share/share-store.ts";
import { PeerResolver } from "./take/peer-resolver.ts";

/** The room. */
export class PeerRoom implements Startable, PeerSharing, PeerSources, FileSharer {
  /** Resolves codes, and keeps them apart. */
  readonly resolver: Resolver;
  readonly #init: PeerRoomInit;
  readonly #secrets: SecretStore;
  readonly #discoveries = new Map<PeerDiscovery, (() => void) | undefined>();
  readonly #listeners = new Set<(publicId: string, here: boolean) => void>();
  #loading: Promise<PeerParts> | undefined;
  #parts: PeerParts | undefined;
  #ended = false;

  constructor(init: PeerRoomInit) {
    this.#init = init;
    this.#secrets = new SecretStore(join(init.directory, "codes"));
    this.resolver = new PeerResolver({
      swarms: async () => (await this.#load()).swarms,
      secrets: this.#secrets,
      settings: init.settings,
    });
  }

  /** Publishes what was shared before. What is wrong with it keeps nobody from the rest: it is logged. */
  async start(): Promise<void> {
    const { settings, keyValue, logger } = this.#init;
    if (!settings().enabled) return;
    try {
      for await (const _ of keyValue.entries(SHARES, { limit: 1 })) await this.#load();
    } catch (error) {
      logger.error({ code: asDownloadError(error).code }, `shares are not there: ${asDownloadError(error).message}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    const parts = await this.#loading?.catch(() => undefined);
    await parts?.[Symbol.asyncDispose]();
  }

  /** Settings have changed. */
  settingsChanged(): void {
    this.#parts?.seeder.setUploadLimit(this.#init.settings().uploadLimit);
  }

  /**
   * Removes codes to which nothing refers any more.
   *
   * @param needed - the public ids that sessions and receipts name
   */
  async prune(needed: () => Promise<ReadonlySet<string>>): Promise<number> {
    let ids: ReadonlySet<string> | undefined;
    const isNeeded = async (id: string): Promise<boolean> => {
      if (this.#parts?.shares.has(id) || (await this.#init.keyValue.get(SHARES, id)) !== undefined) return true;
      ids ??= await needed();
      return ids.has(id);
    };
    return this.#secrets.prune(isNeeded, this.#init.clock.now());
  }

  /** @throws DownloadError INTERNAL if nothing of the kind was resolved in this process */
  peer(url: string): ChunkSource {
    if (!this.#parts) throw failure("INTERNAL", "a share is asked for bytes before its code was resolved");
    return this.#parts.swarms.peer(url);
  }

  seeking(url: string): boolean {
    return this.#parts?.swarms.seeking(url) ?? false;
  }

  onPresence(listener: (publicId: string, here: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async shareFetched(session: Pick<Session, "url" | "options">, placed: PlacedFile): Promise<string> {
    return (await this.#load()).shares.shareFetched(session, placed);
  }

  async share(
    paths: readonly string[],
    options: ShareOptions,
    control: Parameters<PeerSharing["share"]>[2],
  ): Promise<MadeShare> {
    return (await this.#load()).shares.share(paths, options, control);
  }

  async shares(): Promise<readonly ShareState[]> {
    return (await this.#load()).shares.shares();
  }

  async codeOf(share: string): Promise<string> {
    return (await this.#load()).shares.codeOf(share);
  }

  async unshare(share: string): Promise<ShareState> {
    return (await this.#load()).shares.unshare(share);
  }

  async network(probe: boolean, signal: AbortSignal): Promise<NetworkState> {
    return (await this.#load()).network.state(probe, signal);
  }

  registerDiscoveryMethod(discovery: PeerDiscovery): () => void {
    this.#discoveries.set(discovery, this.#parts?.discoveries.register(discovery));
    return () => {
      this.#discoveries.get(discovery)?.();
      this.#discoveries.delete(discovery);
    };
  }

  /** @throws DownloadError NETWORK_OFF, SHUTTING_DOWN */
  #load(): Promise<PeerParts> {
    if (this.#ended) return Promise.reject(failure("SHUTTING_DOWN", "the daemon is ending"));
    if (!this.#init.settings().enabled)
      return Promise.reject(failure("NETWORK_OFF", "sharing is switched off (p2p.enabled is false)"));
    this.#loading ??= this.#make().catch((error: unknown) => {
      // Another time it may go: a disk was full, say.
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #make(): Promise<PeerParts> {
    const { makePeerParts } = await import("./parts.ts");
    const parts = makePeerParts(this.#init, this.#secrets);
    for (const discovery of this.#discoveries.keys())
      this.#discoveries.set(discovery, parts.discoveries.register(discovery));
    parts.swarms.onPresence((publicId, here) => {
      for (const listener of this.#listeners) listener(publicId, here);
    });
    try {
      await parts.shares.start();
    } catch (error) {
      // What was half begun would go on listening, and announcing, with nobody to end it.
      for (const discovery of this.#discoveries.keys()) this.#discoveries.set(discovery, undefined);
      await parts[Symbol.asyncDispose]();
      throw error;
    }
    this.#parts = parts;
    return parts;
  }
}
