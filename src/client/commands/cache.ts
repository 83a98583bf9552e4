/** `snatchctl cache`: what the daemon's caches hold, and giving that room back. */
import {
  type CacheFreed,
  CacheKind,
  type CacheKindStats,
  CacheServiceService,
  type GetCacheStatsResponse,
} from "../../gen/snatch/v1/cache_service.ts";
import { formatBytes } from "../../shared/format.ts";
import { connect } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, paint, print } from "../output.ts";
import { type Column, header, row, terminalWidth } from "../table.ts";

/** Kinds as they are typed. */
const KINDS: Readonly<Record<string, CacheKind>> = {
  metadata: CacheKind.METADATA,
  thumbnails: CacheKind.THUMBNAILS,
  fragments: CacheKind.FRAGMENTS,
  sessions: CacheKind.SESSIONS,
};

/** A full cache on a slow disk is compacted in minutes. */
const CARE_SECONDS = 3600;

const COLUMNS: readonly Column[] = [
  { title: "KIND", width: 10 },
  { title: "ENTRIES", width: 9, right: true },
  { title: "SIZE", width: 9, right: true },
  { title: "LIMIT", width: 9, right: true },
  { title: "HITS", width: 9, right: true },
  { title: "MISSES", width: 9, right: true },
  { title: "EVICTED", width: 9, right: true },
  { title: "DAMAGED".padStart(9), width: 9 },
];

/** Prints what is kept of each kind, and how much it was of use. */
export async function stats(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const found = await connection.ask(CacheServiceService.getCacheStats, {});
  if (globals.json) {
    await print(jsonLine(statsJson(found)));
    return 0;
  }
  const width = terminalWidth();
  await print(paint("bold", header(COLUMNS)));
  for (const kind of found.kinds) await print(row(COLUMNS, cellsOf(kind), width));
  const total = found.kinds.reduce((sum, { entries }) => sum + entries, 0);
  await print(row(COLUMNS, ["all", String(total), formatBytes(found.bytes), formatBytes(found.maxBytes)], width));
  if (globals.quiet) return 0;
  if (found.enabled) await print(`\nin ${escapeControls(found.directory)}; ${caredFor(found)}`);
  else await print("\nthe cache is off (cache.enabled)");
  if (found.problem) note(`NOT USABLE: ${escapeControls(found.problem)}`);
  return 0;
}

/** Removes what is stale. */
export async function clean(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { freed } = await connection.ask(CacheServiceService.cleanCache, {}, CARE_SECONDS);
  return report(globals, "cleaned", freed);
}

/** Gives back room that is not used any more. */
export async function compact(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { freed } = await connection.ask(CacheServiceService.compactCache, {}, CARE_SECONDS);
  return report(globals, "compacted", freed);
}

/** Removes everything of a kind, or of all. */
export async function clear(globals: Globals, kind: string | undefined): Promise<number> {
  using connection = connect(globals);
  const wanted = (kind !== undefined && KINDS[kind]) || CacheKind.UNSPECIFIED;
  const { freed } = await connection.ask(CacheServiceService.clearCache, { kind: wanted }, CARE_SECONDS);
  return report(globals, "cleared", freed, kind);
}

async function report(globals: Globals, done: string, freed: CacheFreed | undefined, kind?: string): Promise<number> {
  const { entries = 0, bytes = 0 } = freed ?? {};
  if (globals.json) await print(jsonLine({ [done]: kind ?? "all", freed: { entries, bytes } }));
  else if (!globals.quiet) {
    const what = entries === 1 ? "1 entry" : `${entries} entries`;
    const words = entries === 0 && bytes === 0 ? "there was nothing to free" : `freed ${what}, ${formatBytes(bytes)}`;
    await print(`${done}${kind === undefined ? "" : ` ${kind}`}: ${words}`);
  }
  return 0;
}

const nameOf = (kind: CacheKind): string => Object.keys(KINDS).find((name) => KINDS[name] === kind) ?? "other";

function cellsOf({ kind, entries, bytes, maxBytes, maxEntries, hits, misses, evicted, damaged }: CacheKindStats) {
  const limit = maxBytes !== undefined ? formatBytes(maxBytes) : maxEntries === undefined ? "" : String(maxEntries);
  const size = kind === CacheKind.SESSIONS ? "-" : formatBytes(bytes);
  return [
    nameOf(kind),
    String(entries),
    size,
    limit,
    ...[hits, misses, evicted].map(String),
    String(damaged).padStart(9),
  ];
}

function caredFor({ lastCleanTime, lastCompactTime }: GetCacheStatsResponse): string {
  const at = (time: Date | undefined): string => (time ? time.toLocaleString("sv") : "not since the daemon started");
  return `cleaned: ${at(lastCleanTime)}, compacted: ${at(lastCompactTime)}`;
}

function statsJson(found: GetCacheStatsResponse): Record<string, unknown> {
  return {
    enabled: found.enabled,
    directory: found.directory,
    bytes: found.bytes,
    max_bytes: found.maxBytes,
    problem: found.problem || null,
    last_clean_at: found.lastCleanTime?.toISOString() ?? null,
    last_compact_at: found.lastCompactTime?.toISOString() ?? null,
    kinds: found.kinds.map(({ kind, entries, bytes, maxBytes, maxEntries, hits, misses, evicted, damaged }) => ({
      kind: nameOf(kind),
      entries,
      bytes,
      max_bytes: maxBytes ?? null,
      max_entries: maxEntries ?? null,
      hits,
      misses,
      evicted,
      damaged,
    })),
  };
}
