/** CacheService: what the caches hold, and their care. */
import {
  type CacheServiceServer,
  type CleanCacheRequest,
  type ClearCacheRequest,
  type CompactCacheRequest,
  type GetCacheStatsRequest,
  type GetCacheStatsResponse,
  type CacheFreed as WireFreed,
  CacheKind as WireKind,
  type CacheKindStats as WireKindStats,
} from "../../gen/snatch/v1/cache_service.ts";
import type { CacheFreed, CacheKind, CacheStats } from "../core/ports/cache.ts";
import type { Calls } from "./calls.ts";
import { badField } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { assertLocal, type Reach } from "./targets.ts";

const KINDS = {
  metadata: WireKind.METADATA,
  thumbnails: WireKind.THUMBNAILS,
  fragments: WireKind.FRAGMENTS,
  sessions: WireKind.SESSIONS,
} as const satisfies Record<CacheKind, WireKind>;

/** The handlers for callers with this reach. */
export function cacheService({ cache }: Pick<RpcPorts, "cache">, calls: Calls, reach: Reach): CacheServiceServer {
  return {
    getCacheStats: calls.unary(async (_request: GetCacheStatsRequest) => presentStats(await cache.stats())),
    cleanCache: calls.unary(async (_request: CleanCacheRequest, signal) => {
      assertLocal(reach, "cleaning the cache");
      return { freed: presentFreed(await cache.clean(signal)) };
    }),
    compactCache: calls.unary(async (_request: CompactCacheRequest, signal) => {
      assertLocal(reach, "compacting the cache");
      return { freed: presentFreed(await cache.compact(signal)) };
    }),
    clearCache: calls.unary(async (request: ClearCacheRequest, signal) => {
      assertLocal(reach, "clearing the cache");
      return { freed: presentFreed(await cache.clear(toKind(request.kind), signal)) };
    }),
  };
}

function toKind(wire: WireKind): CacheKind | undefined {
  if (wire === WireKind.UNSPECIFIED) return undefined;
  for (const [kind, name] of Object.entries(KINDS)) if (name === wire) return kind as CacheKind;
  throw badField("kind", "this daemon knows no such kind");
}

const presentFreed = ({ entries, bytes }: CacheFreed): WireFreed => ({ entries, bytes });

function presentStats(stats: CacheStats): GetCacheStatsResponse {
  const { kinds, bytes, maxBytes, directory, enabled, problem = "", cleanedAt, compactedAt } = stats;
  return {
    kinds: kinds.map(({ kind, ...counts }): WireKindStats => ({ ...counts, kind: KINDS[kind] })),
    bytes,
    maxBytes,
    directory,
    enabled,
    problem,
    ...(cleanedAt !== undefined && { lastCleanTime: new Date(cleanedAt) }),
    ...(compactedAt !== undefined && { lastCompactTime: new Date(compactedAt) }),
  };
}
