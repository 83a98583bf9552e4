/**
 * All ways to find peers, those of the house and those of plugins alike. They are asked side by side, each at its own pace
 * and slower while it finds nothing new; one that throws, hangs or answers nonsense is noted, and does not concern the others.
 */
import { asDownloadError } from "../../core/errors.ts";
import type { PeerDiscovery, PeerInfo } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import { Candidates, peersOf } from "./candidates.ts";

/** Milliseconds between two questions to the same way: at first, and at most. */
const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60_000;
const SLOWER = 1.6;

/** Milliseconds after which a question counts as unanswered. */
const ANSWER_MS = 20_000;

/** Questions to one way that may hang: then it is not asked until one of them ends. */
const MOST_HANGING = 4;

/** Milliseconds that it may take to take back an announcement. */
const TAKE_BACK_MS = 3000;

/** A way to find peers, and how it fares. */
interface Way {
  readonly discovery: PeerDiscovery;
  readonly removed: AbortController;
  hanging: number;
  found: number;
  asked: boolean;
  problem?: string | undefined;
}

interface Search {
  readonly fileHash: string;
  readonly signal: AbortSignal;
  readonly candidates: Candidates;
  readonly onPeer: (peer: PeerInfo, by: string) => void;
}

interface Announcement {
  readonly fileHash: string;
  readonly self: PeerInfo;
  readonly taken: Map<Way, Promise<AsyncDisposable | undefined>>;
}

/** The registry of ways to find peers. */
export class Discoveries {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ways = new Set<Way>();
  readonly #searches = new Set<Search>();
  readonly #announcements = new Set<Announcement>();

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Adds a way; searches and announcements that are on take it in. @returns takes it out */
  register(discovery: PeerDiscovery): () => void {
    const way: Way = { discovery, removed: new AbortController(), hanging: 0, found: 0, asked: false };
    this.#ways.add(way);
    for (const search of this.#searches) void this.#search(way, search);
    for (const announcement of this.#announcements) this.#announce(way, announcement);
    return () => {
      this.#ways.delete(way);
      way.removed.abort();
      for (const { taken } of this.#announcements) {
        void this.#takeBack(way, taken.get(way));
        taken.delete(way);
      }
    };
  }

  /** Looks for peers until the signal is aborted; each is told once, and again after some minutes if it is still found. */
  discover(fileHash: string, onPeer: (peer: PeerInfo, by: string) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const search: Search = { fileHash, signal, onPeer, candidates: new Candidates(this.#clock) };
    this.#searches.add(search);
    signal.addEventListener("abort", () => void this.#searches.delete(search), { once: true });
    for (const way of this.#ways) void this.#search(way, search);
  }

  /** A peer that was told could not be reached, or did not know the code: it makes room for others. */
  failed(fileHash: string, peer: Pick<PeerInfo, "externalIp" | "externalPort">): void {
    for (const search of this.#searches) if (search.fileHash === fileHash) search.candidates.failed(peer);
  }

  /** Makes us findable by every way that can, until the answer is disposed of. Never throws. */
  announce(fileHash: string, self: PeerInfo): AsyncDisposable {
    const announcement: Announcement = { fileHash, self, taken: new Map() };
    this.#announcements.add(announcement);
    for (const way of this.#ways) this.#announce(way, announcement);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#announcements.delete(announcement);
        await Promise.all([...announcement.taken].map(([way, taken]) => this.#takeBack(way, taken)));
        announcement.taken.clear();
      },
    };
  }

  /** For people. */
  states(): readonly { readonly name: string; readonly state: string }[] {
    return [...this.#ways].map(({ discovery, hanging, asked, found, problem }) => {
      const said = "state" in discovery && typeof discovery.state === "string" ? discovery.state : undefined;
      const fared = hanging > 0 ? "does not answer" : (problem ?? (asked ? `found ${found}` : (said ?? "idle")));
      return {
        name: String(discovery.name).slice(0, 40),
        state: problem === undefined && said !== undefined && asked ? `${said}; ${fared}` : fared,
      };
    });
  }

  /** Asks one way again and again. Never rejects. */
  async #search(way: Way, search: Search): Promise<void> {
    const signal = AbortSignal.any([search.signal, way.removed.signal]);
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const news = way.hanging >= MOST_HANGING ? 0 : await this.#ask(way, search, signal);
      pause = news > 0 ? FIRST_PAUSE_MS : pause;
      await this.#clock.sleep(pause * (0.9 + 0.2 * Math.random()), signal).catch(() => undefined);
      pause = Math.min(pause * SLOWER, LONGEST_PAUSE_MS);
    }
  }

  /** @returns how many were news */
  async #ask(way: Way, { fileHash, candidates, onPeer }: Search, signal: AbortSignal): Promise<number> {
    const late = new AbortController();
    const until = AbortSignal.any([signal, late.signal]);
    // Whatever it is that a plugin gives: it may throw at once, or be no promise.
    const answer = (async () => peersOf(await way.discovery.discoverPeers(fileHash, until)))();
    const cancel = this.#clock.timer(ANSWER_MS, () => late.abort());
    try {
      const peers = await orAborted(answer, until);
      way.problem = undefined;
      way.asked = true;
      const news = peers.filter((peer) => !this.#isSelf(fileHash, peer) && !signal.aborted && candidates.admit(peer));
      way.found += news.length;
      for (const peer of news) onPeer(peer, way.discovery.name);
      return news.length;
    } catch (error) {
      if (signal.aborted) return 0;
      if (late.signal.aborted) {
        way.hanging++;
        const settled = () => void way.hanging--;
        answer.then(settled, settled);
        return 0;
      }
      const { message } = asDownloadError(error);
      if (way.problem !== message)
        this.#logger.warn({ err: error, discovery: way.discovery.name }, "a way to find peers has failed");
      way.problem = message;
      return 0;
    } finally {
      cancel();
      answer.catch(() => undefined);
    }
  }

  #announce(way: Way, { fileHash, self, taken }: Announcement): void {
    const { discovery } = way;
    if (discovery.announce === undefined) return;
    const made = (async () => discovery.announce?.(fileHash, self))().catch((error: unknown) => {
      this.#logger.warn({ err: error, discovery: discovery.name }, "a way to find peers does not announce");
      way.problem = asDownloadError(error).message;
      return undefined;
    });
    taken.set(way, made);
  }

  async #takeBack(way: Way, taken: Promise<AsyncDisposable | undefined> | undefined): Promise<void> {
    const late = new AbortController();
    const done = (async () => {
      await (await taken)?.[Symbol.asyncDispose]();
    })().catch((error: unknown) => {
      this.#logger.warn({ err: error, discovery: way.discovery.name }, "an announcement could not be taken back");
    });
    await Promise.race([done, this.#clock.sleep(TAKE_BACK_MS, late.signal).catch(() => undefined)]);
    late.abort();
  }

  /** Who is announced here finds himself. */
  #isSelf(fileHash: string, peer: PeerInfo): boolean {
    return [...this.#announcements].some(
      ({ fileHash: its, self }) =>
        its === fileHash &&
        ((peer.peerId !== "" && peer.peerId === self.peerId) ||
          (peer.externalIp === self.externalIp && peer.externalPort === self.externalPort)),
    );
  }
}

/** Waits for a promise no longer than the signal says. @throws what it rejects with; the signal's reason */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
