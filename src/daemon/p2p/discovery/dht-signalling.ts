/**
 * Signalling over the DHT's mutable items: a board where each says where he can be reached, and a mailbox for each pair, in
 * each direction. It is asked politely: every few seconds while somebody may come at any moment, then less and less often,
 * and rarely by those who can be reached anyway.
 */

import { failure } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Presence, ShareKeys, Signalling } from "../types.ts";
import type { ItemStore } from "./dht-items.ts";
import { signingKey } from "./ed25519.ts";
import { PresenceBoard, STALE_MS } from "./presence-board.ts";
import { LONGEST_MESSAGE, open, saltOf, seal } from "./signal-codec.ts";

/**
 * How often it is asked: until so many milliseconds after something happened, every so many. A look is some packets to each
 * of a few nodes; none of them gets more than one or two a second of us.
 */
const PACE = [
  { until: 30_000, every: 1000 },
  { until: 5 * 60_000, every: 3000 },
  { until: 15 * 60_000, every: 12_000 },
  { until: Number.POSITIVE_INFINITY, every: 30_000 },
] as const;

/** The same for those who can be reached. */
const REACHABLE_PACE = [
  { until: 5000, every: 1000 },
  { until: 30_000, every: 4000 },
  { until: Number.POSITIVE_INFINITY, every: 60_000 },
] as const;

/** Milliseconds until a presence is written again, though nothing has changed. */
const REFRESH_MS = 4 * 60_000;

/**
 * Milliseconds between two looks at whether our own presence has changed, or its place is lost: without a packet. At first, as
 * long as it is being found out how we can be reached, it is looked more often.
 */
const OWN_MS = 5000;
const FIRST_OWN_MS = 500;
const FIRST_MS = 15_000;

/** Milliseconds until it is tried again, where no place could be taken. */
const RETRY_MS = 10_000;

/**
 * Milliseconds after which a new place is looked at once more, and written again: of two who came in the same second each
 * may have found room at a few nodes of his own. Whoever writes again first is ahead of the other everywhere.
 */
const SECOND_LOOK_MS = 1500;

/** Milliseconds between two looks at whether somebody has overwritten our place all the same. */
const OVERWRITTEN_MS = 60_000;

/** Times that a place, or a message, is tried for in a row. */
const ATTEMPTS = 6;

/** Of how many looks at the board one goes over all of it. */
const WHOLE_EVERY = 10;

/** Milliseconds that leaving may take. */
const LEAVE_MS = 1500;

/** What it needs. */
export interface DhtSignallingInit {
  readonly items: ItemStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Messages and presences by way of the DHT. */
export class DhtSignalling implements Signalling {
  readonly #init: DhtSignallingInit;
  /** How our own presences stand, by share and peer. */
  readonly #own = new Map<string, () => Presence>();

  constructor(init: DhtSignallingInit) {
    this.#init = init;
  }

  announce(keys: ShareKeys, self: () => Presence): AsyncDisposable {
    const stop = new AbortController();
    const name = nameOf(keys, self().peerId);
    this.#own.set(name, self);
    const done = this.#stay(keys, self, stop.signal);
    return {
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        if (this.#own.get(name) === self) this.#own.delete(name);
        await done;
      },
    };
  }

  watch(keys: ShareKeys, self: string, onPresence: (presence: Presence) => void, signal: AbortSignal): void {
    const board = new PresenceBoard(keys, this.#init);
    const told = new Map<string, string>();
    let looks = 0;
    const look = async (): Promise<boolean> => {
      let news = false;
      await board.look(looks++ % WHOLE_EVERY === WHOLE_EVERY / 2, () => {
        if (signal.aborted) return;
        const present = board.present.filter(({ peerId }) => peerId !== self);
        for (const peerId of told.keys()) if (!present.some((p) => p.peerId === peerId)) told.delete(peerId);
        for (const presence of present) {
          const text = withoutTime(presence);
          if (told.get(presence.peerId) === text) continue;
          told.set(presence.peerId, text);
          news = true;
          this.#tell(() => onPresence(presence));
        }
      });
      return news;
    };
    void this.#poll(look, () => (this.#isReachable(keys, self) ? REACHABLE_PACE : PACE), signal);
  }

  async send(keys: ShareKeys, from: string, to: string, message: Uint8Array, signal: AbortSignal): Promise<void> {
    if (message.length > LONGEST_MESSAGE)
      throw new RangeError(`a message has at most ${LONGEST_MESSAGE} bytes, not ${message.length}`);
    const { items, clock } = this.#init;
    const key = signingKey(keys.signalSeed);
    const salt = saltOf(keys, "mail", from, to);
    const time = Buffer.alloc(8);
    time.writeDoubleBE(clock.now());
    const value = seal(keys, salt, [from, to], Buffer.concat([time, message]));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      signal.throwIfAborted();
      const former = (await items.get(key.publicKey, salt))?.sequence ?? 0;
      signal.throwIfAborted();
      const sequence = Math.max(former + 1, Math.floor(clock.now() / 1000));
      const { stored, refused } = await items.put(key, salt, { value, sequence });
      if (stored > refused) return;
      await clock.sleep(500 * (attempt + 1) * (0.5 + Math.random()), signal);
    }
    throw failure(
      "PEERS_UNREACHABLE",
      "no node of the DHT has taken a message for the other side; is UDP allowed here?",
    );
  }

  receive(
    keys: ShareKeys,
    from: string,
    to: string,
    onMessage: (message: Uint8Array) => void,
    signal: AbortSignal,
  ): void {
    const { items, clock } = this.#init;
    const { publicKey } = signingKey(keys.signalSeed);
    const salt = saltOf(keys, "mail", from, to);
    let last: number | undefined;
    const look = async (): Promise<boolean> => {
      const item = await items.get(publicKey, salt);
      if (signal.aborted || item === undefined || (last !== undefined && item.sequence <= last)) return false;
      const content = open(keys, salt, [from, to], item.value);
      const isFirst = last === undefined;
      last = item.sequence;
      if (content === undefined || content.length < 8) return false;
      // What was there already may be of another day. What comes while we wait is new, whatever the sender's clock says.
      if (isFirst && !(Math.abs(clock.now() - content.readDoubleBE()) < STALE_MS)) return false;
      this.#tell(() => onMessage(content.subarray(8)));
      return true;
    };
    void this.#poll(look, () => PACE, signal);
  }

  /** Keeps a presence on the board. Never rejects. */
  async #stay(keys: ShareKeys, self: () => Presence, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#init;
    const board = new PresenceBoard(keys, this.#init);
    const { peerId } = self();
    let slot: number | undefined;
    let told = "";
    let toldAt = 0;
    let looks = 0;
    const began = clock.monotonic();
    let lookedAt = began;
    // Who announces himself has more to say of himself in the same turn.
    await Promise.resolve();
    while (!signal.aborted) {
      let wait = clock.monotonic() - began < FIRST_MS ? FIRST_OWN_MS : OWN_MS;
      try {
        const confirm = slot !== undefined && looks > 0 && clock.monotonic() - lookedAt >= SECOND_LOOK_MS;
        if (slot !== undefined && (confirm || clock.monotonic() - lookedAt >= OVERWRITTEN_MS)) {
          looks--;
          lookedAt = clock.monotonic();
          await board.lookAt(slot);
        }
        const presence = { ...self(), time: clock.now() };
        const lost = slot === undefined || board.holderOf(slot) !== peerId;
        if (lost || confirm || withoutTime(presence) !== told || clock.monotonic() - toldAt >= REFRESH_MS) {
          const taken: number | undefined = await this.#place(board, lost ? undefined : slot, presence, signal);
          if (taken === undefined) wait = RETRY_MS;
          if (taken !== undefined && taken !== slot) {
            looks = 2;
            lookedAt = clock.monotonic();
          }
          slot = taken;
          told = withoutTime(presence);
          toldAt = clock.monotonic();
        }
        if (looks > 0) wait = Math.min(wait, SECOND_LOOK_MS);
      } catch (error) {
        if (!signal.aborted) logger.debug({ err: error }, "the DHT did not take where we are");
        wait = RETRY_MS;
      }
      await clock.sleep(wait * (0.8 + 0.4 * Math.random()), signal).catch(() => undefined);
    }
    if (slot !== undefined) await this.#leave(board, slot);
  }

  /** Writes a presence where it has been, or takes a place. @returns undefined if all are taken, or nobody keeps it */
  async #place(
    board: PresenceBoard,
    former: number | undefined,
    presence: Presence,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { clock } = this.#init;
    let slot = former;
    for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt++) {
      if (slot === undefined) {
        await board.look(false);
        slot = board.choose(presence.peerId);
        if (slot === undefined) return undefined;
      }
      // Just before it is written: somebody may have come while the others were looked at.
      const holder = await board.lookAt(slot);
      if (holder !== undefined && holder !== presence.peerId) {
        slot = undefined;
        continue;
      }
      const { stored, refused } = await board.write(slot, presence);
      if (refused === 0 && stored > 0 && slot === former) return slot;
      // Others may want the same place in the same moment: the board says whom it fell to.
      await clock.sleep((150 + 250 * Math.random()) * (attempt + 1), signal);
      if ((await board.lookAt(slot)) === presence.peerId) return slot;
      slot = undefined;
    }
    return undefined;
  }

  /** Says that we have gone, so that the place is free at once. */
  async #leave(board: PresenceBoard, slot: number): Promise<void> {
    const { clock } = this.#init;
    const late = new AbortController();
    await Promise.race([
      board.write(slot, undefined).catch(() => undefined),
      clock.sleep(LEAVE_MS, late.signal).catch(() => undefined),
    ]);
    late.abort();
  }

  /** Looks again and again. @param look - true: something has happened, so more may */
  async #poll(
    look: () => Promise<boolean>,
    pace: () => readonly { readonly until: number; readonly every: number }[],
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, logger } = this.#init;
    let since = clock.monotonic();
    while (!signal.aborted) {
      try {
        if (await look()) since = clock.monotonic();
      } catch (error) {
        if (!signal.aborted) logger.debug({ err: error }, "the DHT could not be asked for signals");
      }
      const elapsed = clock.monotonic() - since;
      const every = pace().find(({ until }) => elapsed < until)?.every ?? RETRY_MS;
      await clock.sleep(every * (0.9 + 0.2 * Math.random()), signal).catch(() => undefined);
    }
  }

  #tell(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#init.logger.error({ err: error }, "a signal could not be handled");
    }
  }

  #isReachable(keys: ShareKeys, peerId: string): boolean {
    const presence = this.#own.get(nameOf(keys, peerId))?.();
    if (presence === undefined) return false;
    return presence.endpoints.some(
      ({ kind }) => kind === "mapped" || (kind === "direct" && presence.natType === "none"),
    );
  }
}

function nameOf(keys: ShareKeys, peerId: string): string {
  return `${keys.publicId}/${peerId}`;
}

function withoutTime(presence: Presence): string {
  return JSON.stringify({ ...presence, time: 0 });
}
