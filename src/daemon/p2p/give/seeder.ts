/**
 * Gives what is shared to whoever has proved the code: one giver for each channel, and an upload limit over all of
 * them.
 */
import { type DownloadError, failure } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import { RateLimit } from "../../core/rate-limit.ts";
import { decodeCatalogue } from "../share/catalogue.ts";
import type { Channel, Servable } from "../types.ts";
import { Giver } from "./giver.ts";
import type { GivenFiles } from "./giver-held.ts";
import { ReadAhead } from "./giver-request.ts";

/** What a seeder needs. */
export interface SeederParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bytes a second over all channels; 0: unlimited. */
  readonly uploadLimit: number;
}

/** Serves channels in the role of the giver. */
export class Seeder implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limit: RateLimit;
  readonly #ahead = new ReadAhead();
  readonly #givers = new Set<Giver>();
  /** Read once for all peers of a share. */
  readonly #files = new WeakMap<Servable, Promise<GivenFiles>>();
  #ended = false;

  constructor({ clock, logger, uploadLimit }: SeederParts) {
    this.#clock = clock;
    this.#logger = logger;
    this.#limit = new RateLimit(clock, uploadLimit);
  }

  /** Bytes a second over all channels, 0 for unlimited; holds at once. */
  setUploadLimit(bytesPerSecond: number): void {
    this.#limit.set(bytesPerSecond);
  }

  /** Gives over a channel until it ends. */
  serve(channel: Channel, servable: Servable): void {
    if (this.#ended) {
      channel.close(ending());
      return;
    }
    const left = servable.joined?.(channel.peerId);
    const giver = new Giver(channel, servable, {
      clock: this.#clock,
      limit: this.#limit,
      ahead: this.#ahead,
      files: (of) => this.#filesOf(of),
      onClosed: (ended) => {
        left?.();
        this.#closed(ended);
      },
      onComplete: (complete) => this.#complete(complete),
    });
    this.#givers.add(giver);
    giver.start();
  }

  /** Peers of a share that are served now. */
  peerCount(publicId: string): number {
    return this.#of(publicId).length;
  }

  /** Ends the channels of a share; its peers are told why. */
  end(publicId: string, reason: DownloadError): void {
    for (const { channel } of this.#of(publicId)) channel.close(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    for (const { channel } of this.#givers) channel.close(ending());
  }

  #closed(giver: Giver): void {
    this.#givers.delete(giver);
    if (this.#givers.size === 0) this.#ahead.rest();
  }

  #of(publicId: string): Giver[] {
    return [...this.#givers].filter(({ channel }) => channel.publicId === publicId);
  }

  #complete({ channel, servable }: Giver): void {
    if (!servable.fetched(channel.peerId)) return;
    this.#logger.info({ share: channel.publicId, peer: channel.peerId }, "a peer has fetched all of a share");
  }

  #filesOf(servable: Servable): Promise<GivenFiles> {
    const known = this.#files.get(servable);
    if (known !== undefined) return known;
    const read = servable
      .catalogue()
      .then((bytes) => decodeCatalogue(bytes))
      .then((entries) => entries.map(({ size, chunkSize }) => ({ size, chunkSize })));
    this.#files.set(servable, read);
    read.catch(() => this.#files.delete(servable));
    return read;
  }
}

/** Its peers do well to come back. */
const ending = (): DownloadError => failure("SHUTTING_DOWN", "the daemon is ending");
