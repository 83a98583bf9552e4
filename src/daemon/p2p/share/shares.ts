/**
 * What is shared from here: makes shares, keeps them across restarts, publishes them, and ends them by time, by count, or when
 * a person says so. The secret of a code lies apart (secret-store.ts); everything here names a share by its public id.
 */
import { resolve } from "node:path";
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { Startable } from "../../core/lifecycle.ts";
import type { MadeShare, PeerSharing, ShareOptions, ShareProgress, ShareState } from "../../core/peers.ts";
import type { PlacedFile } from "../../core/ports/files.ts";
import type { KeyValue } from "../../core/ports/key-value.ts";
import type { ReceiptStore } from "../../core/ports/receipts.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { FileSharer } from "../../core/ports/sources.ts";
import type { Session } from "../../core/session.ts";
import { formatCode, makeCode, readCode } from "../code.ts";
import type { Seeder } from "../give/seeder.ts";
import { deriveKeys } from "../keys.ts";
import type { SecretStore } from "../secret-store.ts";
import { readShareUrl } from "../share-url.ts";
import type { PeerNetwork } from "../types.ts";
import { OpenFiles } from "./open-files.ts";
import { ShareContent } from "./share-content.ts";
import { type FetchedShares, fetchedShare } from "./share-fetched.ts";
import { checkShareOptions, findShare, knownFiles, sharedAgain, stateOf } from "./share-lookup.ts";
import { type KnownFile, type PreparedShare, prepareShare } from "./share-prepare.ts";
import { lastWord, SharePublisher } from "./share-publisher.ts";
import { isOver, type ShareRecord, ShareStore } from "./share-store.ts";
import type { OwnPlaces } from "./walk.ts";

/** What holds where a share does not say. */
interface ShareDefaults {
  readonly maxPeers: number;
  /** Milliseconds; 0: it never ends. */
  readonly expiresInMs: number;
}

/** What shares need. */
export interface SharesParts {
  readonly keyValue: KeyValue;
  readonly secrets: SecretStore;
  readonly network: Pick<PeerNetwork, "publish">;
  readonly seeder: Seeder;
  readonly receipts: Pick<ReceiptStore, "byPath" | "chunks">;
  readonly fetched: FetchedShares;
  readonly own: () => OwnPlaces;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly defaults: () => ShareDefaults;
}

/** Milliseconds after which counts are written that nobody needs at once. */
const LAZY_MS = 10_000;

/** The shares of this machine. */
export class Shares implements Startable, FileSharer, Pick<PeerSharing, "share" | "shares" | "codeOf" | "unshare"> {
  readonly #parts: SharesParts;
  readonly #store: ShareStore;
  readonly #files: OpenFiles;
  readonly #publisher: SharePublisher;
  /** By public id. */
  readonly #live = new Map<string, ShareContent>();
  /** Those of which something is lost, with what it is: they are listed, given to nobody, and can be ended. */
  readonly #damaged = new Map<string, ShareRecord>();
  readonly #dirty = new Set<ShareContent>();
  readonly #timers = new Map<string, () => void>();
  /** Making and ending wait for one another; hashing does not. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: SharesParts) {
    this.#parts = parts;
    this.#store = new ShareStore(parts.keyValue);
    this.#files = new OpenFiles(parts.clock);
    this.#publisher = new SharePublisher(parts);
  }

  /** Publishes what is stored and has not ended. */
  async start(): Promise<void> {
    const { logger, clock } = this.#parts;
    await this.#store.tidy();
    const records = await this.#store.all((id) => logger.warn({ share: id }, "a share cannot be read and is left out"));
    for (const record of records) {
      if (isOver(record, clock.now())) await this.#forget(record);
      else await this.#revive(record).catch((error: unknown) => this.#damage(record, asDownloadError(error)));
    }
    this.#watchEnds();
    await Promise.all([...this.#live.values()].map((content) => this.#publisher.publish(content)));
  }

  /** True if a share here needs the secret of this public id. */
  has(publicId: string): boolean {
    return this.#live.has(publicId) || this.#damaged.has(publicId);
  }

  async share(
    paths: readonly string[],
    options: ShareOptions,
    control: { readonly signal: AbortSignal; readonly onProgress?: (progress: ShareProgress) => void },
  ): Promise<MadeShare> {
    checkShareOptions(options);
    if (paths.includes("")) throw failure("SHARE_INVALID", "a path that is to be shared is empty");
    const absolute = [...new Set(paths.map((path) => resolve(path)))];
    const known = await this.#known(absolute);
    const { receipts, clock } = this.#parts;
    const prepared = await prepareShare(absolute, {
      name: options.name,
      fallbackName: `Files of ${new Date(clock.now()).toISOString().slice(0, 10)}`,
      known,
      receipts,
      own: this.#parts.own(),
      signal: control.signal,
      ...(control.onProgress && { onProgress: control.onProgress }),
    });
    const record = await this.#inTurn(async () => {
      control.signal.throwIfAborted();
      return (await this.#again(absolute, prepared, options)) ?? this.#make(absolute, prepared, options);
    });
    const code = await this.codeOf(record.id);
    return { state: this.#state(this.#required(record.id)), code, leftOut: prepared.leftOut };
  }

  async shares(): Promise<readonly ShareState[]> {
    this.#endOver();
    const damaged = [...this.#damaged.values()].map((record) => stateOf(record, 0, undefined));
    return [...[...this.#live.values()].map((content) => this.#state(content)), ...damaged].toSorted(
      (a, b) => a.createdAt - b.createdAt,
    );
  }

  async codeOf(share: string): Promise<string> {
    const id = this.#find(share);
    const secret = this.#parts.secrets.get(id);
    if (!secret) throw failure("SHARE_NOT_FOUND", `the code of share ${id} was removed; share it again`);
    return formatCode(secret);
  }

  async unshare(share: string): Promise<ShareState> {
    return this.#inTurn(async () => {
      const id = this.#find(share);
      const damaged = this.#damaged.get(id);
      if (damaged) {
        await this.#forget(damaged);
        this.#damaged.delete(id);
        return stateOf(damaged, 0, undefined);
      }
      const content = this.#required(id);
      const state = this.#state(content);
      await this.#end(content, lastWord(content, "the share was ended by its owner: ask for a new code"));
      return { ...state, peerCount: 0 };
    });
  }

  async shareFetched(session: Pick<Session, "url" | "options">, placed: PlacedFile): Promise<string> {
    const url = readShareUrl(session.url);
    if (url && (await this.#shareOn(url.publicId, url.file ?? 0, placed))) return url.publicId;
    const { state } = await this.share([placed.file.path], {}, { signal: new AbortController().signal });
    return state.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#turn.catch(() => undefined);
    for (const cancel of this.#timers.values()) cancel();
    await Promise.all([...this.#live.values()].map((content) => this.#withdraw(content)));
    await this.#writeDirty();
    await this.#files[Symbol.asyncDispose]();
  }

  /** @returns undefined if there is no such share */
  async #again(
    paths: readonly string[],
    prepared: PreparedShare,
    options: ShareOptions,
  ): Promise<ShareRecord | undefined> {
    const { defaults, clock } = this.#parts;
    const content = sharedAgain([...this.#live.values()], paths, prepared, options, defaults());
    if (!content || content.isOver) return undefined;
    const { expiresAt: _, problem: __, ...rest } = content.kept;
    const record = { ...rest, ...endOf(options, defaults(), clock.now()) };
    await this.#store.add(record, prepared.files, prepared.catalogue);
    content.renew(record);
    this.#watchEnds();
    return record;
  }

  async #make(paths: readonly string[], prepared: PreparedShare, options: ShareOptions): Promise<ShareRecord> {
    const { secrets, defaults, clock, logger } = this.#parts;
    const secret = readCode(makeCode());
    const { publicId } = deriveKeys(secret);
    const { kind, name, size, files, catalogue, root, leftOut } = prepared;
    const record: ShareRecord = {
      version: 1,
      id: publicId,
      name,
      kind,
      paths,
      size,
      fileCount: files.size,
      root,
      catalogueSize: catalogue.length,
      createdAt: clock.now(),
      ...endOf(options, defaults(), clock.now()),
      fetchCount: 0,
      ...(options.maxFetches !== undefined && { maxFetches: options.maxFetches }),
      maxPeers: options.maxPeers ?? defaults().maxPeers,
      encryption: options.encryption ?? true,
      sentBytes: 0,
    };
    secrets.keep(publicId, secret);
    await this.#store.add(record, files, catalogue);
    await this.#begin(record);
    logger.info({ share: publicId, files: files.size, bytes: size, leftOut: leftOut.length }, "a share was made");
    return record;
  }

  /** Publishes a new share; if that fails there is none. */
  async #begin(record: ShareRecord): Promise<void> {
    const content = await this.#revive(record);
    if (!content) throw failure("SHARE_NOT_FOUND", `the code of share ${record.id} is not there`);
    const problem = await this.#publisher.publish(content);
    if (problem) {
      await this.#end(content, failure("PEER_REFUSED", "the share was not made"));
      throw problem;
    }
    this.#watchEnds();
  }

  /** A file of a share that came from peers is here. @returns false if it is not what was shared there */
  async #shareOn(publicId: string, index: number, placed: PlacedFile): Promise<boolean> {
    const { secrets, fetched, defaults, clock } = this.#parts;
    const before = this.#live.get(publicId);
    const offered = before ? { offer: before.offer(), bytes: await before.catalogue() } : fetched.known(publicId);
    if (!offered || !secrets.get(publicId)) return false;
    const { maxPeers } = defaults();
    const share = await fetchedShare(publicId, index, placed, offered, {
      createdAt: clock.now(),
      ...endOf({}, defaults(), clock.now()),
      maxPeers,
    });
    if (!share) return false;
    return this.#inTurn(async () => {
      const known = this.#live.get(publicId);
      // It is shared from here in the first place.
      if (known && !known.record.fetched) return true;
      if (known) await this.#store.addFile(known.kept, index, share.file);
      else {
        await this.#store.add(share.record, new Map([[index, share.file]]), offered.bytes);
        await this.#begin(share.record);
      }
      const content = this.#required(publicId);
      content.gained(index);
      fetched.handOver(content);
      return true;
    });
  }

  /** @returns undefined if its secret is lost: nobody can prove its code any more */
  async #revive(record: ShareRecord): Promise<ShareContent | undefined> {
    const { secrets, clock, logger } = this.#parts;
    const secret = secrets.get(record.id);
    if (!secret) {
      logger.warn({ share: record.id }, "the code of a share is not there; the share has ended");
      await this.#forget(record);
      return undefined;
    }
    const content = new ShareContent({
      keys: deriveKeys(secret),
      record,
      store: this.#store,
      files: this.#files,
      clock,
      onChanged: (changed, urgent) => this.#changed(changed, urgent),
    });
    if (record.fetched) await content.readUnfinished();
    this.#live.set(record.id, content);
    this.#damaged.delete(record.id);
    return content;
  }

  /** One share that cannot be had keeps nobody from the others. */
  #damage(record: ShareRecord, { code, message }: DownloadError): void {
    this.#damaged.set(record.id, { ...record, problem: message });
    this.#parts.logger.error({ share: record.id, code }, `a share cannot be given: ${message}`);
  }

  async #withdraw(content: ShareContent): Promise<void> {
    content.end();
    await this.#publisher.withdraw(content);
  }

  async #end(content: ShareContent, reason: DownloadError): Promise<void> {
    const { record } = content;
    // It may have ended while this waited for its turn.
    if (this.#live.get(record.id) !== content) return;
    this.#live.delete(record.id);
    this.#dirty.delete(content);
    // First, so that this is what its peers hear.
    this.#parts.seeder.end(record.id, reason);
    const withdrawn = this.#withdraw(content);
    await Promise.all([withdrawn, this.#forget(record)]);
    this.#parts.logger.info({ share: record.id, why: reason.message }, "a share has ended");
  }

  async #forget(record: ShareRecord): Promise<void> {
    await this.#store.remove(record.id);
    // The code of one that was fetched may be needed to mend its files.
    if (!record.fetched) this.#parts.secrets.remove(record.id);
  }

  #changed(content: ShareContent, urgent: boolean): void {
    const { record } = content;
    if (this.#live.get(record.id) !== content) return;
    this.#dirty.add(content);
    if (content.isOver) this.#endOver();
    else if (urgent) void this.#writeDirty();
    else if (!this.#timers.has("write")) this.#later("write", LAZY_MS, () => void this.#writeDirty());
  }

  async #writeDirty(): Promise<void> {
    this.#timers.get("write")?.();
    this.#timers.delete("write");
    const contents = [...this.#dirty];
    this.#dirty.clear();
    try {
      await Promise.all(contents.map(({ kept }) => this.#store.update(kept, true)));
    } catch (error) {
      this.#parts.logger.warn({ error: asDownloadError(error).message }, "counts of shares could not be written");
    }
  }

  /** Ends what is over. */
  #endOver(): void {
    for (const content of this.#live.values()) {
      if (!content.isOver) continue;
      const reason = lastWord(
        content,
        "the share has ended: its time is over, or it was fetched as often as it may be",
      );
      void this.#inTurn(() => this.#end(content, reason)).catch((error: unknown) =>
        this.#parts.logger.warn({ error: asDownloadError(error).message }, "a share could not be ended"),
      );
    }
    this.#watchEnds();
  }

  #watchEnds(): void {
    const now = this.#parts.clock.now();
    const ends = [...this.#live.values()].flatMap(({ record }) =>
      record.expiresAt === undefined || record.expiresAt <= now ? [] : [record.expiresAt],
    );
    if (ends.length > 0) this.#later("ends", Math.min(...ends) - now, () => this.#endOver());
  }

  async #known(paths: readonly string[]): Promise<ReadonlyMap<string, KnownFile>> {
    const known = new Map<string, KnownFile>();
    for (const content of this.#live.values())
      if (!content.record.fetched && paths.some((path) => content.record.paths.includes(path)))
        for (const [path, file] of await knownFiles(this.#store, content)) known.set(path, file);
    return known;
  }

  /** The id of the share that is meant. */
  #find(share: string): string {
    return findShare([...this.#live.keys(), ...this.#damaged.keys()], share);
  }

  #required(id: string): ShareContent {
    const content = this.#live.get(id);
    if (!content) throw failure("SHARE_NOT_FOUND", `there is no share ${id} any more`);
    return content;
  }

  #state(content: ShareContent): ShareState {
    const { record } = content;
    return stateOf(record, this.#parts.seeder.peerCount(record.id), this.#publisher.problem(content));
  }

  #later(name: string, ms: number, callback: () => void): void {
    this.#timers.get(name)?.();
    if (this.#stopped) return;
    const cancel = this.#parts.clock.timer(ms, () => {
      this.#timers.delete(name);
      callback();
    });
    this.#timers.set(name, cancel);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(async () => {
      if (this.#stopped) throw failure("SHUTTING_DOWN", "the daemon is ending");
      return work();
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

function endOf(options: ShareOptions, defaults: ShareDefaults, now: number): { readonly expiresAt?: number } {
  const ms = options.expiresInMs ?? defaults.expiresInMs;
  return ms === 0 ? {} : { expiresAt: now + ms };
}
