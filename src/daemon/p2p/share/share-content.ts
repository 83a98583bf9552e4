/**
 * A stored share, as it is given to peers: its catalogue comes from the database, its bytes from the files where they lie. One
 * that came from peers itself may have only some of its files yet.
 */
import { asDownloadError, failure } from "../../core/errors.ts";
import { chunkCount } from "../../core/manifest.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { GivenFiles } from "../give/giver-held.ts";
import type { Offer, Servable, ShareKeys } from "../types.ts";
import { catalogueRoot, decodeCatalogue } from "./catalogue.ts";
import { FetchCount } from "./fetch-count.ts";
import type { OpenFiles } from "./open-files.ts";
import { isOver, type SharedFile, type ShareRecord, type ShareStore } from "./share-store.ts";

/** Milliseconds for which a catalogue that nobody asks for stays in memory. */
const CATALOGUE_IDLE_MS = 30_000;

/** Files of which it is looked up together where they lie, and how many such lots are remembered. */
const NEIGHBOURS = 64;
const MOST_LOTS = 4;

/** What a stored share needs. */
export interface ShareContentParts {
  readonly keys: ShareKeys;
  readonly record: ShareRecord;
  readonly store: ShareStore;
  readonly files: OpenFiles;
  readonly clock: Clock;
  /** The record was changed. @param urgent - it is to survive a power cut */
  readonly onChanged: (content: ShareContent, urgent: boolean) => void;
}

/** {@link Servable} of a stored share. */
export class ShareContent implements Servable {
  readonly keys: ShareKeys;
  readonly #parts: ShareContentParts;
  /** Where files lie, with their neighbours: whoever wants one of many wants the next ones as well. */
  readonly #places = new Map<number, Promise<ReadonlyMap<number, SharedFile>>>();
  readonly #listeners = new Set<(file: number, chunk: number) => void>();
  readonly #count: FetchCount;
  #record: ShareRecord;
  #catalogue: Promise<Uint8Array> | undefined;
  #cancelForget: (() => void) | undefined;
  /** Of one that came from peers and has not all of its files yet. */
  #unfinished: { readonly files: GivenFiles; readonly here: Set<number> } | undefined;
  #problemFile: number | undefined;

  constructor(parts: ShareContentParts) {
    this.#parts = parts;
    this.#record = parts.record;
    this.keys = parts.keys;
    const { size, given = {} } = parts.record;
    this.#count = new FetchCount({ size, given, clock: parts.clock, onFetched: () => this.#fetched() });
  }

  get record(): ShareRecord {
    return this.#record;
  }

  /** As it is to be written, with what its peers were given. */
  get kept(): ShareRecord {
    return { ...this.#record, given: this.#count.accounts };
  }

  /** Its time has come, or it was fetched often enough. */
  get isOver(): boolean {
    return isOver(this.#record, this.#parts.clock.now());
  }

  get maxPeers(): number {
    return this.#record.maxPeers;
  }

  get encryption(): boolean {
    return this.#record.encryption;
  }

  /** The share was made anew as it was: where its files lie is looked up again. */
  renew(record: ShareRecord): void {
    this.#record = record;
    this.#problemFile = undefined;
    this.#places.clear();
  }

  /** Of one that came from peers: looks which of its files are here. @throws DownloadError SHARE_CHANGED */
  async readUnfinished(): Promise<void> {
    const files = (await decodeCatalogue(await this.catalogue())).map(({ size, chunkSize }) => ({ size, chunkSize }));
    const here = new Set<number>();
    for await (const [index] of this.#parts.store.files(this.#record.id)) here.add(index);
    this.#unfinished = { files, here };
    this.#finishIfWhole();
  }

  /** A file is here from now on. */
  gained(index: number): void {
    this.#places.delete(Math.floor(index / NEIGHBOURS));
    const file = this.#unfinished?.files[index];
    if (!file || this.#unfinished?.here.has(index)) return;
    this.#unfinished?.here.add(index);
    for (let chunk = 0; chunk < chunkCount(file.size, file.chunkSize); chunk++)
      for (const listener of this.#listeners) listener(index, chunk);
    this.#finishIfWhole();
  }

  offer(): Offer {
    const { kind, name, root, catalogueSize, fileCount, size } = this.#record;
    return { version: 1, kind, name, root, catalogueSize, fileCount, size, complete: this.#unfinished === undefined };
  }

  catalogue(): Promise<Uint8Array> {
    this.#catalogue ??= this.#readCatalogue();
    this.#cancelForget?.();
    this.#cancelForget = this.#parts.clock.timer(CATALOGUE_IDLE_MS, () => this.#forget());
    return this.#catalogue;
  }

  held(file: number): ReturnType<Servable["held"]> {
    if (!this.#unfinished || this.#unfinished.here.has(file)) return "all";
    const { chunkSize = 1, size = 0 } = this.#unfinished.files[file] ?? {};
    return { chunkSize, count: chunkCount(size, chunkSize), has: () => false };
  }

  onGained(listener: (file: number, chunk: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async read(file: number, position: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    try {
      const bytes = await this.#parts.files.read(await this.#place(file), position, length, into);
      if (this.#problemFile === file) this.#note(undefined, undefined);
      return bytes;
    } catch (error) {
      const { code, message } = asDownloadError(error);
      if (code === "SHARE_CHANGED" || code === "IO_ERROR") this.#note(file, message);
      throw error;
    }
  }

  /** True if a peer may begin, or go on: those that fetch it now leave a fetch over. */
  hasRoomFor(peerId: string): boolean {
    const { fetchCount, maxFetches = Number.POSITIVE_INFINITY } = this.#record;
    return this.#count.underWay(peerId) < maxFetches - fetchCount;
  }

  joined(peerId: string): () => void {
    return this.#count.joined(peerId);
  }

  sent(bytes: number, peerId: string): void {
    this.#record = { ...this.#record, sentBytes: this.#record.sentBytes + bytes };
    this.#parts.onChanged(this, this.#count.sent(peerId, bytes));
  }

  fetched(peerId: string): boolean {
    return this.#count.completed(peerId);
  }

  /** Lets go of memory and timers; it is not asked any more. */
  end(): void {
    this.#forget();
    this.#count.end();
    this.#listeners.clear();
  }

  #fetched(): void {
    this.#record = { ...this.#record, fetchCount: this.#record.fetchCount + 1 };
    this.#parts.onChanged(this, true);
  }

  #forget(): void {
    this.#cancelForget?.();
    this.#cancelForget = undefined;
    this.#catalogue = undefined;
  }

  async #readCatalogue(): Promise<Uint8Array> {
    const { id, root, name } = this.#record;
    const bytes = await this.#parts.store.catalogue(id);
    if (catalogueRoot(bytes) === root) return bytes;
    this.#forget();
    const why = `the list of files of ${JSON.stringify(name)} is damaged in the database`;
    this.#note(undefined, why);
    throw failure("SHARE_CHANGED", why);
  }

  async #place(index: number): Promise<SharedFile> {
    const lot = Math.floor(index / NEIGHBOURS);
    const found = (await (this.#places.get(lot) ?? this.#lookUp(lot))).get(index);
    if (found) return found;
    throw failure("SHARE_CHANGED", `nothing is known of file ${index} of ${JSON.stringify(this.#record.name)}`);
  }

  #lookUp(lot: number): Promise<ReadonlyMap<number, SharedFile>> {
    const read = async (): Promise<ReadonlyMap<number, SharedFile>> => {
      const places = new Map<number, SharedFile>();
      const files = this.#parts.store.files(this.#record.id, lot * NEIGHBOURS, (lot + 1) * NEIGHBOURS);
      for await (const [index, file] of files) places.set(index, file);
      return places;
    };
    const places = read();
    if (this.#places.size >= MOST_LOTS) this.#places.clear();
    this.#places.set(lot, places);
    places.catch(() => this.#places.delete(lot));
    return places;
  }

  #note(file: number | undefined, problem: string | undefined): void {
    this.#problemFile = file;
    if (problem === this.#record.problem) return;
    const { problem: _, ...rest } = this.#record;
    this.#record = { ...rest, ...(problem !== undefined && { problem }) };
    this.#parts.onChanged(this, false);
  }

  #finishIfWhole(): void {
    if (this.#unfinished && this.#unfinished.here.size >= this.#unfinished.files.length) this.#unfinished = undefined;
  }
}
