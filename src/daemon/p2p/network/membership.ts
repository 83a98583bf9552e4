/**
 * Being there for a share: as long as it is given or wanted here, others that know the code can see us, and we see them. One
 * for each share, however many of this machine's parts have to do with it.
 */
import type { PeerInfo } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Presence, ShareKeys, Signalling } from "../types.ts";

/** The ways to find peers, as far as they are used here; see discovery/discoveries.ts. */
export interface PeerFinder {
  /** Calls back with each peer that is found, until the signal aborts. */
  discover(fileHash: string, onPeer: (peer: PeerInfo) => void, signal: AbortSignal): void;
  /** A peer that was found could not be reached, or did not know the code. */
  failed(fileHash: string, peer: Pick<PeerInfo, "externalIp" | "externalPort">): void;
  /** Makes us findable until disposed of. */
  announce(fileHash: string, self: PeerInfo): AsyncDisposable;
  /** By name, and for people how they fare. */
  states(): readonly { readonly name: string; readonly state: string }[];
}

/** What it is made of. */
export interface MembershipOptions {
  readonly keys: ShareKeys;
  /** Undefined: nothing carries signals, or the mode rules it out. */
  readonly signalling: Signalling | undefined;
  readonly finder: PeerFinder;
  readonly self: () => string;
  /** What we say of ourselves. @param shares - some of it is here */
  readonly presence: (shares: boolean) => Presence;
  readonly info: () => PeerInfo;
  /** May our address be told to those who know the code only by hearsay? */
  readonly announces: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Presences that are kept: those that were heard of longest ago are forgotten. */
const MOST_PRESENCES = 64;

/** How often it is looked whether we are to be found elsewhere, in milliseconds. */
const LOOK_MS = 3000;

/** See above. */
export class Membership implements AsyncDisposable {
  readonly #options: MembershipOptions;
  readonly #ended = new AbortController();
  readonly #listeners = new Set<(presence: Presence) => void>();
  readonly #forgetters = new Set<(peerId: string) => void>();
  readonly #presences = new Map<string, Presence>();
  #present: AsyncDisposable | undefined;
  #announced: AsyncDisposable | undefined;
  /** Where we were announced to be. */
  #place: string | undefined;
  #cancel: (() => void) | undefined;
  #publishes = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Others can see us, and we see them. */
  start(): void {
    const { keys, signalling, presence, self } = this.#options;
    if (signalling === undefined) return;
    this.#present = signalling.announce(keys, () => presence(this.#publishes > 0));
    signalling.watch(keys, self(), (seen) => this.#see(seen), this.#ended.signal);
  }

  /** Some of it is here, from now on. @returns ends it */
  publish(): () => Promise<void> {
    this.#publishes += 1;
    if (this.#publishes === 1) this.#announce();
    return async () => {
      this.#publishes -= 1;
      if (this.#publishes === 0) await this.#conceal();
    };
  }

  /** Announces this machine, and again when it is to be found elsewhere: a router has opened a port, or the network changed. */
  #announce(): void {
    const { finder, keys, info, announces, clock } = this.#options;
    if (!announces || this.#publishes === 0 || this.#ended.signal.aborted) return;
    const self = info();
    const place = `${self.externalIp} ${self.externalPort} ${self.localPort} ${self.natType}`;
    if (place !== this.#place) {
      void this.#announced?.[Symbol.asyncDispose]();
      this.#announced = finder.announce(keys.lookupKey, self);
      this.#place = place;
    }
    this.#cancel?.();
    this.#cancel = clock.timer(LOOK_MS, () => this.#announce());
  }

  async #conceal(): Promise<void> {
    this.#cancel?.();
    const announced = this.#announced;
    this.#announced = undefined;
    this.#place = undefined;
    await announced?.[Symbol.asyncDispose]();
  }

  /** Calls back with each of the others, those that are known already first. @returns ends it */
  onPresence(listener: (presence: Presence) => void): () => void {
    this.#listeners.add(listener);
    for (const presence of this.#presences.values()) listener(presence);
    return () => void this.#listeners.delete(listener);
  }

  /** Calls back with peers that nothing is known of any more. @returns ends it */
  onForgotten(listener: (peerId: string) => void): () => void {
    this.#forgetters.add(listener);
    return () => void this.#forgetters.delete(listener);
  }

  /** What one of the others said last. */
  presenceOf(peerId: string): Presence | undefined {
    return this.#presences.get(peerId);
  }

  #see(presence: Presence): void {
    const { self, logger, keys } = this.#options;
    if (presence.peerId === self() || this.#ended.signal.aborted) return;
    if (!this.#presences.has(presence.peerId))
      logger.debug({ share: keys.publicId, peer: presence.peerId, shares: presence.shares }, "A peer is there.");
    this.#presences.delete(presence.peerId);
    this.#presences.set(presence.peerId, presence);
    const [oldest] = this.#presences.keys();
    if (this.#presences.size > MOST_PRESENCES && oldest !== undefined) {
      this.#presences.delete(oldest);
      for (const forget of [...this.#forgetters]) forget(oldest);
    }
    for (const listener of [...this.#listeners]) listener(presence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#listeners.clear();
    await Promise.all([this.#present?.[Symbol.asyncDispose](), this.#conceal()]);
  }
}
