/**
 * One share that is fetched: the peers that give it. It seeks them while somebody wants something, agrees on the first
 * catalogue that comes whole, leaves out whoever offers another, and says who is to be asked for a range: who is fast and
 * not busy. Who sends wrong bytes or breaks the protocol is not asked again; see bans.ts.
 */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import { chunkCount } from "../../core/manifest.ts";
import type { PeerState } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Channel, ChannelTaker, PeerNetwork, Search, ShareKeys } from "../types.ts";
import { Absence, PATIENCE_MS, SOON_MS } from "./absence.ts";
import { Appetite } from "./appetite.ts";
import type { BanSubject, Bans } from "./bans.ts";
import { Farewells } from "./farewells.ts";
import { FileLists, type SharedFiles } from "./file-lists.ts";
import { isQuicker } from "./pace.ts";
import { type LinkHost, type Others, PeerLink, type Wait } from "./peer-link.ts";
import { comesBack, isAnswer, lastWord, nobodyGives, shareEnded } from "./swarm-errors.ts";
import { Waiting } from "./swarm-waiting.ts";

/** The same after somebody was there and said no, or offered what cannot be taken: another may do better. */
const SECOND_CHANCE_MS = 5000;

/**
 * Milliseconds that it was sought for at least, before it is believed that the share has ended: others may be found, and reached,
 * less quickly than whoever said so.
 */
const LEAST_SEARCH_MS = 15_000;

/** Milliseconds until it is looked again whether somebody who is busy has room; the first who has is noticed at once. */
const ROOM_MS = 25_000;

/** Milliseconds after which whoever lost a peer has come back to wait for another. */
const RECENT_MS = 1000;

/** Bytes that all requests together may have on the way or set aside, those to one peer, and one of them. */
const ALL_WINDOWS = 32 * 1024 * 1024;
const PEER_WINDOWS = 4 * 1024 * 1024;
const LEAST_WINDOW = 256 * 1024;
const MOST_WINDOW = 2 * 1024 * 1024;

/** Who waits while nobody is here; more need not. */
const ENOUGH_WAITING = 4;

/** Peers for the catalogue alone. */
const ENOUGH_TO_LOOK = 3;

/** What a swarm needs. */
export interface SwarmParts {
  readonly keys: ShareKeys;
  /** A caller over TCP asked for it. */
  readonly remote: boolean;
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bans: Bans;
  /** Channels at once. */
  readonly maxPeers: () => number;
  /** The catalogue is known; called once. */
  readonly onFiles: (files: SharedFiles) => void;
  /** The first peer is here, or the last one has gone; `true` as well when it is known that nobody will come. */
  readonly onPresence: (here: boolean) => void;
}

/** Whom to ask, see {@link Swarm.pick}. */
export interface Wish {
  readonly file: number;
  readonly chunk: number;
  /** Asked already, in vain; with why. */
  readonly avoid: ReadonlySet<PeerLink>;
  readonly failed: DownloadError | undefined;
  /** Too slow with it: asked if there is nobody else. */
  readonly slow: ReadonlySet<PeerLink>;
  /** Nobody but this peer, while it is there. */
  readonly only?: string | undefined;
  /** The least suspected one. */
  readonly trusted: boolean;
}

/** One share being fetched. */
export class Swarm implements ChannelTaker, LinkHost, AsyncDisposable {
  readonly keys: ShareKeys;
  readonly remote: boolean;
  readonly #parts: SwarmParts;
  readonly #waiting: Waiting;
  readonly #links = new Set<PeerLink>();
  readonly #explicit = new Set<string>();
  readonly #appetite = new Appetite();
  /** With another catalogue than the one that is fetched. */
  readonly #leftOut = new Set<string>();
  readonly #lists: FileLists;
  /** Streams under way. */
  #streams = 0;
  #inUse = true;
  #problem: DownloadError | undefined;
  /** Others who may give, and are not here. */
  #othersKnown = 0;
  readonly #farewells = new Farewells();
  /** The share has ended, as all say who gave it. */
  #over: DownloadError | undefined;
  #lastEnd: { readonly error: DownloadError; readonly at: number } | undefined;
  #since = 0;
  /** By the monotonic clock: since then it is sought. */
  #soughtSince = 0;
  readonly #absence = new Absence();
  /** Files that were let in to wait, since somebody was here or one of them has left. */
  #joined = 0;
  /** Whoever waited has left, and comes back by its schedule: it is sought on meanwhile. */
  #inVain = false;
  #seeking: Promise<Search | undefined> = Promise.resolve(undefined);
  #ended = false;

  constructor(parts: SwarmParts) {
    this.#parts = parts;
    this.keys = parts.keys;
    this.remote = parts.remote;
    this.#waiting = new Waiting(parts.clock);
    this.#lists = new FileLists(this.#links, {
      agreed: (files) => {
        for (const link of [...this.#links]) if (link.offer) this.#join(link, files);
        parts.onFiles(files);
      },
      changed: () => this.#waiting.changed(),
    });
  }

  /** Nothing that came in the clear was wrong. */
  get plain(): boolean {
    return this.#parts.bans.plain;
  }

  get explicit(): readonly string[] {
    return [...this.#explicit];
  }

  /** Begins to seek peers; the same again, with more that a person named. Never rejects. */
  seek(explicit: readonly string[]): void {
    const more = explicit.filter((peer) => !this.#explicit.has(peer));
    for (const peer of more) this.#explicit.add(peer);
    if (this.#since !== 0 && more.length === 0) return;
    this.#soughtSince = this.#parts.clock.monotonic();
    this.#absence.begin(this.#soughtSince);
    this.#over = undefined;
    if (this.#since === 0) this.#parts.onPresence(false);
    this.#since ||= this.#parts.clock.now();
    const former = this.#seeking;
    this.#seeking = this.#seek(former);
  }

  /** Somebody needs it, or nobody for now: then no more peers are wanted. */
  used(inUse: boolean): void {
    const isNews = inUse && !this.#inUse;
    this.#inUse = inUse;
    if (isNews) void this.#seeking.then((search) => search?.look());
  }

  /** Lets go of all who give: nothing is missing. Whoever needs something after all finds them anew. */
  leave(): void {
    for (const link of [...this.#links]) link.close();
  }

  /** Nobody is here. */
  get deserted(): boolean {
    return this.#links.size === 0;
  }

  /**
   * For whoever is about to wait: others do so already, one patience is enough for all, and the first peer wakes them.
   *
   * @throws NetworkError PEERS_NOT_FOUND if so; ResourceError SHARE_ENDED
   */
  join(): void {
    if (this.#over) throw this.#over;
    const now = this.#parts.clock.monotonic();
    const returns = this.#mayReturn();
    // When the patience is over, waiting ends at once and says why.
    if (!this.deserted || this.#absence.left(now, now, returns) <= 0 || this.#joined++ < ENOUGH_WAITING) return;
    throw failure(
      "PEERS_NOT_FOUND",
      "nobody is here who shares by this code; other files of it wait for the same peers",
      {
        retryAfterMs: this.#absence.next(now, returns),
        metadata: { held: this.keys.publicId },
      },
    );
  }

  /** What is shared, if that is known. */
  get known(): SharedFiles | undefined {
    return this.#lists.files;
  }

  /** What is shared. @throws NetworkError PEERS_NOT_FOUND …; ResourceError SHARE_REFUSED, SHARE_ENDED; the signal's reason */
  files(signal: AbortSignal): Promise<SharedFiles> {
    return this.#wait(() => this.known, signal);
  }

  /** Whoever gives: links, the open ones. */
  get links(): ReadonlySet<PeerLink> {
    return this.#links;
  }

  /** A stream has begun, until the answer is disposed of. */
  streaming(): Disposable {
    this.#streams++;
    return { [Symbol.dispose]: () => void this.#streams-- };
  }

  /**
   * Whom to ask for a chunk. Waits for a peer that has it; if some were asked in vain, only for others that are there.
   *
   * @throws NetworkError if nobody comes, or why the last one failed; the signal's reason
   */
  pick(wish: Wish, signal: AbortSignal): Promise<PeerLink> {
    return this.#wait(() => this.#best(wish), signal);
  }

  /**
   * Not to be asked any more; nor are others of an address from which several came. What came in the clear proves nothing of
   * a peer: then everything comes over TLS from now on, and who is wrong there is banned.
   */
  ban(peer: BanSubject, why: string): void {
    if (peer.inClear) {
      this.#giveUpPlain(peer, why);
      return;
    }
    const { bans, logger } = this.#parts;
    bans.ban(peer);
    const { peerId, remoteAddress: address, path } = peer;
    logger.warn({ share: this.keys.publicId, peer: peerId, address, path }, `a peer is banned: ${why}`);
    for (const link of [...this.#links]) if (bans.refuses(link.channel)) link.close(failure("PEER_MISBEHAVED", why));
  }

  /** They had a part in what went wrong. */
  doubt(peers: readonly BanSubject[], why: string): void {
    const cleared = peers.filter(({ inClear }) => inClear);
    for (const peer of cleared) this.#giveUpPlain(peer, why);
    // Whoever sits between may have done it all.
    if (cleared.length === 0) for (const peer of peers) this.#doubt(peer, why);
  }

  #doubt(peer: BanSubject, why: string): void {
    if (this.#parts.bans.doubt(peer.peerId)) this.ban(peer, why);
  }

  /** What it sent alone was right. */
  trust(peerId: string): void {
    this.#parts.bans.trust(peerId);
  }

  /** Peers that give, for people. */
  peers(): readonly PeerState[] {
    return [...this.#links].map(({ channel, meter, since }) => ({
      peerId: channel.peerId,
      path: channel.path,
      address: channel.remoteAddress,
      suite: channel.suite,
      shareId: this.keys.publicId,
      direction: "down",
      sentBytes: 0,
      receivedBytes: meter.total,
      since,
    }));
  }

  wanted(): number {
    if (this.#ended || !(this.#inUse || this.#inVain)) return 0;
    const most = this.#parts.maxPeers();
    const here = this.#links.size;
    if (!this.known) return Math.max(0, Math.min(most, ENOUGH_TO_LOOK + this.#lists.lateCount) - here);
    if (here > 0 && this.#streams === 0 && this.#waiting.size === 0) return 0;
    const busy = [...this.#links].filter(({ load }) => load > 0);
    // Disk and limits keep up with no more than what comes already.
    if (busy.length > 0 && this.#waiting.size === 0 && busy.every(({ held }) => held)) return 0;
    const rate = busy.reduce((sum, { meter }) => sum + (meter.rate ?? 0), 0);
    const helps = this.#appetite.helps(this.#parts.clock.monotonic(), here, rate);
    return helps || this.#waiting.size > 0 ? Math.max(0, most - here) : 0;
  }

  take(channel: Channel): void {
    const { bans, clock, maxPeers } = this.#parts;
    const known = [...this.#links].find((link) => link.channel.peerId === channel.peerId);
    if (this.#ended || bans.refuses(channel) || this.#leftOut.has(channel.peerId) || this.#links.size >= maxPeers()) {
      channel.close();
      return;
    }
    // It has come anew: what it had is dead, though that is not seen yet, or else it would not.
    if (known && known.load === 0) known.close();
    else if (known) {
      channel.close();
      return;
    }
    const link = new PeerLink(channel, this, clock);
    this.#links.add(link);
    this.#inVain = false;
    this.#over = undefined;
    this.#farewells.came(channel.peerId);
    this.#joined = 0;
    if (this.#links.size === 1) this.#parts.onPresence(true);
    link.start();
  }

  isBanned(peerId: string): boolean {
    return this.#parts.bans.isBanned(peerId) || this.#leftOut.has(peerId) || this.#farewells.has(peerId);
  }

  othersKnown(count: number): void {
    this.#othersKnown = count;
    this.#waiting.changed();
  }

  problem(error: DownloadError): void {
    this.#problem = error;
    this.#waiting.changed();
  }

  offered(link: PeerLink): void {
    if (this.known) this.#join(link, this.known);
    else this.#lists.load();
    this.#waiting.changed();
  }

  changed(): void {
    this.#waiting.changed();
  }

  ended(link: PeerLink, reason: DownloadError): void {
    const { bans, logger, clock } = this.#parts;
    this.#links.delete(link);
    if (this.deserted) {
      this.#absence.begin(clock.monotonic());
      this.#parts.onPresence(false);
    }
    const { peerId, path } = link.channel;
    const { code, message } = reason;
    logger.info({ share: this.keys.publicId, peer: peerId, path, code }, `a peer has gone: ${message}`);
    const broke = code === "PEER_MISBEHAVED" || code === "SHARE_REFUSED";
    const { inClear } = link.channel;
    const stalled = code === "TIMED_OUT" && (inClear || bans.stalled(peerId));
    if ((broke || stalled) && !bans.isBanned(peerId)) this.ban(link.channel, message);
    this.#farewells.went(peerId, reason, bans.isBanned(peerId) || this.#leftOut.has(peerId));
    this.#lastEnd = { error: reason, at: clock.monotonic() };
    this.#lists.load();
    this.#waiting.changed();
  }

  window(): number {
    let requests = 0;
    for (const { load } of this.#links) requests += load;
    const all = Math.min(ALL_WINDOWS, PEER_WINDOWS * this.#links.size);
    return Math.max(LEAST_WINDOW, Math.min(Math.floor(all / Math.max(requests, 1)), MOST_WINDOW));
  }

  others(link: PeerLink, wait: Wait): Others {
    const entry = this.known?.entries[wait.file];
    if (!entry) return "none";
    const chunk = Math.floor(wait.position / entry.chunkSize);
    const having = [...this.#links].filter((one) => one !== link && !one.closed && one.has(wait.file, chunk));
    if (having.some((one) => one.ready && isQuicker(one, wait))) return "quicker";
    return having.length > 0 ? "same" : "none";
  }

  late(): void {
    this.#lists.load();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#lists.end();
    for (const link of [...this.#links]) link.close();
    this.#waiting.changed();
    const seeking = await this.#seeking;
    await seeking?.[Symbol.asyncDispose]();
  }

  /** Chunks come over TLS alone from now on: who gave in the clear is called anew. */
  #giveUpPlain(peer: BanSubject, why: string): void {
    const { bans, logger } = this.#parts;
    bans.plain = false;
    const about = { share: this.keys.publicId, peer: peer.peerId };
    logger.warn(about, `nothing of this share is taken in the clear any more: ${why}`);
    for (const link of [...this.#links])
      if (link.channel === peer) link.close(failure("CONNECTION_LOST", `what came in the clear was wrong: ${why}`));
  }

  async #seek(former: Promise<Search | undefined>): Promise<Search | undefined> {
    const before = await former;
    try {
      await before?.[Symbol.asyncDispose]();
      return this.#ended ? undefined : await this.#parts.network.seek(this);
    } catch (error) {
      this.problem(asDownloadError(error));
      return undefined;
    }
  }

  /** Another one that gives; it has to have the same catalogue. */
  #join(link: PeerLink, { offer, entries }: SharedFiles): void {
    if (link.offer?.root === offer.root) {
      link.fit((file) => {
        const entry = entries[file];
        return entry ? chunkCount(entry.size, entry.chunkSize) : 0;
      });
      return;
    }
    if (this.#leftOut.size < 1000) this.#leftOut.add(link.channel.peerId);
    link.close(failure("PEER_REFUSED", "by the same code something else is being fetched already, from others"));
  }

  #best({ file, chunk, avoid, failed, slow, only, trusted }: Wish): PeerLink | undefined {
    const { bans } = this.#parts;
    const having = [...this.#links].filter((link) => !(link.closed || avoid.has(link)) && link.has(file, chunk));
    const sole = having.filter((link) => link.channel.peerId === only && !slow.has(link));
    const asked = sole.length > 0 ? sole : having;
    // Somebody was asked in vain, and there is no other one.
    if (failed && having.length === 0) throw failed;
    const doubts = ({ channel }: PeerLink): number => (trusted ? bans.doubts(channel.peerId) : 0);
    const fastest = Math.max(1, ...asked.map(({ meter }) => meter.rate ?? 0));
    const late = (link: PeerLink): number => Number(slow.has(link));
    const worth = ({ meter, load }: PeerLink): number => (meter.rate ?? fastest) / (load + 1);
    return asked
      .filter(({ ready }) => ready)
      .sort(
        (a, b) => late(a) - late(b) || doubts(a) - doubts(b) || worth(b) - worth(a) || a.meter.total - b.meter.total,
      )[0];
  }

  /** Whoever gave has gone, and has not said that it is for good; or others are served first. */
  #mayReturn(): boolean {
    const last = this.#lastEnd?.error;
    const busy = last?.code === "PEER_BUSY";
    if (!this.deserted || !(this.known || busy) || (last && !busy && isAnswer(last))) return false;
    return this.#absence.mayEnd(this.#parts.clock.monotonic());
  }

  #wait<T>(look: () => T | undefined, signal: AbortSignal): Promise<T> {
    const start = this.#parts.clock.monotonic();
    const ended = (): DownloadError | undefined => {
      const last = this.#lastEnd;
      return last && last.at >= start - RECENT_MS && isAnswer(last.error) ? last.error : undefined;
    };
    return this.#waiting.until(
      () => {
        if (this.#ended) throw failure("SHUTTING_DOWN", "the fetch from peers has ended");
        if (this.#problem && !this.#problem.retryable) throw this.#problem;
        if (this.#over) throw this.#over;
        return look();
      },
      (waited) => {
        const alone = this.#links.size === 0 && ended() !== undefined;
        const now = this.#parts.clock.monotonic();
        const since = now - (this.#lastEnd?.at ?? 0);
        // One patience for all files of the share.
        const left = this.deserted ? this.#absence.left(start, now, this.#mayReturn()) : PATIENCE_MS - waited;
        const other = SECOND_CHANCE_MS - since;
        const over = this.#farewell && Math.max(other, this.#soughtSince + LEAST_SEARCH_MS - now);
        return Math.min(left, over ?? (alone ? other : left));
      },
      () => {
        const tried = { here: this.#links.size, since: this.#since, now: this.#parts.clock.now() };
        const answer = ended();
        const farewell = this.#farewell;
        if (farewell) return this.#end(farewell);
        this.#inVain = this.deserted;
        this.#joined = 0;
        if (answer) return answer.code === "PEER_BUSY" ? comesBack(lastWord(answer), ROOM_MS) : lastWord(answer);
        const nobody = nobodyGives({ ...tried, problem: this.#problem, lastEnd: this.#lastEnd?.error });
        return this.#mayReturn() ? comesBack(nobody, SOON_MS) : nobody;
      },
      signal,
    );
  }

  /** Everybody who gave has said that the share has ended, and nobody is known who might say otherwise. */
  get #farewell(): DownloadError | undefined {
    return this.deserted && this.#othersKnown === 0 ? this.#farewells.word : undefined;
  }

  /** Whoever waits for it need not any more. */
  #end(farewell: DownloadError): DownloadError {
    this.#over = shareEnded(farewell);
    this.#parts.onPresence(true);
    this.#waiting.changed();
    return this.#over;
  }
}
