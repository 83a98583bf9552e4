/**
 * Holds the folder and the entries against each other: what a kill left, what was deleted by hand, what has rotted. Slow on
 * purpose, and safe beside everything else: each body is looked at again in its digest's turn before it is removed.
 */
import type { Bodies, FoundFile } from "./bodies.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Body, Slot } from "./ledger.ts";
import type { Pace } from "./pace.ts";
import { KINDS } from "./records.ts";
import type { Freed, VaultKind, VaultLimits } from "./vault.ts";

/** Entries that are removed together. */
const REMOVED_AT_ONCE = 200;

/** What a walk through the folder found. */
export interface Swept {
  /** Bytes of what had no name; it is gone. */
  readonly bytes: number;
  /** Entries whose bodies are gone. */
  readonly missing: readonly Slot[];
}

/** Removes what has no name, and finds the entries whose bodies are not there. */
export async function sweepFolder(catalogue: Catalogue, bodies: Bodies, pace: Pace): Promise<Swept> {
  const { ledger } = catalogue;
  const known = new Map<string, Body>();
  const walk = ++ledger.walk;
  for (const body of ledger.bodies()) known.set(body.digest, body);
  let bytes = 0;
  for await (const files of bodies.walk()) {
    for (const file of files) {
      const body = file.digest === undefined ? undefined : known.get(file.digest);
      if (body === undefined) bytes += await removeNameless(catalogue, bodies, file);
      else body.seen = walk;
      await pace.step();
    }
    await pace.step();
  }
  // Those that were made since the walk began carry its number.
  const missing: Slot[] = [];
  for (const slot of [...ledger.slots()].filter(({ body }) => body.seen < walk)) {
    const { digest, size } = slot.body;
    if ((await bodies.read(digest, size)) === "gone" && ledger.holds(slot)) missing.push(slot);
    await pace.step();
  }
  return { bytes, missing };
}

async function removeNameless({ ledger }: Catalogue, bodies: Bodies, { digest, path }: FoundFile): Promise<number> {
  if (digest === undefined) return (await bodies.removeFile(path)) ?? 0;
  if (ledger.hasBody(digest)) return 0;
  return bodies.inTurn(digest, async () => (ledger.hasBody(digest) ? 0 : ((await bodies.remove(digest)) ?? 0)));
}

/** Proves bodies, those first that were not proved for the longest time, for so many milliseconds. @returns the damaged */
export async function prove(catalogue: Catalogue, bodies: Bodies, pace: Pace, ms: number): Promise<Slot[]> {
  const { ledger } = catalogue;
  const end = performance.now() + ms;
  const bad = new Set<Body>();
  const waiting = [...ledger.bodies()].sort((a, b) => a.proved - b.proved);
  for (const body of waiting) {
    if (performance.now() > end) break;
    body.proved = ledger.walk;
    if ((await bodies.read(body.digest, body.size)) === "damaged") bad.add(body);
    await pace.step();
  }
  return bad.size === 0 ? [] : [...ledger.slots()].filter(({ body }) => bad.has(body));
}

/** Brings what is kept within limits that were lowered. What is pinned stays. */
export async function trim(
  catalogue: Catalogue,
  limits: VaultLimits,
  onEvicted: (kind: VaultKind) => void,
): Promise<Freed> {
  let [entries, bytes] = [0, 0];
  for (const kind of KINDS) {
    const victims = catalogue.ledger.leaving(kind, 0, limits).slots;
    const freed = await catalogue.forget(victims);
    for (const victim of victims) onEvicted(victim.kind);
    entries += freed.entries;
    bytes += freed.bytes;
  }
  return { entries, bytes };
}

/** Removes all entries of which `leaves` is true, but those that are pinned. */
export async function forgetAll(catalogue: Catalogue, pace: Pace, leaves: (slot: Slot) => boolean): Promise<Freed> {
  let [entries, bytes] = [0, 0];
  const leaving = [...catalogue.ledger.slots()].filter(leaves);
  for (let at = 0; at < leaving.length; at += REMOVED_AT_ONCE) {
    await pace.step();
    const some = leaving.slice(at, at + REMOVED_AT_ONCE);
    const freed = await catalogue.forget(some.filter((slot) => leaves(slot) && !catalogue.ledger.isPinned(slot)));
    entries += freed.entries;
    bytes += freed.bytes;
  }
  return { entries, bytes };
}
