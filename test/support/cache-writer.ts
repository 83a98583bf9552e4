/**
 * Started by the randomised run of the cache: works on a vault until it has done what it was asked for, or is killed. Tells
 * its parent each store as it begins and when it is acknowledged, and what it did. Arguments: JSON of {@link WriterOrder}.
 *
 * A body says what it is: of which key, which version, how long; the rest follows from that. So each that is read shows
 * whether it is what was stored, and the newest that could be.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CacheVault } from "../../src/daemon/cache/cache-vault.ts";
import type { VaultKind, VaultLimits } from "../../src/daemon/cache/vault.ts";
import { asDownloadError } from "../../src/daemon/core/errors.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { seeded } from "./random.ts";
import { RecordLogger } from "./record-logger.ts";
import { evenLimits } from "./vault-fixture.ts";

/** What a writer is to do. */
export interface WriterOrder {
  readonly folder: string;
  readonly seed: number;
  readonly operations: number;
  /** By key: the newest version that was acknowledged, and the newest that was begun. */
  readonly versions: Readonly<Record<string, readonly [acknowledged: number, begun: number]>>;
}

/** What a writer counts, and tells as it goes. */
export interface WriterCounts {
  stores: number;
  refused: number;
  hits: number;
  misses: number;
  flipped: number;
  deleted: number;
  /** Reads that gave a body which is not one that could be expected. */
  wrong: number;
  /** The most bytes beyond a limit that were met. */
  beyond: number;
}

/** What a writer tells. */
export type WriterWord =
  | { readonly type: "version"; readonly key: string; readonly version: number; readonly acknowledged: boolean }
  | { readonly type: "counts"; readonly operations: number; readonly counts: WriterCounts }
  | { readonly type: "done"; readonly problems: readonly string[]; readonly handles: readonly [number, number] };

/** The largest body. */
export const LARGEST = 20_000;
/** Limits of the run: small, so that much is evicted. */
const LIMITS: VaultLimits = evenLimits(300_000, LARGEST, 700_000);

const KEYS = 120;
const LANES = 4;
const KINDS = ["metadata", "thumbnail", "fragment"] as const;
const clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: () => Promise.resolve(),
  timer: () => () => undefined,
};

/** A vault on a database of its own, as in the daemon. */
export async function openVault(folder: string): Promise<{ store: Store; vault: CacheVault; logger: RecordLogger }> {
  const logger = new RecordLogger();
  const store = new Store({ directory: join(folder, "db"), logger });
  await store.start();
  const directory = join(folder, "cache");
  const vault = new CacheVault({ directory, keyValue: store.keyValue, clock, logger, limits: () => LIMITS });
  await vault.start();
  return { store, vault, logger };
}

/** Every file of bodies. */
export async function bodyFiles(folder: string): Promise<string[]> {
  const top = join(folder, "cache/vault/content-v2/sha256");
  const found = await readdir(top, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** The body of a version. Every eighth key shares its bodies with the keys that are like it. */
function bodyOf(key: string, version: number): Buffer {
  const [, number = "0"] = key.split("/");
  const name = Number(number) % 8 === 0 ? "shared" : key;
  const said = name === "shared" ? version % 5 : version;
  const random = seeded([...`${name} ${said}`].reduce((sum, each) => (sum * 31 + each.charCodeAt(0)) | 0, 7));
  const head = Buffer.from(`${name} ${said}\n`);
  const rest = Buffer.alloc(Math.floor(random() ** 3 * (LARGEST - head.length)));
  for (let at = 0; at < rest.length; at++) rest[at] = random() * 256;
  return Buffer.concat([head, rest]);
}

async function work(order: WriterOrder): Promise<void> {
  const say = (word: WriterWord): void => void process.send?.(word);
  const random = seeded(order.seed);
  const versions = new Map(Object.entries(order.versions).map(([key, pair]) => [key, [...pair] as [number, number]]));
  const counts = { stores: 0, refused: 0, hits: 0, misses: 0, flipped: 0, deleted: 0, wrong: 0, beyond: 0 };
  const handlesBefore = await openHandles();
  const { store, vault, logger } = await openVault(order.folder);
  const busy = new Set<string>();
  let done = 0;

  const storeNext = async (kind: VaultKind, key: string): Promise<void> => {
    const pair = versions.get(key) ?? [0, 0];
    versions.set(key, pair);
    const version = ++pair[1];
    say({ type: "version", key, version, acknowledged: false });
    const body = bodyOf(key, version);
    await vault.put(kind, key, version % 2 === 0 ? body : pieces(body), { note: String(version) });
    pair[0] = version;
    say({ type: "version", key, version, acknowledged: true });
    counts.stores++;
  };
  const read = async (kind: VaultKind, key: string): Promise<void> => {
    const found = await vault.get(kind, key);
    counts[found === undefined ? "misses" : "hits"]++;
    if (found === undefined) return;
    const [acknowledged, begun] = versions.get(key) ?? [0, 0];
    const version = Number(found.entry.note);
    const right = version >= acknowledged && version <= begun && bodyOf(key, version).equals(found.body);
    if (!right) counts.wrong++;
  };
  const spoil = async (): Promise<void> => {
    const files = await bodyFiles(order.folder);
    const path = files[Math.floor(random() * files.length)];
    if (path === undefined) return;
    if (random() < 0.4) {
      await rm(path, { force: true });
      counts.deleted++;
      return;
    }
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    if (bytes.length === 0) return;
    const at = Math.floor(random() * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    await writeFile(path, bytes);
    counts.flipped++;
  };
  const measure = async (): Promise<void> => {
    const stats = await vault.stats();
    const sum = KINDS.reduce((all, kind) => all + stats[kind].bytes, 0);
    const over = [sum - LIMITS.maxBytes, ...KINDS.map((kind) => stats[kind].bytes - LIMITS.kinds[kind].maxBytes)];
    counts.beyond = Math.max(counts.beyond, ...over);
  };
  const operation = async (): Promise<void> => {
    const chance = random();
    const kind = KINDS[Math.floor(random() * 3)] ?? "metadata";
    const key = `${kind}/${Math.floor(random() * KEYS)}`;
    if (chance < 0.015) return spoil();
    if (chance < 0.016) return void (await vault.compactStorage());
    if (chance < 0.0165) return void (await vault.clear(kind));
    // Of one key, one at a time: else nobody could say which version is the newest.
    if (busy.has(key)) return;
    busy.add(key);
    try {
      if (chance < 0.4) await storeNext(kind, key);
      else if (chance < 0.42) await vault.remove(kind, key);
      else if (chance < 0.45) {
        using _ = vault.pin(kind, key);
        await read(kind, key);
      } else await read(kind, key);
    } finally {
      busy.delete(key);
    }
  };
  const lane = async (): Promise<void> => {
    while (done < order.operations) {
      done++;
      await operation().catch((error: unknown) => {
        if (asDownloadError(error).code !== "CACHE_FULL") throw error;
        counts.refused++;
      });
      await measure();
      if (done % 25 === 0) say({ type: "counts", operations: done, counts });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await vault[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  say({ type: "counts", operations: done, counts });
  const problems = logger.lines.filter(({ level, message }) => level === "error" || message.includes("could not"));
  const handles = [handlesBefore, await openHandles()] as const;
  say({ type: "done", problems: problems.map(({ message }) => message), handles });
  process.disconnect?.();
}

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += 4096) yield body.subarray(at, at + 4096);
}

/** Files that this process has open. */
async function openHandles(): Promise<number> {
  const names = await readdir("/proc/self/fd").catch(() => []);
  return names.length;
}

const [, script, order] = process.argv;
if (script === import.meta.filename && order !== undefined) await work(JSON.parse(order) as WriterOrder);
