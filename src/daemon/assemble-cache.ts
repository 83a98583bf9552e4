/** Puts the caches together from their room: for the daemon, and for the library. Nothing here starts or touches a disk. */
import type { EngineInit } from "./assemble.ts";
import { CacheVault } from "./cache/cache-vault.ts";
import { FragmentCache } from "./cache/fragments.ts";
import { MetadataCache } from "./cache/metadata-cache.ts";
import { ThumbnailCache } from "./cache/thumbnail-cache.ts";
import type { HttpClient, KeyValue } from "./core/ports.ts";

/** The caches that keep something on the disk. To be started in this order, and ended in the reverse. */
export interface Caches {
  readonly vault: CacheVault;
  readonly fragments: FragmentCache;
  readonly metadata: MetadataCache;
  readonly thumbnails: ThumbnailCache;
}

/** What they are put together from. */
export interface CacheParts {
  /** Holds the indexes. */
  readonly store: KeyValue;
  readonly client: HttpClient;
  /** Default: as the configuration says. */
  readonly directory?: string;
}

/** Puts the caches together. Where the configuration turns them off they have no room for anything. */
export function assembleCaches(
  { config, clock, logger: parent }: Pick<EngineInit, "config" | "clock" | "logger">,
  { store, client, directory = config().cache.directory }: CacheParts,
): Caches {
  const logger = parent.child({ room: "cache" });
  const cache = () => config().cache;
  const room = (bytes: number): number => (cache().enabled ? bytes : 0);
  const vault = new CacheVault({
    directory,
    keyValue: store,
    clock,
    logger,
    limits: () => {
      const { max_size, metadata, thumbnails, fragments } = cache();
      const limits = (of: typeof metadata) => ({ maxBytes: room(of.max_size), maxEntryBytes: room(of.max_entry_size) });
      return {
        maxBytes: room(max_size),
        kinds: { metadata: limits(metadata), thumbnail: limits(thumbnails), fragment: limits(fragments) },
      };
    },
  });
  const answers = { vault, client, clock, logger };
  return {
    vault,
    fragments: new FragmentCache({
      store,
      vault,
      clock,
      logger,
      options: () => ({ maxNoted: room(cache().fragments.max_noted), ttlMs: cache().fragments.ttl * 1000 }),
    }),
    metadata: new MetadataCache({
      ...answers,
      limits: () => ({ maxBytes: cache().metadata.max_entry_size, ttlSeconds: cache().metadata.ttl }),
    }),
    thumbnails: new ThumbnailCache({
      ...answers,
      limits: () => ({ maxBytes: cache().thumbnails.max_entry_size, ttlSeconds: cache().thumbnails.ttl }),
    }),
  };
}
