/**
 * What is read from a full cache, against plain cacache and an lru-cache in memory, in turns; and how soon the vault knows its
 * entries after a start.
 */
import cacache from "cacache";
import { LRUCache } from "lru-cache";
import { median } from "../../test/support/median.ts";
import { seeded } from "../../test/support/random.ts";
import { fill, keyOf, OpenVault } from "../filled-vault.ts";
import type { Found, Row } from "../row.ts";
import { settings } from "../settings.ts";
import { stop } from "../stop.ts";

/** Reads of one measurement. */
const READS = 4000;
/** Reads under way at once, where throughput is measured. */
const AT_ONCE = 16;
/** The least share of cacache's throughput. */
const SHARE = 0.7;

/** Reads a body by its key. @throws Error if it is not there */
type Read = (key: string) => unknown;

export const cacheHits: Row = {
  id: "8",
  title: `cache of ${settings.cacheEntries.toLocaleString("en")} entries`,
  places: ["disk", "tmpfs"],
  async run(place) {
    const count = settings.cacheEntries;
    const folder = await place.folder("cache");
    const plain = `${folder}/cacache`;
    const memory = new LRUCache<string, Uint8Array>({ max: count });
    await fill(count, async (key, body) => {
      memory.set(key, body);
      await cacache.put(plain, key, body, { algorithms: ["sha256"] });
    });
    await using first = new OpenVault(`${folder}/state`, `${folder}/vault`);
    await first.store.start();
    await first.vault.start();
    await fill(count, (key, body) => first.vault.put("metadata", key, body));
    await first[Symbol.asyncDispose]();
    const starts: number[] = [];
    for (let run = 0; run < settings.restarts; run++) starts.push(await startMs(folder, count));

    await using open = new OpenVault(`${folder}/state`, `${folder}/vault`);
    await open.store.start();
    await open.vault.start();
    const found = await compare({
      snatch: async (key) => ok(await open.vault.get("metadata", key)),
      cacache: async (key) => ok(await cacache.get(plain, key)),
      "lru-cache": (key) => ok(memory.get(key)),
    });
    await open[Symbol.asyncDispose]();
    await place.drop(folder, { files: "many" });
    return {
      notes: [
        ...found.notes,
        `start and the index: ${starts.map((ms) => ms.toFixed(0)).join(" ")} ms`,
        `throughput ÷ plain cacache's: ${found.share.toFixed(2)}`,
      ],
      bounds: [
        { what: "hit, median", value: found.hitMs, most: 1, unit: "ms" },
        { what: "time of a read ÷ plain cacache's", value: 1 / found.share, most: 1 / SHARE, unit: "×" },
        { what: "start until all entries are known", value: median(starts) / 1000, most: 1, unit: "s" },
      ],
    } satisfies Found;
  },
};

/** From the start of the vault until it knows all of its entries. */
async function startMs(folder: string, count: number): Promise<number> {
  await using open = new OpenVault(`${folder}/state`, `${folder}/vault`);
  await open.store.start();
  const started = performance.now();
  await open.vault.start();
  const { metadata } = await open.vault.stats();
  const ms = performance.now() - started;
  if (metadata.entries !== count) throw new Error(`${metadata.entries} of ${count} entries after a start`);
  return ms;
}

/** Reads in turns. `share` is Snatch's throughput in cacache's. */
async function compare(readers: Readonly<Record<"snatch" | "cacache" | "lru-cache", Read>>) {
  const names = ["snatch", "cacache", "lru-cache"] as const;
  const times = { snatch: [] as number[], cacache: [] as number[], "lru-cache": [] as number[] };
  const rates = { snatch: [] as number[], cacache: [] as number[], "lru-cache": [] as number[] };
  for (let round = 0; round <= settings.rounds; round++)
    for (let at = 0; at < names.length; at++) {
      stop.signal.throwIfAborted();
      const name = names[(at + round) % names.length] ?? "snatch";
      const keys = randomKeys(round * names.length + at);
      const [time, rate] = [await oneByOne(readers[name], keys), await together(readers[name], keys.toReversed())];
      if (round === 0) continue;
      times[name].push(time);
      rates[name].push(rate);
    }
  const notes = names.map((name) => {
    const [ms, all] = [median(times[name]), rates[name].map((rate) => rate.toFixed(0)).join(" ")];
    return `${name.padEnd(9)} ${ms.toFixed(4)} ms a hit, ${median(rates[name]).toFixed(0)} reads a second (${all})`;
  });
  return { notes, hitMs: median(times.snatch), share: median(rates.snatch) / median(rates.cacache) };
}

function randomKeys(seed: number): string[] {
  const random = seeded(seed);
  return Array.from({ length: READS }, () => keyOf(Math.floor(random() * settings.cacheEntries)));
}

/** The median of single reads, in milliseconds. */
async function oneByOne(read: Read, keys: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (const key of keys) {
    const started = performance.now();
    await read(key);
    times.push(performance.now() - started);
  }
  return median(times);
}

/** Reads a second. */
async function together(read: Read, keys: readonly string[]): Promise<number> {
  const started = performance.now();
  const waiting = keys.values();
  const lane = async (): Promise<void> => {
    for (const key of waiting) await read(key);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return keys.length / ((performance.now() - started) / 1000);
}

function ok(found: unknown): void {
  if (found === undefined) throw new Error("a body that was stored is not there");
}
