/**
 * The randomised run of the cache: a process stores, reads, removes, flips bytes on the disk and deletes files by hand, and is
 * killed in the middle and started again, until all operations are done. What it was told is remembered here, beyond its
 * deaths: a body that is not one that was stored, or an older one than was acknowledged, is a wrong one.
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { bodyFiles, LARGEST, openVault, type WriterCounts, type WriterOrder, type WriterWord } from "./cache-writer.ts";
import { seeded } from "./random.ts";

/** A run. */
export interface CacheRunOptions {
  readonly operations: number;
  readonly seed: number;
  /** Empty; the database and the cache are made in it. */
  readonly folder: string;
  /** Operations between two kills, on average; default: a fortieth of all. */
  readonly killEvery?: number;
}

/** What came of it. */
export interface CacheRunOutcome extends WriterCounts {
  readonly ok: boolean;
  readonly operations: number;
  readonly kills: number;
  /** Bytes by which a limit was passed at most; allowed is one entry, {@link CacheRunOutcome.largest}. */
  readonly beyond: number;
  readonly largest: number;
  /** Bodies on the disk and different bodies in the index after the last compaction, and those of which one has and one has not. */
  readonly bodies: number;
  readonly named: number;
  readonly unlike: number;
  /** Bytes of the entries by the vault's sums, less those by the index. */
  readonly miscounted: number;
  /** Files that were open after the vault had ended, less those before. */
  readonly leakedHandles: number;
  /** What writers logged that must not be. */
  readonly problems: readonly string[];
}

/** Runs it. The same seed makes the same choices; what happens at once, and what a kill hits, differs. */
export async function randomCacheRun(options: CacheRunOptions): Promise<CacheRunOutcome> {
  const { operations, seed, folder, killEvery = Math.ceil(operations / 40) } = options;
  const random = seeded(seed);
  const versions: Record<string, [number, number]> = {};
  const sums = { stores: 0, refused: 0, hits: 0, misses: 0, flipped: 0, deleted: 0, wrong: 0, beyond: 0 };
  const problems: string[] = [];
  let [done, kills, leakedHandles] = [0, 0, 0];
  while (done < operations) {
    const left = operations - done;
    const life = Math.ceil(killEvery * 2 * random());
    const order = { folder, seed: Math.floor(random() * 2 ** 31), operations: left, versions };
    const end = await live(order, life < left ? life : undefined);
    done += end.operations;
    for (const name of Object.keys(sums) as (keyof WriterCounts)[])
      sums[name] = name === "beyond" ? Math.max(sums[name], end.counts[name]) : sums[name] + end.counts[name];
    problems.push(...end.problems);
    if (end.killed) kills++;
    leakedHandles = Math.max(leakedHandles, end.leakedHandles);
  }
  const last = await settle(folder);
  const ok =
    sums.wrong === 0 &&
    sums.beyond <= LARGEST &&
    last.unlike === 0 &&
    last.miscounted === 0 &&
    leakedHandles <= 0 &&
    problems.length === 0;
  return { ok, operations: done, kills, ...sums, largest: LARGEST, ...last, leakedHandles, problems };
}

/** One life of the writer. @param killAfter - operations; it is killed soon after them */
async function live(order: WriterOrder, killAfter: number | undefined) {
  const child = fork(join(import.meta.dirname, "cache-writer.ts"), [JSON.stringify(order)]);
  const versions = order.versions as Record<string, [number, number]>;
  let counts: WriterCounts = { stores: 0, refused: 0, hits: 0, misses: 0, flipped: 0, deleted: 0, wrong: 0, beyond: 0 };
  let [operations, leakedHandles, finished] = [0, 0, false];
  const problems: string[] = [];
  child.on("message", (message) => {
    const word = message as WriterWord;
    if (word.type === "version") {
      versions[word.key] ??= [0, 0];
      const pair = versions[word.key] as [number, number];
      pair[word.acknowledged ? 0 : 1] = word.version;
    } else if (word.type === "counts") {
      ({ operations, counts } = word);
      if (killAfter !== undefined && operations >= killAfter) child.kill("SIGKILL");
    } else {
      problems.push(...word.problems);
      leakedHandles = word.handles[1] - word.handles[0];
      finished = true;
    }
  });
  // Not "exit": what it said before is still on the way then.
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  const killed = signal === "SIGKILL";
  if (!finished && !killed) throw new Error(`the writer ended with ${code ?? signal}`);
  return { operations, counts, problems, leakedHandles, killed };
}

/** Compacts, and holds the folder against the index and the sums. */
async function settle(folder: string) {
  const { store, vault } = await openVault(folder);
  await vault.compactStorage();
  const stats = Object.values(await vault.stats());
  const named = new Set<string>();
  let bytes = 0;
  for await (const [, value] of store.keyValue.entries("cache")) {
    const [, digest, size] = JSON.parse(value) as [string, string, number];
    named.add(digest);
    bytes += size;
  }
  await vault[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  const there = new Set<string>();
  let rotten = 0;
  for (const path of await bodyFiles(folder)) {
    const digest = basename(dirname(dirname(path))) + basename(dirname(path)) + basename(path);
    there.add(digest);
    if (
      createHash("sha256")
        .update(await readFile(path))
        .digest("hex") !== digest
    )
      rotten++;
  }
  const missing = [...named].filter((digest) => !there.has(digest));
  return {
    bodies: there.size,
    named: named.size,
    unlike: [...there].filter((digest) => !named.has(digest)).length + missing.length + rotten,
    miscounted: stats.reduce((sum, each) => sum + each.bytes, 0) - bytes,
  };
}
