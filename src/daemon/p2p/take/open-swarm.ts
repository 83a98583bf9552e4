/**
 * A swarm with those who use it: it stays a while after the last of them, gives on what is fetched where that was asked for,
 * and tells those who gave when everything is here.
 */
import type { DownloadError } from "../../core/errors.ts";
import { asDownloadError } from "../../core/errors.ts";
import { chunkCount } from "../../core/manifest.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { HeldPart } from "../../core/ports/sources.ts";
import type { Channel, PeerNetwork, Servable } from "../types.ts";
import { DownloadServable } from "./download-servable.ts";
import type { SharedFiles } from "./file-lists.ts";
import type { SwarmUse } from "./peer-source.ts";
import type { Swarm } from "./swarm.ts";

/** Milliseconds for which a swarm stays that nobody uses: the next file of a folder, or another attempt, finds it. */
const LINGER_MS = 30_000;

/** The same for its peers, once everything is here: it may be looked at, and then asked for, again. */
const LEAVE_MS = 500;

/** The same while what was fetched is to be shared: the file is verified, worked on and put in its place first. */
const SHARING_LINGER_MS = 600_000;

/** What an open swarm needs. */
export interface OpenSwarmParts {
  readonly swarm: Swarm;
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Peers that may fetch what is given on. */
  readonly maxPeers: () => number;
  /** Gives over a channel. */
  readonly give: (channel: Channel, servable: Servable) => void;
  /** It has ended. */
  readonly onEnd: () => void;
}

/** A swarm that is open. */
export class OpenSwarm {
  readonly swarm: Swarm;
  readonly #parts: OpenSwarmParts;
  readonly #whole = new Set<number>();
  /** Attached before it was known what is shared. */
  readonly #early = new Set<() => void>();
  #users = 0;
  #cancelLinger: (() => void) | undefined;
  #sharing = false;
  #servable: DownloadServable | undefined;
  #publication: Promise<AsyncDisposable | undefined> | undefined;
  #ended = false;
  #complete = false;

  constructor(parts: OpenSwarmParts) {
    this.#parts = parts;
    this.swarm = parts.swarm;
  }

  /** How many use it. */
  get users(): number {
    return this.#users;
  }

  /** Somebody uses it until the answer is disposed of. @param share - what is fetched is given on */
  use(explicit: readonly string[], share: boolean): SwarmUse {
    this.#users++;
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
    this.#sharing ||= share;
    this.swarm.used(true);
    this.swarm.seek(explicit);
    let used = true;
    return {
      swarm: this.swarm,
      attach: (file, held) => this.#attach(file, held),
      [Symbol.dispose]: () => {
        if (!used) return;
        used = false;
        if (--this.#users === 0) this.#linger();
      },
    };
  }

  /** The finished share has taken over, in part or in whole. */
  handOver(successor: Servable): void {
    if (!this.#servable) return;
    this.#servable.handOver(successor);
    if (successor.offer().complete) void this.#unpublish();
  }

  /** Ends it at once. Never rejects. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelLinger?.();
    this.#parts.onEnd();
    await this.#unpublish();
    await this.swarm[Symbol.asyncDispose]().catch((error: unknown) => this.#log(asDownloadError(error)));
  }

  /** What is shared is known. */
  filesKnown({ entries }: SharedFiles): void {
    entries.forEach(({ size }, file) => {
      if (size === 0) this.#whole.add(file);
    });
    for (const begin of [...this.#early]) begin();
    this.#early.clear();
  }

  #linger(): void {
    this.swarm.used(false);
    const { clock } = this.#parts;
    // Others may wait for the place.
    const cancelLeave = this.#complete ? clock.timer(LEAVE_MS, () => this.swarm.leave()) : undefined;
    const ms = this.#sharing && this.#publication ? SHARING_LINGER_MS : LINGER_MS;
    const cancelEnd = clock.timer(ms, () => void this.end());
    this.#cancelLinger = () => {
      cancelLeave?.();
      cancelEnd();
    };
  }

  #attach(file: number, held: HeldPart): Disposable {
    let end: (() => void) | undefined;
    const begin = (): void => {
      const stop = this.#watch(file, held);
      const given = this.#give(file, held);
      end = () => {
        stop();
        given?.[Symbol.dispose]();
      };
    };
    // After a restart the engine may know the file before any peer is here.
    if (this.swarm.known) begin();
    else this.#early.add(begin);
    return {
      [Symbol.dispose]: () => {
        this.#early.delete(begin);
        end?.();
        end = undefined;
      },
    };
  }

  #give(file: number, held: HeldPart): Disposable | undefined {
    const files = this.swarm.known;
    if (!this.#sharing || !files || this.#ended) return undefined;
    const { clock, maxPeers, network, give } = this.#parts;
    const servable =
      this.#servable ?? new DownloadServable({ keys: this.swarm.keys, files, clock, maxPeers: maxPeers() });
    this.#servable = servable;
    const given = servable.attach(file, held);
    this.#publication ??= network
      .publish(servable, (channel) => give(channel, servable))
      .catch((error: unknown) => {
        this.#log(asDownloadError(error));
        return undefined;
      });
    return given;
  }

  /** Sees when a file is here as a whole. */
  #watch(file: number, held: HeldPart): () => void {
    const entry = this.swarm.known?.entries[file];
    if (!entry) return () => undefined;
    const missing = new Set<number>();
    for (let chunk = 0; chunk < chunkCount(entry.size, entry.chunkSize); chunk++)
      if (!held.done.has(chunk)) missing.add(chunk);
    const look = (): void => {
      if (missing.size === 0) this.#fileWhole(file);
    };
    look();
    return held.onGained((chunk) => {
      missing.delete(chunk);
      look();
    });
  }

  /** When all files are here, whoever gave some of it is told so, once. */
  #fileWhole(file: number): void {
    this.#whole.add(file);
    const files = this.swarm.known;
    if (this.#complete || !files || this.#whole.size < files.entries.length) return;
    this.#complete = true;
    for (const link of this.swarm.links) if (link.meter.total > 0) link.tellComplete();
  }

  async #unpublish(): Promise<void> {
    const publication = await this.#publication;
    this.#publication = undefined;
    try {
      await publication?.[Symbol.asyncDispose]();
    } catch (error) {
      this.#log(asDownloadError(error));
    }
  }

  #log({ code, message }: DownloadError): void {
    this.#parts.logger.warn({ share: this.swarm.keys.publicId, code }, `not given on: ${message}`);
  }
}
