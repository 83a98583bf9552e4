/**
 * The taker's end of one channel: reads the offer, fetches the catalogue, asks for ranges and hands their bytes on, and sees to
 * it that the other end is alive. Everything that comes is hostile until checked: what breaks the protocol ends the channel,
 * and what is set aside never exceeds what was offered or granted.
 */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { ByteSink } from "../../core/ports/http.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { breach } from "../channel/wire.ts";
import { type Channel, FRAME, type FrameType, type Offer } from "../types.ts";
import { CatalogueTransfer } from "./catalogue-transfer.ts";
import { type ChunkCount, HeldChunks } from "./held-chunks.ts";
import { LinkMeter } from "./link-meter.ts";
import { LinkRequest, Overtaken } from "./link-request.ts";
import { LAST_REQUEST, PastRequests } from "./past-requests.ts";
import { oneWord } from "./swarm-errors.ts";
import { encodeNumbers, encodeRequest, readOffer, readReason } from "./taker-messages.ts";

/** Milliseconds for the first frame. */
const OFFER_MS = 15_000;

/** Milliseconds between pings, and without a frame after which the other end counts as gone. */
const PING_MS = 10_000;
const DEAD_MS = 30_000;

/** Milliseconds without a byte, though something was asked for. */
const STALL_MS = 15_000;

/** Milliseconds without a byte for one request, while others of the same peer go on: its turn may be late. */
const TURN_MS = 60_000;

/** Bytes a second below which a peer counts as stalled where others give the same. */
const LEAST_RATE = 1000;

/** How often requests are looked at. */
const LOOK_MS = 500;

/** Requests to one peer at once; givers take 64. */
const MOST_REQUESTS = 16;

/** Pings of the other end between two of ours; more is noise. */
const MOST_PINGS = 100;

/** What a link tells its swarm. */
export interface LinkHost {
  /** There is an offer that can be taken. */
  offered(link: PeerLink): void;
  /** It has more than before, or room for a request. */
  changed(): void;
  /** It has ended; called once, last. */
  ended(link: PeerLink, reason: DownloadError): void;
  /** Bytes that one request may have on the way. */
  window(): number;
  /** What others would do with what a request waits for. */
  others(link: PeerLink, wait: Wait): Others;
  /** Its list of files takes long. */
  late(): void;
}

/** Bytes that a request waits for. */
export interface Wait {
  readonly file: number;
  readonly position: number;
  readonly left: number;
  /** Bytes a second that come of it. */
  readonly rate: number;
}

/** "quicker": one would have it that much sooner that it is to be asked; "same": one has it; "none": nobody else has. */
export type Others = "quicker" | "same" | "none";

/** One peer that gives. */
export class PeerLink {
  readonly channel: Channel;
  readonly meter: LinkMeter;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly #host: LinkHost;
  readonly #clock: Clock;
  readonly #requests = new Map<number, LinkRequest>();
  /** Where each request began. */
  readonly #places = new WeakMap<LinkRequest, { readonly file: number; readonly start: number }>();
  readonly #timers = new Map<string, () => void>();
  /** Files of which it gives nothing, whatever it says. */
  readonly #lost = new Set<number>();
  #offer: Offer | undefined;
  #held: HeldChunks | undefined;
  readonly #past = new PastRequests();
  #catalogue: CatalogueTransfer | undefined;
  #coolUntil = 0;
  #heard = 0;
  #pings = 0;
  #pongs = 0;
  #ended = false;

  constructor(channel: Channel, host: LinkHost, clock: Clock) {
    this.channel = channel;
    this.#host = host;
    this.#clock = clock;
    this.since = clock.now();
    this.meter = new LinkMeter(clock);
  }

  /** Begins; to be called in the turn in which the channel came. */
  start(): void {
    this.#heard = this.#clock.monotonic();
    this.#timer("ping", PING_MS, () => this.#ping());
    this.#timer("offer", OFFER_MS, () => {
      if (!this.#offer) this.close(failure("TIMED_OUT", `${this.name} offers nothing within ${OFFER_MS / 1000} s`));
    });
    this.channel.start({
      frame: (type, payload) => this.#guarded(() => this.#frame(type, payload)),
      data: (id, bytes) => this.#guarded(() => this.#data(id, bytes)),
      closed: (reason) => this.#end(reason),
    });
  }

  /** For people: where it is, and the beginning of its id. */
  get name(): string {
    return `the peer ${this.channel.peerId.slice(0, 8)} (${this.channel.remoteAddress})`;
  }

  /** What it offers; undefined until it has said so. */
  get offer(): Offer | undefined {
    return this.#offer;
  }

  get closed(): boolean {
    return this.#ended || this.channel.closed;
  }

  /** Requests under way. */
  get load(): number {
    return this.#requests.size;
  }

  /** True if everything that was asked for is held back at this end. */
  get held(): boolean {
    return this.#requests.size > 0 && [...this.#requests.values()].every((request) => request.held);
  }

  /** It says that it has all of every file. */
  get complete(): boolean {
    return this.#held?.complete === true;
  }

  /** Whether it can be asked now. */
  get ready(): boolean {
    return (
      !this.closed &&
      this.#held !== undefined &&
      this.#requests.size < MOST_REQUESTS &&
      this.#clock.monotonic() >= this.#coolUntil
    );
  }

  /** Whether it says that it has a chunk. */
  has(file: number, chunk: number): boolean {
    return this.#held?.has(file, chunk) === true && !this.#lost.has(file);
  }

  /** The catalogue is known, from here or from another: what it says of chunks can be read. */
  fit(chunkCount: ChunkCount): void {
    this.#guarded(() => this.#held?.fit(chunkCount));
  }

  /** It refused: others are asked first for so many milliseconds. */
  cool(ms: number): void {
    this.#coolUntil = this.#clock.monotonic() + ms;
    this.#timer("cool", ms, () => this.#host.changed());
  }

  /** It says that it has a chunk, and does not give it. */
  lacks(file: number, chunk: number | "all"): void {
    if (this.complete || chunk === "all") this.#lost.add(file);
    else this.#held?.lacks(file, chunk);
  }

  /** Everything is here: whoever gave it counts a fetch. */
  tellComplete(): void {
    this.#send(FRAME.complete);
  }

  /** Ends it. @param reason - told to the other end */
  close(reason?: DownloadError): void {
    this.channel.close(reason);
    this.#end(reason ?? failure("CONNECTION_LOST", `the connection to ${this.name} was closed here`));
  }

  /**
   * Fetches the catalogue; its root is the offer's.
   *
   * @throws NetworkError if it does not come, PEER_MISBEHAVED if its root is another
   */
  catalogue(): Promise<Buffer> {
    if (!this.#offer || this.closed) return Promise.reject(failure("CONNECTION_LOST", `${this.name} has gone`));
    this.#catalogue = new CatalogueTransfer(this.#offer, this.#clock.monotonic());
    this.#send(FRAME.catalogueRequest, encodeNumbers(0));
    this.#watch();
    return this.#catalogue.done;
  }

  /** Milliseconds that the list of files, which was asked for, will still take; 0 while that cannot be told. */
  get catalogueMsLeft(): number {
    return this.#catalogue?.msLeft(this.#clock.monotonic()) ?? 0;
  }

  /** Its list of files is not needed any more. */
  dropCatalogue(): void {
    this.#catalogue?.fail(failure("CANCELLED", "the list of files has come from another peer"));
  }

  /** Asks for `length` bytes of a file from `start` on; they go to the sink. */
  request(file: number, start: number, length: number, sink: ByteSink): LinkRequest {
    const id = this.#past.nextId();
    const request = new LinkRequest({
      length,
      window: () => this.#host.window(),
      sink,
      grant: (bytes) => this.#send(FRAME.credit, encodeNumbers(id, bytes)),
      now: () => this.#clock.monotonic(),
      // What waits for this end says nothing of the other one.
      heldChanged: () => this.meter.busy(!this.held),
      ended: (remaining, failed) => {
        if (!this.#requests.delete(id)) return;
        this.meter.busy(this.#requests.size > 0 && !this.held);
        this.#past.ended(remaining);
        if (failed) this.#send(FRAME.cancel, encodeNumbers(id));
        this.#host.changed();
      },
    });
    if (this.closed || id > LAST_REQUEST) {
      request.fail(failure("CONNECTION_LOST", `${this.name} has gone`));
      return request;
    }
    this.#requests.set(id, request);
    this.#places.set(request, { file, start });
    this.meter.busy(true);
    this.#send(FRAME.request, encodeRequest(id, file, start, length, request.credit));
    this.#watch();
    return request;
  }

  #frame(type: FrameType, payload: Buffer): void {
    if (type === FRAME.offer) this.#takeOffer(payload);
    else if (type === FRAME.catalogue) this.#takeCatalogue(payload);
    else if (type === FRAME.haveMap) this.#takeHeld((held) => held.map(payload));
    else if (type === FRAME.have) this.#takeHeld((held) => held.gained(payload));
    else if (type === FRAME.end) this.#requestOf(payload)?.end();
    else if (type === FRAME.refuse)
      this.#requestOf(payload)?.fail(readReason(payload.subarray(4), `${this.name} refuses`));
    else if (type === FRAME.ping) this.#takePing();
    else if (type === FRAME.pong) this.#takePong();
    else throw breach(`a giver does not send frames of type ${type}`);
  }

  #data(id: number, bytes: Buffer): void {
    const request = this.#requests.get(id);
    if (request) {
      this.meter.add(bytes.length);
      request.data(bytes);
      return;
    }
    this.#past.data(id, bytes.length);
  }

  #takeOffer(payload: Buffer): void {
    if (this.#offer) throw breach("it makes a second offer");
    this.#offer = readOffer(payload);
    this.#held = new HeldChunks(this.#offer);
    this.#host.offered(this);
  }

  #takeCatalogue(payload: Buffer): void {
    if (!this.#catalogue) throw breach("it sends a list of files that it was not asked for");
    this.#catalogue.take(payload, this.#heard);
  }

  /** The channel has answered it. */
  #takePing(): void {
    if (++this.#pings > MOST_PINGS) throw breach("it pings without an end");
  }

  #takePong(): void {
    if (--this.#pongs < 0) throw breach("it answers pings that were never sent");
  }

  #takeHeld(take: (held: HeldChunks) => void): void {
    if (!this.#held) throw breach("it says what it has before it offers anything");
    // Who has all had not, some time ago: such words are late, and change nothing.
    take(this.#held);
    this.#host.changed();
  }

  /** The request that a frame begins with; undefined if that has ended here. */
  #requestOf(payload: Buffer): LinkRequest | undefined {
    const id = payload.readUInt32BE(0);
    const request = this.#requests.get(id);
    if (request) return request;
    this.#past.ending(id);
    return undefined;
  }

  /** What is wrong with a frame ends the connection. */
  #guarded(take: () => void): void {
    if (this.#ended) return;
    this.#heard = this.#clock.monotonic();
    try {
      take();
    } catch (error) {
      this.close(asDownloadError(error));
    }
  }

  #send(type: FrameType, ...parts: readonly Uint8Array[]): void {
    // What a taker says is short, and bounded by what it asked for.
    if (!this.closed) void this.channel.send(type, ...parts);
  }

  #ping(): void {
    const silent = this.#clock.monotonic() - this.#heard;
    if (silent >= DEAD_MS) {
      this.close(failure("CONNECTION_LOST", `${this.name} has not been heard of for ${DEAD_MS / 1000} s`));
      return;
    }
    this.#timer("ping", PING_MS, () => this.#ping());
    this.#pings = 0;
    this.#pongs++;
    this.#send(FRAME.ping, Buffer.alloc(8));
  }

  /** Looks at what was asked for while there is any. */
  #watch(): void {
    if (this.#timers.has("look") || this.closed) return;
    this.#timer("look", LOOK_MS, () => {
      this.#look();
      if (this.#requests.size > 0 || this.#catalogue?.open) this.#watch();
    });
  }

  #look(): void {
    const stalled = (what: string): DownloadError =>
      failure("TIMED_OUT", `${this.name} sent no byte of ${what} for ${STALL_MS / 1000} s`);
    const catalogue = this.#catalogue;
    const idle = [...this.#requests.values()].filter((request) => request.idleMs >= STALL_MS);
    if (catalogue?.open && this.#clock.monotonic() - catalogue.last >= STALL_MS)
      this.close(stalled("its list of files"));
    // A peer of which nothing comes at all may be reached anew by another way.
    else if (idle.length > 0 && this.meter.idleMs >= STALL_MS) this.close(stalled("what it was asked for"));
    else {
      for (const request of idle) if (request.idleMs >= TURN_MS) request.fail(stalled("a range"));
      if (catalogue?.open) this.#host.late();
      for (const request of [...this.#requests.values()]) if (!this.#ended) this.#compare(request);
    }
  }

  /** Whoever is slow is left where another is that much quicker. */
  #compare(request: LinkRequest): void {
    const place = this.#places.get(request);
    const whole = this.meter.rate;
    if (request.held || !place || whole === undefined) return;
    const own = request.rate;
    const rate = own === undefined ? whole / this.load : Math.min(own, whole);
    const { left, received } = request;
    const others = this.#host.others(this, { file: place.file, position: place.start + received, left, rate });
    if (others !== "none" && own !== undefined && Math.max(own, whole) < LEAST_RATE)
      this.close(
        failure("TIMED_OUT", `${this.name} sends ${Math.round(whole)} bytes a second, where others give more`),
      );
    else if (others === "quicker") request.fail(new Overtaken("another peer has it sooner"));
  }

  #timer(name: string, ms: number, callback: () => void): void {
    this.#timers.get(name)?.();
    const cancel = this.#clock.timer(ms, () => {
      this.#timers.delete(name);
      callback();
    });
    this.#timers.set(name, cancel);
  }

  #end(reason: DownloadError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    const why = oneWord(reason);
    this.#catalogue?.fail(why);
    for (const request of [...this.#requests.values()]) request.fail(why);
    this.#host.ended(this, reason);
  }
}
