/**
 * The records themselves: read through a cache of those in use, changed one commit at a time, with every derived entry and
 * the room's numbers in the same atomic batch.
 *
 * A record in the cache is the newest there is, whether its write has reached the disk or not; what is read from the disk
 * only counts if nothing newer left the cache meanwhile. So a change needs no lock: it is made in one turn of the event
 * loop, and the store keeps the order.
 */
import { failure } from "../core/errors.ts";
import type { CacheKindStats, HotRecords } from "../core/ports/cache.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { SessionStatus } from "../core/session.ts";
import { decodeRecord } from "./codec.ts";
import { FrontIndex } from "./front-index.ts";
import { recordWrites, SPACE, sequenceKey } from "./keys.ts";
import { rebuild } from "./rebuild.ts";
import type { SessionRecord } from "./record.ts";
import { type Counts, State } from "./state.ts";

/** A change of one record: made, changed or forgotten. */
export interface Change {
  readonly before?: SessionRecord;
  readonly after?: SessionRecord;
}

/** A record in the cache. */
interface Cached {
  record: SessionRecord;
  /** Writes under way, and others who hold it. */
  writing: number;
}

/** The records of all sessions. */
export class Records implements HotRecords {
  readonly queue: FrontIndex;
  readonly due: FrontIndex;
  readonly #store: KeyValue;
  readonly #logger: Logger;
  readonly #cache = new Map<string, Cached>();
  /** Who is in the cache, by the keys that records are stored under: what is there need not be decoded again. */
  readonly #cachedKeys = new Map<string, Cached>();
  /** Changes that are in the cache only: what was written before them, and the status that they have led to. */
  readonly #unwritten = new Map<string, { readonly written: SessionRecord; readonly status: SessionStatus }>();
  /** Being forgotten. */
  readonly #gone = new Set<string>();
  /** For each read under way, the ids whose record left the cache since it began. */
  readonly #readings = new Set<Set<string>>();
  readonly #capacity: number;
  #state = State.empty(0);
  #hits = 0;
  #misses = 0;
  #evicted = 0;

  /** @param capacity - records in the cache besides active ones and those being written */
  constructor(store: KeyValue, logger: Logger, capacity: number) {
    this.#store = store;
    this.#logger = logger;
    this.#capacity = capacity;
    this.queue = new FrontIndex(store, SPACE.queue);
    this.due = new FrontIndex(store, SPACE.due);
  }

  /** Counts and next numbers. */
  get state(): State {
    return this.#state;
  }

  /** Takes up where the last process ended. */
  async start(): Promise<void> {
    const repairs = this.#store.repairs ?? 0;
    const known = State.parse(await this.#store.get(SPACE.meta, State.key));
    if (known?.repairs === repairs) {
      this.#state = known;
      return;
    }
    this.#state = (await this.#isEmpty()) ? State.empty(repairs) : await rebuild(this.#store, this.#logger);
    await this.#store.write([this.#state.write()], { sync: true });
  }

  /** The record if it is in the cache: as new as can be, at once. */
  cached(id: string): SessionRecord | undefined {
    return this.#cache.get(id)?.record;
  }

  /** The newest record, kept in the cache. */
  async get(id: string): Promise<SessionRecord | undefined> {
    const cached = this.#cache.get(id);
    if (cached !== undefined) {
      // The most recently used is the last to leave.
      this.#hits++;
      this.#cache.delete(id);
      this.#cache.set(id, cached);
      return cached.record;
    }
    this.#misses++;
    const seq = await this.#store.get(SPACE.id, id);
    return seq === undefined ? this.#cache.get(id)?.record : (await this.bySequence([seq], true))[0];
  }

  /** @throws DownloadError SESSION_NOT_FOUND */
  async need(id: string): Promise<SessionRecord> {
    const record = await this.get(id);
    if (record === undefined || this.#gone.has(id))
      throw failure("SESSION_NOT_FOUND", `there is no session ${id}`, { metadata: { session_id: id } });
    return record;
  }

  /**
   * The newest records with these sequence keys, in their order, without those that are gone.
   * @param keep - put them into the cache
   */
  async bySequence(sequences: readonly string[], keep: boolean): Promise<SessionRecord[]> {
    const left = new Set<string>();
    this.#readings.add(left);
    try {
      const found: SessionRecord[] = [];
      const texts = await this.#store.getMany(SPACE.record, sequences);
      for (const [index, key] of sequences.entries()) {
        const text = texts[index];
        const record = text === undefined ? undefined : this.#newest(key, text, left, keep);
        if (record !== undefined) found.push(record);
      }
      return found;
    } finally {
      this.#readings.delete(left);
    }
  }

  /** The newest of every record from a sequence key on, for scans. Kept in the cache only while there is room. */
  async *scan(range: { gt?: string; lt?: string; reverse?: boolean }): AsyncGenerator<SessionRecord> {
    const left = new Set<string>();
    this.#readings.add(left);
    try {
      for await (const [key, text] of this.#store.entries(SPACE.record, range)) {
        const record = this.#newest(key, text, left, this.#cache.size < this.#capacity);
        if (record !== undefined) yield record;
      }
    } finally {
      this.#readings.delete(left);
    }
  }

  /**
   * What a record that was read counts for: the cache knows better, and what has left the cache since the read began may be
   * newer on the disk than what was read.
   */
  #newest(key: string, text: string, left: ReadonlySet<string>, keep: boolean): SessionRecord | undefined {
    const known = this.#cachedKeys.get(key);
    if (known !== undefined) return this.#gone.has(known.record.session.id) ? undefined : known.record;
    const record = decodeRecord(text);
    const { id } = record.session;
    if (this.#gone.has(id)) return undefined;
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached.record;
    if (keep && !left.has(id)) this.#keep(id, { record, writing: 0 });
    return record;
  }

  /** Replaces a cached record by one that differs only in what is not written down: its progress. */
  refresh(id: string, record: SessionRecord): void {
    const cached = this.#cache.get(id);
    if (cached !== undefined) cached.record = record;
  }

  /**
   * Holds records in the cache until the answer is called.
   * @throws DownloadError SESSION_NOT_FOUND; then none is held
   */
  async hold(ids: readonly string[]): Promise<() => void> {
    const unique = [...new Set(ids)];
    const held = new Map<string, Cached>();
    const release = () => {
      for (const cached of held.values()) cached.writing--;
    };
    const notHeld = () => unique.filter((id) => held.get(id) !== this.#cache.get(id) || !held.has(id));
    try {
      for (let missing = unique; missing.length > 0; missing = notHeld()) {
        for (const id of missing) {
          await this.need(id);
          const cached = this.#cache.get(id);
          const former = held.get(id);
          if (cached === undefined || cached === former) continue;
          if (former !== undefined) former.writing--;
          held.set(id, cached);
          cached.writing++;
        }
      }
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  /**
   * Takes a session out of sight, before it is forgotten by a commit.
   * @param still - asked with the newest record; false leaves it in sight
   * @returns its newest record; undefined if there is none to forget
   */
  async withdraw(id: string, still: (record: SessionRecord) => boolean): Promise<SessionRecord | undefined> {
    while (!this.#gone.has(id)) {
      if ((await this.get(id)) === undefined) return undefined;
      const cached = this.#cache.get(id);
      if (cached === undefined) continue;
      if (!still(cached.record)) return undefined;
      this.#gone.add(id);
      this.#drop(id);
      return cached.record;
    }
    return undefined;
  }

  /** Ends what {@link Records.withdraw} began, whether it was forgotten or not. */
  settle(ids: readonly string[]): void {
    for (const id of ids) this.#gone.delete(id);
  }

  /** Changes a record that is in the cache, and leaves it to its next commit, or to {@link Records.flush}, to write it. */
  defer({ before, after }: Required<Change>): void {
    const { id, status } = after.session;
    const written = this.#unwritten.get(id)?.written ?? before;
    this.#unwritten.set(id, { written, status });
    this.#count(before, after);
    this.refresh(id, after);
  }

  /** Writes what was deferred. */
  async flush(): Promise<void> {
    const changes = [...this.#unwritten.keys()].flatMap((id) => {
      const record = this.cached(id);
      return record === undefined ? [] : [{ before: record, after: record }];
    });
    if (changes.length > 0) await this.commit(changes, [], false);
  }

  #count(before: SessionRecord | undefined, after: SessionRecord | undefined): void {
    if (before) this.#state.counts[before.session.status]--;
    if (after) this.#state.counts[after.session.status]++;
  }

  /** The counts as they are right for what is written. */
  #writtenCounts(): Counts {
    const counts = { ...this.#state.counts };
    for (const { written, status } of this.#unwritten.values()) {
      counts[status]--;
      counts[written.session.status]++;
    }
    return counts;
  }

  /**
   * Writes changes, all or nothing. Counts and cache change at once, and back if the write fails.
   *
   * @param changes - made in this turn of the event loop from the newest records
   * @param extra - more to write with them
   */
  async commit(changes: readonly Change[], extra: readonly Write[], sync: boolean): Promise<void> {
    const writes: Write[] = [];
    let counted = false;
    /** What each change begins with on the disk. */
    const bases = changes.map(({ before }) => this.#takeUnwritten(before));
    for (const [at, { before, after }] of changes.entries()) {
      const base = bases[at];
      for (const write of recordWrites(base, after)) writes.push(write);
      this.#count(before, after);
      if (base?.session.status !== after?.session.status || base?.place !== after?.place) counted = true;
    }
    for (const write of extra) writes.push(write);
    if (counted) writes.push(this.#state.write(this.#writtenCounts()));
    const put = (space: string): string[] =>
      writes.flatMap((write) => (write.type === "put" && write.space === space ? [write.key] : []));
    const ended = [this.queue.putting(put(SPACE.queue)), this.due.putting(put(SPACE.due))];
    const held = this.#hold(changes);
    try {
      await this.#store.write(writes, { sync });
    } catch (error) {
      for (const [at, { before, after }] of changes.entries()) {
        // What is on the disk counts again.
        const { id = "" } = (before ?? after)?.session ?? {};
        const later = this.#unwritten.get(id);
        if (later !== undefined) {
          this.#state.counts[later.status]--;
          this.#state.counts[later.written.session.status]++;
          this.#unwritten.delete(id);
        }
        this.#count(after, bases[at]);
        this.#drop(id);
      }
      throw error;
    } finally {
      for (const cached of held) cached.writing--;
      for (const end of ended) end();
    }
  }

  /** A record as it is on the disk, which a commit is about to change. */
  #takeUnwritten(record: SessionRecord | undefined): SessionRecord | undefined {
    const id = record?.session.id ?? "";
    const base = this.#unwritten.get(id)?.written ?? record;
    this.#unwritten.delete(id);
    return base;
  }

  /** Puts changed records into the cache and keeps them there until they are written. New ones stay on the disk. */
  #hold(changes: readonly Change[]): Cached[] {
    return changes.flatMap(({ before, after }) => {
      if (before === undefined || after === undefined) return [];
      const { id } = after.session;
      const cached = this.#cache.get(id) ?? { record: after, writing: 0 };
      cached.record = after;
      cached.writing++;
      this.#keep(id, cached);
      return [cached];
    });
  }

  /** Makes a record the last to leave, and lets others leave that are neither active nor being written. */
  #keep(id: string, cached: Cached): void {
    this.#cache.delete(id);
    this.#cache.set(id, cached);
    this.#cachedKeys.set(sequenceKey(cached.record.session.seq), cached);
    for (const [oldest, entry] of this.#cache) {
      if (this.#cache.size <= this.#capacity || oldest === id) return;
      if (maySpare(entry) && !this.#unwritten.has(oldest)) {
        this.#drop(oldest);
        this.#evicted++;
      } else {
        this.#cache.delete(oldest);
        this.#cache.set(oldest, entry);
      }
    }
  }

  #drop(id: string): void {
    const cached = this.#cache.get(id);
    if (cached === undefined) return;
    this.#cache.delete(id);
    this.#cachedKeys.delete(sequenceKey(cached.record.session.seq));
    for (const left of this.#readings) left.add(id);
  }

  /** How much the cache is of use; a record that is here but had to be looked for by its place does not count. */
  stats(): Omit<CacheKindStats, "kind"> {
    return {
      entries: this.#cache.size,
      bytes: 0,
      maxEntries: this.#capacity,
      hits: this.#hits,
      misses: this.#misses,
      evicted: this.#evicted,
      damaged: 0,
    };
  }

  clear(): number {
    const spare = [...this.#cache].filter(([id, entry]) => maySpare(entry) && !this.#unwritten.has(id));
    for (const [id] of spare) this.#drop(id);
    return spare.length;
  }

  async #isEmpty(): Promise<boolean> {
    for await (const _ of this.#store.entries(SPACE.record, { limit: 1 })) return false;
    return true;
  }
}

/** True if the record on the disk is as good. */
function maySpare({ writing, record }: Cached): boolean {
  return writing === 0 && record.session.status !== "active";
}
