/**
 * The giver's end of one channel: says what there is, hands out the catalogue, and answers requests as far as credit was
 * granted. A few pieces are read ahead, so that the disk and the connection work at the same time; never more than credit
 * allows, so that a peer that takes nothing costs nothing. All that comes from the peer is hostile until checked: whatever
 * breaks the protocol throws, and the channel ends.
 */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { RateLimit } from "../../core/rate-limit.ts";
import { type Channel, type ChannelHandlers, FRAME, type FrameType, type Servable } from "../types.ts";
import { type GivenFile, type GivenFiles, sendHeld } from "./giver-held.ts";
import { Patience } from "./giver-patience.ts";
import { PIECE, type ReadAhead, readRequest, type Wanted } from "./giver-request.ts";
import { changed, forPeer, misbehaved, number32, readNumber, words } from "./giver-words.ts";
import { type Request, RequestQueue } from "./request-queue.ts";
import { VainReads } from "./vain-reads.ts";

/** With an upload limit pieces are smaller: so many a second at least, if that is not below the least. */
const PIECES_PER_SECOND = 8;
const LEAST_PIECE = 16 * 1024;

/** Pieces that are read ahead on a channel. */
const AHEAD = 4;

/** A catalogue goes on where it broke off; more often than this nobody needs it. */
const MOST_CATALOGUES = 16;

/** What givers share. */
export interface GiverParts {
  readonly clock: Clock;
  /** Of all channels together. */
  readonly limit: RateLimit;
  readonly ahead: ReadAhead;
  readonly files: (servable: Servable) => Promise<GivenFiles>;
  /** It has ended; called once. */
  readonly onClosed: (giver: Giver) => void;
  /** The peer says that it has all of it; called once. */
  readonly onComplete: (giver: Giver) => void;
}

interface Piece {
  readonly request: Request;
  readonly length: number;
  readonly last: boolean;
  /** Where its bytes may be; freed once. */
  readonly memory: Uint8Array;
  readonly bytes: Promise<Uint8Array | DownloadError>;
}

/** One peer that takes. */
export class Giver implements ChannelHandlers {
  readonly channel: Channel;
  readonly servable: Servable;
  readonly #parts: GiverParts;
  readonly #patience: Patience;
  readonly #vain: VainReads;
  readonly #stop = new AbortController();
  readonly #requests = new RequestQueue();
  readonly #pieces: Piece[] = [];
  #pumping = false;
  #catalogues = 0;
  #catalogueGoing = false;
  #complete = false;
  #stopGained: (() => void) | undefined;

  constructor(channel: Channel, servable: Servable, parts: GiverParts) {
    this.channel = channel;
    this.servable = servable;
    this.#parts = parts;
    this.#patience = new Patience(parts.clock, channel);
    this.#vain = new VainReads(parts.clock);
  }

  /** Begins: the offer goes first. */
  start(): void {
    const offer = this.servable.offer();
    void this.channel.send(FRAME.offer, Buffer.from(JSON.stringify(offer)));
    if (!offer.complete) this.#tellHeld();
    this.#patience.start();
    this.channel.start(this);
  }

  frame(type: FrameType, payload: Buffer): void {
    this.#patience.heard(type === FRAME.credit);
    switch (type) {
      case FRAME.request:
        this.#ask(payload);
        break;
      case FRAME.credit:
        this.#grant(payload);
        break;
      case FRAME.cancel:
        this.#cancel(readNumber(payload, 4));
        break;
      case FRAME.catalogueRequest:
        this.#askCatalogue(payload);
        break;
      case FRAME.complete:
        this.#completed();
        break;
      case FRAME.ping:
      case FRAME.pong:
        // The channel answers pings.
        break;
      default:
        throw misbehaved(`a taker does not send frames of type ${type}`);
    }
  }

  data(): void {
    throw misbehaved("a taker sends no data");
  }

  closed(_reason: DownloadError): void {
    this.#stop.abort();
    this.#patience.stop();
    this.#stopGained?.();
    this.#requests.clear();
    for (const _ of this.#pieces.splice(0)) this.#parts.ahead.leave();
    this.#parts.onClosed(this);
  }

  #ask(payload: Buffer): void {
    const request = this.#requests.add(readRequest(payload));
    void this.#admit(request);
  }

  /** Looks whether what is asked for is there, then lets it have turns. */
  async #admit(request: Request): Promise<void> {
    const { file, end } = request;
    try {
      const files = await this.#parts.files(this.servable);
      if (!this.#requests.has(request)) return;
      const found = files[file];
      if (!found || end > found.size)
        throw misbehaved(`there are no bytes ${request.start} to ${end} of a file ${file}`);
      if (!isHeld(this.servable, file, found, request)) return this.#refuse(request, notHere());
      request.admitted = true;
      this.#pump();
    } catch (error) {
      this.#fail(error);
    }
  }

  #grant(payload: Buffer): void {
    const request = this.#requests.get(readNumber(payload, 8));
    if (!request) return;
    // What is granted beyond its end is of no use.
    request.credit = Math.min(request.credit + payload.readUInt32BE(4), Number.MAX_SAFE_INTEGER);
    this.#pump();
  }

  #completed(): void {
    if (this.#complete) return;
    this.#complete = true;
    this.#parts.onComplete(this);
  }

  #cancel(id: number): void {
    const request = this.#requests.get(id);
    // It may have been answered whole just now.
    if (request) this.#requests.drop(request);
  }

  #refuse(request: Request, error: DownloadError): void {
    const taken = this.channel.send(FRAME.refuse, number32(request.id), words(error));
    if (taken !== undefined) {
      request.pending++;
      void this.#patience.inTime(taken).then(() => this.#requests.settle(request));
    }
    this.#requests.drop(request);
  }

  /** Begins to read as far ahead as may be. */
  #readAhead(): void {
    while (this.#pieces.length < AHEAD && this.#parts.ahead.mayEnter(this.#pieces.length)) {
      const request = this.#requests.next();
      if (!request) return;
      const length = Math.min(this.#pieceSize(), request.credit, request.end - request.position);
      const { file, position } = request;
      request.position += length;
      request.credit -= length;
      request.pending++;
      this.#parts.ahead.enter();
      const memory = this.#parts.ahead.memory();
      const bytes = this.servable.read(file, position, length, memory).then(
        (found) => (found.length === length ? found : changed()),
        (error: unknown) => asDownloadError(error),
      );
      this.#pieces.push({ request, length, last: request.position === request.end, memory, bytes });
    }
  }

  #pieceSize(): number {
    const { rate } = this.#parts.limit;
    return rate === 0 ? PIECE : Math.max(LEAST_PIECE, Math.min(Math.floor(rate / PIECES_PER_SECOND), PIECE));
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#giveAll();
  }

  async #giveAll(): Promise<void> {
    try {
      for (;;) {
        this.#readAhead();
        const piece = this.#pieces[0];
        if (!piece || this.channel.closed) break;
        const bytes = await piece.bytes;
        this.#requests.settle(piece.request);
        // Closed meanwhile: nothing is counted any more.
        if (this.#pieces[0] !== piece) break;
        await this.#give(piece, bytes);
        if (this.#pieces[0] !== piece) break;
        this.#pieces.shift();
        this.#parts.ahead.leave();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = false;
    }
  }

  async #give({ request, last, length, memory }: Piece, bytes: Uint8Array | DownloadError): Promise<void> {
    const wanted = (): boolean => this.#requests.has(request);
    if (wanted() && bytes instanceof Uint8Array) await this.#parts.limit.pass(length, this.#stop.signal);
    const free = (): void => this.#parts.ahead.free(memory);
    if (!wanted() || !(bytes instanceof Uint8Array)) {
      free();
      if (wanted() && !(bytes instanceof Uint8Array)) this.#refuse(request, bytes);
      else await this.#vain.wasted(length, this.#stop.signal);
      return;
    }
    const taken = this.channel.sendData(number32(request.id), bytes, free);
    this.servable.sent(length, this.channel.peerId);
    this.#vain.sent(length);
    if (last) {
      this.#requests.drop(request);
      void this.channel.send(FRAME.end, number32(request.id));
    }
    await this.#patience.inTime(taken);
  }

  #askCatalogue(payload: Buffer): void {
    const from = readNumber(payload, 4);
    if (from > this.servable.offer().catalogueSize) throw misbehaved("the catalogue is not that long");
    if (this.#catalogueGoing) throw misbehaved("the catalogue is on its way already");
    if (++this.#catalogues > MOST_CATALOGUES) throw misbehaved("the catalogue was asked for too often");
    this.#catalogueGoing = true;
    void this.#giveCatalogue(from);
  }

  async #giveCatalogue(from: number): Promise<void> {
    try {
      const bytes = await this.servable.catalogue();
      for (let at = from; at < bytes.length && !this.channel.closed; at += PIECE) {
        const piece = bytes.subarray(at, at + PIECE);
        await this.#parts.limit.pass(piece.length, this.#stop.signal);
        await this.#patience.inTime(this.channel.send(FRAME.catalogue, piece));
      }
      this.#catalogueGoing = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  #tellHeld(): void {
    const { stop, done } = sendHeld(this.servable, this.#parts.files, (type, ...parts) =>
      this.#patience.inTime(this.channel.send(type, ...parts)),
    );
    this.#stopGained = stop;
    done.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (!this.channel.closed) this.channel.close(forPeer(asDownloadError(error)));
  }
}

function isHeld(servable: Servable, file: number, { chunkSize }: GivenFile, { start, end }: Wanted): boolean {
  const held = servable.held(file);
  if (held === "all") return true;
  for (let chunk = Math.floor(start / chunkSize); chunk * chunkSize < end; chunk++) if (!held.has(chunk)) return false;
  return true;
}

const notHere = (): DownloadError => failure("PEER_REFUSED", "these bytes are not here yet");
