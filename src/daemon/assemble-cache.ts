/** Puts the caches together from their room: for the daemon, and for the library. Nothing here starts or touches a disk. */
import { CacheVault } from "./cache/cache-vault.ts";
import { FragmentCache } from "./cache/fragments.ts";
import { ThumbnailCache } from "./cache/thumbnail-cache.ts";
import { CacheUpkeep } from "./cache/upkeep.ts";
import type { Config } from "./config/schema.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { CacheControl, HotRecords } from "./core/ports/cache.ts";
import type { HttpClient } from "./core/ports/http.ts";
import type { KeyValue } from "./core/ports/key-value.ts";
import type { Thumbnails } from "./core/ports/media.ts";
import type { Clock, Logger } from "./core/ports/runtime.ts";
import type { Scheduler } from "./schedule/scheduler.ts";
import type { SessionManager } from "./session/session-manager.ts";

/** What is kept on the disk. */
export interface KeptParts {
  readonly vault: CacheVault;
  readonly fragments: FragmentCache;
}

/** The caches of a daemon. */
export interface Caches {
  /** To be started in this order, and ended in the reverse. */
  readonly parts: readonly Startable[];
  /** Absent: the configuration turns them off. */
  readonly kept?: KeptParts;
  readonly control: CacheControl;
}

/** What every assembly of caches works with. */
interface CacheInit {
  /** The configuration in force; read anew wherever a change may take effect. */
  readonly config: () => Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** True while something is downloaded. */
  readonly busy?: () => boolean;
}

/**
 * The vault, and the fragments in it. Where the configuration turns the cache off they have no room for anything.
 *
 * @param directory - default: as the configuration says
 */
export function assembleKept(
  { config, clock, logger: parent, busy }: CacheInit,
  store: KeyValue,
  directory = config().cache.directory,
): KeptParts {
  const logger = parent.child({ room: "cache" });
  const cache = () => config().cache;
  const room = (size: number): number => (cache().enabled ? size : 0);
  const vault = new CacheVault({
    directory,
    keyValue: store,
    clock,
    logger,
    ...(busy && { busy }),
    limits: () => {
      const { max_size, metadata, thumbnails, fragments } = cache();
      const limits = (of: typeof metadata) => ({ maxBytes: room(of.max_size), maxEntryBytes: room(of.max_entry_size) });
      return {
        maxBytes: room(max_size),
        kinds: { metadata: limits(metadata), thumbnail: limits(thumbnails), fragment: limits(fragments) },
      };
    },
  });
  const options = () => ({ maxNoted: room(cache().fragments.max_noted), ttlMs: cache().fragments.ttl * 1000 });
  return { vault, fragments: new FragmentCache({ store, vault, clock, logger, options }) };
}

/** Pictures of media, kept in the vault. */
export function assembleThumbnails(
  { config, clock, logger }: CacheInit,
  vault: CacheVault,
  client: HttpClient,
): ThumbnailCache {
  const { max_entry_size: maxBytes, ttl: ttlSeconds } = config().cache.thumbnails;
  const parts = { vault, client, clock, logger: logger.child({ room: "cache" }) };
  return new ThumbnailCache({ ...parts, limits: () => ({ maxBytes, ttlSeconds }) });
}

/** The cache as the download room asks it. */
export function asThumbnails(cache: Pick<ThumbnailCache, "getThumbnail">): Thumbnails {
  return {
    async picture(url, options) {
      const { contentType, bytes } = await cache.getThumbnail(url, options);
      return { type: contentType, bytes };
    },
  };
}

/** Puts the caches of a daemon together. */
export function assembleCaches(init: CacheInit, store: KeyValue, sessions: HotRecords): Caches {
  const { config, clock } = init;
  const kept = config().cache.enabled ? assembleKept(init, store) : undefined;
  const settings = () => ({ directory: config().cache.directory, maxBytes: config().cache.max_size });
  const control = new CacheUpkeep({ ...(kept && { kept }), sessions, store, clock, settings });
  return { parts: kept ? [kept.vault, kept.fragments] : [], ...(kept && { kept }), control };
}

/** Has the caches cleaned and compacted by the calendar of the configuration, while nothing is downloaded. */
export function scheduleCaches(
  scheduler: Scheduler,
  { cache }: Config,
  control: CacheControl,
  sessions: Pick<SessionManager, "counts">,
): void {
  if (!cache.enabled) return;
  const idle = (): boolean => sessions.counts().active === 0;
  if (cache.cleanup !== "")
    scheduler.calendar("cache clean-up", cache.cleanup, async (signal) => void (await control.clean(signal)), { idle });
  if (cache.compact !== "")
    scheduler.calendar("cache compaction", cache.compact, async (signal) => void (await control.compact(signal)), {
      idle,
    });
}
