/** What the stages share while they bring one session on its way: the engine's parts, and the run's own state. */
import type { PeerPath } from "../core/peers.ts";
import type { DownloadCache } from "../core/ports/cache.ts";
import type { FileStore } from "../core/ports/files.ts";
import type { Intake } from "../core/ports/intake.ts";
import type { MediaTool, StepFactory, Thumbnails } from "../core/ports/media.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { Clock, Logger, MemoryPressure } from "../core/ports/runtime.ts";
import type { SessionPatch, SessionStore, UpdateOptions } from "../core/ports/sessions.ts";
import type { FileSharer, PeerSources, SourceFactory } from "../core/ports/sources.ts";
import type { RateLimit } from "../core/rate-limit.ts";
import type { Digest, Session } from "../core/session.ts";
import type { ChunkHasher } from "./chunk-hasher.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { Meter } from "./meter.ts";
import type { DownloadSettings } from "./settings.ts";
import type { Slabs } from "./slabs.ts";

/** What the engine is made of; handed over by the composition root. */
export interface EngineParts {
  readonly store: SessionStore;
  readonly files: FileStore;
  readonly sources: SourceFactory;
  readonly resolvers: readonly Resolver[];
  readonly cache?: DownloadCache;
  /** What runs FFmpeg. */
  readonly media?: MediaTool;
  /** Pictures of media. */
  readonly thumbnails?: Thumbnails;
  /** Makes the steps that work on finished files. */
  readonly steps?: StepFactory;
  /** Files that peers hold. */
  readonly peers?: PeerSources;
  /** Shares finished files. */
  readonly sharer?: FileSharer;
  readonly memory?: MemoryPressure;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What all runs of one engine share besides its parts. */
export interface Engine extends EngineParts {
  /** Takes requests that came out of others. */
  readonly intake: Pick<Intake, "check" | "accept">;
  readonly hooks: HookRunner;
  readonly slabs: Slabs;
  readonly hasher: ChunkHasher;
  /** The limit of the whole daemon. */
  readonly limit: RateLimit;
  readonly meter: Meter;
}

/** One session on its way, from the moment it became active until it ended, waits or was stopped. */
export class Run {
  readonly engine: Engine;
  readonly settings: DownloadSettings;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly limit: RateLimit;
  readonly meter: Meter;
  /** Bytes received, not yet proved. */
  pending: () => number = () => 0;
  /** By which ways bytes came from peers in this run. */
  via: () => readonly PeerPath[] = () => [];
  /** Bytes received in this run. */
  received = 0;
  connections = 0;
  /** Digests of the whole that were compared with it, and right. */
  digests: readonly Digest[] = [];
  /** The origin gave a range and later refused to: no more ranges in this run. */
  rangesRefused = false;
  /** Where bytes of this run are that turned out wrong. */
  quarantined: string | undefined;
  #proved = 0;
  readonly #provedBefore: number;
  #session: Session;

  constructor(init: {
    engine: Engine;
    session: Session;
    settings: DownloadSettings;
    signal: AbortSignal;
    limit: RateLimit;
    meter: Meter;
  }) {
    this.engine = init.engine;
    this.settings = init.settings;
    this.signal = init.signal;
    this.limit = init.limit;
    this.meter = init.meter;
    this.#session = init.session;
    this.#provedBefore = init.session.progress.downloadedBytes;
    this.logger = init.engine.logger.child({ session: init.session.id });
  }

  /** The session as last updated. */
  get session(): Session {
    return this.#session;
  }

  /** Bytes that are on disk and proved, and will be there for the next attempt. */
  set proved(bytes: number) {
    this.#proved = bytes;
  }

  /** True if more is proved than when the run began: the attempt was not in vain. A version that replaced another counts
   * only from where that one had come. */
  get advanced(): boolean {
    return this.#proved > this.#provedBefore;
  }

  /** The same, with those of earlier runs; undefined if there are none. */
  get allVia(): readonly PeerPath[] | undefined {
    const all = [...new Set([...(this.#session.via ?? []), ...this.via()])];
    return all.length > 0 ? all : undefined;
  }

  async update(patch: SessionPatch, options?: UpdateOptions): Promise<void> {
    this.#session = await this.engine.store.update(this.#session.id, patch, options);
  }
}
