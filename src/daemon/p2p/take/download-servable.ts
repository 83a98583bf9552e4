/**
 * A download under way that is given on: whoever else has the code may fetch from here what is here and proved. When a file
 * is finished it is moved to its place, and the share that is made of it takes over: peers that fetch it keep their channels,
 * and what they ask for in between waits.
 */
import { failure } from "../../core/errors.ts";
import { chunkCount } from "../../core/manifest.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { HeldPart } from "../../core/ports/sources.ts";
import type { Offer, Servable, ShareKeys } from "../types.ts";
import type { SharedFiles } from "./file-lists.ts";

/** Milliseconds in which a finished file is expected to be shared. */
const HANDOVER_MS = 60_000;

/** A file of which something is here, or was until just now. */
interface Part {
  readonly held: HeldPart;
  /** False: it is being moved to its place. */
  readable: boolean;
  forget: () => void;
}

/** What it is made of. */
export interface DownloadServableParts {
  readonly keys: ShareKeys;
  readonly files: SharedFiles;
  readonly clock: Clock;
  readonly maxPeers: number;
}

/** A {@link Servable} of parts that grow. */
export class DownloadServable implements Servable {
  readonly keys: ShareKeys;
  readonly maxPeers: number;
  readonly encryption = true;
  readonly #files: SharedFiles;
  readonly #clock: Clock;
  readonly #parts = new Map<number, Part>();
  readonly #listeners = new Set<(file: number, chunk: number) => void>();
  readonly #successors: Servable[] = [];
  readonly #waiting = new Set<() => void>();

  constructor({ keys, files, clock, maxPeers }: DownloadServableParts) {
    this.keys = keys;
    this.maxPeers = maxPeers;
    this.#files = files;
    this.#clock = clock;
  }

  /** A file is being fetched: what is here of it is given until the answer is disposed of. */
  attach(file: number, held: HeldPart): Disposable {
    this.#parts.get(file)?.forget();
    const part: Part = { held, readable: true, forget: () => stop() };
    const stop = held.onGained((chunk) => this.#gained(file, chunk));
    this.#parts.set(file, part);
    for (const chunk of held.done.keys()) this.#gained(file, chunk);
    return {
      [Symbol.dispose]: () => {
        if (!part.readable) return;
        stop();
        part.readable = false;
        const remove = (): void => {
          if (this.#parts.get(file) === part) this.#parts.delete(file);
        };
        const cancel = this.#clock.timer(HANDOVER_MS, remove);
        part.forget = cancel;
      },
    };
  }

  /** A share of the same has some or all of the files: what is not here any more is read from it. */
  handOver(successor: Servable): void {
    if (this.#successors.includes(successor)) return;
    this.#successors.push(successor);
    successor.onGained((file, chunk) => this.#gained(file, chunk));
    for (const wake of [...this.#waiting]) wake();
  }

  offer(): Offer {
    const complete = this.#successors.some((successor) => successor.offer().complete);
    return { ...this.#files.offer, complete };
  }

  catalogue(): Promise<Uint8Array> {
    return Promise.resolve(this.#files.bytes);
  }

  held(file: number): ReturnType<Servable["held"]> {
    const entry = this.#files.entries[file];
    const count = entry ? chunkCount(entry.size, entry.chunkSize) : 0;
    const others = this.#successors.map((successor) => successor.held(file));
    if (others.includes("all")) return "all";
    const done = this.#parts.get(file)?.held.done;
    return {
      chunkSize: entry?.chunkSize ?? 1,
      count,
      has: (chunk) => done?.has(chunk) === true || others.some((other) => other !== "all" && other.has(chunk)),
    };
  }

  onGained(listener: (file: number, chunk: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async read(file: number, position: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    for (;;) {
      const part = this.#parts.get(file);
      if (part?.readable) {
        try {
          return await part.held.read(position, length);
        } catch (error) {
          // It was moved to its place meanwhile.
          if (part.readable) throw error;
        }
        continue;
      }
      const successor = this.#successors.find((one) => hasAll(one.held(file), position, length));
      if (successor) return await successor.read(file, position, length, into);
      if (!part) throw failure("PEER_REFUSED", "these bytes are not here now");
      await this.#handedOver();
    }
  }

  sent(bytes: number, peerId: string): void {
    this.#successors.at(-1)?.sent(bytes, peerId);
  }

  fetched(peerId: string): boolean {
    return this.#successors.at(-1)?.fetched(peerId) ?? false;
  }

  #gained(file: number, chunk: number): void {
    for (const listener of [...this.#listeners]) listener(file, chunk);
  }

  #handedOver(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#waiting.delete(end);
        resolve();
      };
      // The part is forgotten by then.
      const cancel = this.#clock.timer(HANDOVER_MS, end);
      this.#waiting.add(end);
    });
  }
}

function hasAll(held: ReturnType<Servable["held"]>, position: number, length: number): boolean {
  if (held === "all") return true;
  for (let chunk = Math.floor(position / held.chunkSize); chunk * held.chunkSize < position + length; chunk++)
    if (!held.has(chunk)) return false;
  return true;
}
