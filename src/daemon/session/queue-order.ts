/** The order of the queue: who is next, whose time has come, and moving. A million queued sessions stay on the disk. */
import { type DownloadError, failure } from "../core/errors.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Session } from "../core/session.ts";
import { placeOfKey, queueKey, SPACE, sequenceAtEnd, sequenceKey, timeKey, timeOfKey } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import { LONGEST_PLACE, placeBetween } from "./place.ts";
import type { SessionRecord } from "./record.ts";
import type { Records } from "./records.ts";

/** Where a session goes. */
export type Destination = "top" | "bottom" | { readonly by: number } | { readonly position: number };

/** Sessions given new places in one batch. */
const RENUMBERED = 1000;

/** The queue and the waiting sessions. */
export class QueueOrder {
  readonly #store: KeyValue;
  readonly #records: Records;
  readonly #ledger: Ledger;
  /** Moves go one after the other: each looks at its new neighbours first. */
  #moving: Promise<unknown> = Promise.resolve();

  constructor(store: KeyValue, records: Records, ledger: Ledger) {
    this.#store = store;
    this.#records = records;
    this.#ledger = ledger;
  }

  /** As {@link SessionStore.nextQueued}. */
  async next(limit: number, except: ReadonlySet<string>): Promise<Session[]> {
    if (this.#records.state.counts.queued === 0) return [];
    return this.#collect(
      this.#records.queue.keys(),
      limit,
      // The key too: a session that was moved while the scan was under way is found at its new place.
      ({ session, place }, key) =>
        session.status === "queued" && !except.has(session.id) && key === queueKey(place ?? "", session.seq),
    );
  }

  /** As {@link SessionStore.due}. */
  async due(now: number, limit: number): Promise<Session[]> {
    if (this.#records.state.counts.waiting === 0) return [];
    const isDue = ({ session }: SessionRecord) =>
      session.status === "waiting" && (session.nextAttemptAt ?? now + 1) <= now;
    return this.#collect(this.#records.due.keys(timeKey(now + 1)), limit, isDue);
  }

  /** As {@link SessionStore.nextDue}. */
  async nextDue(): Promise<number | undefined> {
    if (this.#records.state.counts.waiting === 0) return undefined;
    for await (const key of this.#records.due.keys()) {
      const [record] = await this.#records.bySequence([sequenceAtEnd(key)], false);
      if (record?.session.status === "waiting" && record.session.nextAttemptAt === timeOfKey(key))
        return timeOfKey(key);
    }
    return undefined;
  }

  /** Sessions at the front of a scan that fit. */
  async #collect(
    keys: AsyncIterable<string>,
    limit: number,
    fits: (record: SessionRecord, key: string) => boolean,
  ): Promise<Session[]> {
    const found: Session[] = [];
    let block: string[] = [];
    const look = async (): Promise<void> => {
      const bySequence = new Map(block.map((key) => [sequenceAtEnd(key), key]));
      for (const record of await this.#records.bySequence([...bySequence.keys()], true)) {
        const key = bySequence.get(sequenceKey(record.session.seq)) ?? "";
        if (found.length < limit && fits(record, key)) found.push(record.session);
      }
      block = [];
    };
    if (limit <= 0) return found;
    for await (const key of keys) {
      block.push(key);
      if (found.length + block.length < limit) continue;
      await look();
      if (found.length >= limit) return found;
    }
    if (block.length > 0) await look();
    return found;
  }

  /** As {@link SessionStore.queuePosition}. */
  async position(id: string): Promise<number | undefined> {
    const record = await this.#records.get(id);
    if (record?.session.status !== "queued" || record.place === undefined) return undefined;
    const own = queueKey(record.place, record.session.seq);
    let before = 0;
    for await (const _ of this.#records.queue.keys(own)) before++;
    return before + 1;
  }

  /** As {@link SessionStore.move}. @throws DownloadError SESSION_NOT_FOUND, WRONG_STATUS, INVALID_ARGUMENT */
  move(id: string, to: Destination): Promise<void> {
    const moved = this.#moving.then(() => this.#move(id, to));
    this.#moving = moved.catch(() => undefined);
    return moved;
  }

  async #move(id: string, to: Destination): Promise<void> {
    const { session, place } = await this.#records.need(id);
    if (session.status !== "queued" || place === undefined)
      throw failure("WRONG_STATUS", `session ${id} is ${session.status}; only queued sessions can be moved`, {
        metadata: { session_id: id, status: session.status },
      });
    let target = await this.#target(queueKey(place, session.seq), to);
    if (target === "crowded") {
      await this.#renumber();
      const now = await this.#records.need(id);
      target = await this.#target(queueKey(now.place ?? "", session.seq), to);
    }
    if (target === "here") return;
    // If it was started or stopped while its neighbours were looked at, it keeps its place.
    const move = (record: SessionRecord): SessionRecord =>
      record.session.status === "queued" ? { ...record, place: this.#take(target) } : record;
    await this.#ledger.change(id, move, { sync: true });
  }

  #take(target: { readonly place: string } | "head" | "tail" | "crowded"): string {
    const { state } = this.#records;
    return target === "head" ? state.takeHead() : typeof target === "object" ? target.place : state.takeTail();
  }

  /** Where a session with this key goes. */
  async #target(
    own: string,
    to: Destination,
  ): Promise<{ readonly place: string } | "head" | "tail" | "here" | "crowded"> {
    if (to === "top") return "head";
    if (to === "bottom") return "tail";
    const number = "by" in to ? to.by : to.position;
    if (!Number.isSafeInteger(number) || ("position" in to && number < 1))
      throw failure(
        "INVALID_ARGUMENT",
        `${number} is no place in the queue; give a whole number, 1 for the next to start`,
      );
    if ("by" in to) {
      if (number === 0) return "here";
      return number > 0
        ? this.#gap({ gt: own }, number, "tail")
        : this.#gap({ lt: own, reverse: true }, -number, "head");
    }
    return this.#gap({}, number - 1, "tail", own);
  }

  /**
   * The gap behind so many others, counted from a place in the direction of the scan.
   * @param beyond - where it goes if there are fewer
   * @param skip - the moved session's own key, which does not count
   */
  async #gap(
    from: { readonly gt?: string; readonly lt?: string; readonly reverse?: boolean },
    count: number,
    beyond: "head" | "tail",
    skip?: string,
  ): Promise<{ readonly place: string } | "head" | "tail" | "crowded"> {
    let last: string | undefined;
    let passed = 0;
    for await (const [key] of this.#store.entries(SPACE.queue, from)) {
      if (key === skip) continue;
      if (passed++ < count) {
        last = key;
        continue;
      }
      if (last === undefined) return "head";
      const [low, high] = from.reverse ? [key, last] : [last, key];
      const place = placeBetween(placeOfKey(low), placeOfKey(high));
      return place === undefined || place.length > LONGEST_PLACE ? "crowded" : { place };
    }
    return beyond;
  }

  /**
   * Gives every queued session a new place, in the same order. From the last to the first, each behind all old places: if
   * the daemon dies in between, those done are still behind those to do.
   */
  async #renumber(): Promise<void> {
    const { state } = this.#records;
    const places = [...state.takeTails(state.counts.queued + RENUMBERED)];
    let block: string[] = [];
    const give = async (): Promise<void> => {
      const given = (await this.#records.bySequence(block, true)).map(({ session }) => {
        const place = places.pop() ?? state.takeTail();
        const renew = (record: SessionRecord): SessionRecord =>
          record.session.status === "queued" ? { ...record, place } : record;
        return this.#ledger.change(session.id, renew, { sync: true, silent: true });
      });
      // One that was forgotten meanwhile needs no place.
      await Promise.all(given.map((each) => each.catch(ignoreForgotten)));
      block = [];
    };
    for await (const [key] of this.#store.entries(SPACE.queue, { reverse: true })) {
      block.push(sequenceAtEnd(key));
      if (block.length === RENUMBERED) await give();
    }
    if (block.length > 0) await give();
  }
}

function ignoreForgotten(error: unknown): void {
  if ((error as DownloadError).code !== "SESSION_NOT_FOUND") throw error;
}
