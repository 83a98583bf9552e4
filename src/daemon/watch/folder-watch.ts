/**
 * One watch folder: sees lists come, waits until they are whole, has them taken one after the other and moves them to
 * done/. chokidar tells when something happens; a look at the whole folder now and then finds what it missed, and notices
 * when the folder goes away and comes back.
 */
import { mkdir, readdir, realpath, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import { asDownloadError } from "../core/errors.ts";
import type { ListTaker } from "../core/ports/intake.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import {
  bytesOf,
  choosePapers,
  DONE,
  isKeyOf,
  isListName,
  listKey,
  look,
  looksFinished,
  moveList,
  openList,
  signature,
} from "./list-file.ts";
import { remaining, type Sighting, sight } from "./settling.ts";

/** What a folder's watch needs of others. */
export interface FolderWatchParts {
  readonly lists: ListTaker;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds. */
  readonly settleMs: number;
  /** Milliseconds between looks at the whole folder. */
  readonly rescanMs: number;
}

/** A list that is waited for. */
interface Candidate {
  sighting: Sighting;
  cancelTimer: () => void;
  /** It is whole, and being taken or next in line. */
  queued: boolean;
}

/** Node gives such a name with substitutes, by which the file is not found. */
const NOT_UTF8 = "the list's name is not UTF-8, so it cannot be opened: rename it";

/** After its move a list is looked at once more: a writer that had it open may have gone on. In settling times. */
const LATE_LOOK = 5;

/** Watches one folder. */
export class FolderWatch implements AsyncDisposable {
  readonly path: string;
  readonly directory: () => string;
  readonly #parts: FolderWatchParts;
  readonly #candidates = new Map<string, Candidate>();
  /** Things that are no lists although they are called so; named in the log once. */
  readonly #strange = new Set<string>();
  readonly #stop = new AbortController();
  #watcher: FSWatcher | undefined;
  #folderId: string | undefined;
  #queue: Promise<void> = Promise.resolve();
  #inspection: Promise<void> | undefined;
  #cancelRescan: () => void = () => {};
  #settledLost = false;
  #folderProblem: string | undefined;
  #listProblem: string | undefined;
  listCount = 0;
  lastListAt: number | undefined;

  /** @param directory - where the files of its lists go, asked for each list */
  constructor(path: string, directory: () => string, parts: FolderWatchParts) {
    this.path = path;
    this.directory = directory;
    this.#parts = parts;
  }

  /** Why lists are not taken now. */
  get problem(): string | undefined {
    return this.#folderProblem ?? this.#listProblem;
  }

  /** Makes the folder if need be and begins to watch it. Does not throw: what is wrong becomes the `problem`. */
  async start(): Promise<void> {
    await mkdir(this.path, { recursive: true }).catch((error: unknown) =>
      this.#setProblem(asDownloadError(error).message),
    );
    await this.#inspect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#cancelRescan();
    for (const candidate of this.#candidates.values()) candidate.cancelTimer();
    await this.#inspection;
    await this.#watcher?.close();
    await this.#queue;
  }

  /** Looks at the whole folder, now if nobody is at it. */
  #inspect(): Promise<void> {
    this.#inspection ??= this.#inspectOnce().finally(() => {
      this.#inspection = undefined;
      if (this.#stop.signal.aborted) return;
      this.#cancelRescan();
      this.#cancelRescan = this.#parts.clock.timer(this.#parts.rescanMs, () => void this.#inspect());
    });
    return this.#inspection;
  }

  async #inspectOnce(): Promise<void> {
    try {
      const folder = await stat(this.path, { bigint: true });
      const names = await readdir(this.path);
      const id = `${folder.dev}:${folder.ino}`;
      if (this.#watcher === undefined || id !== this.#folderId) await this.#open(id);
      this.#setProblem(undefined);
      const lists = names.filter(isListName);
      await this.#settleLost(lists);
      for (const name of lists) await this.#look(name);
    } catch (error) {
      const { message } = asDownloadError(error);
      this.#setProblem(message);
      await this.#watcher?.close();
      this.#watcher = undefined;
    }
  }

  /**
   * Once: lists that an earlier process took and that are gone, since it died after their move, or somebody took them away
   * meanwhile. Their reports are to end too.
   */
  async #settleLost(names: readonly string[]): Promise<void> {
    if (this.#settledLost) return;
    const { lists } = this.#parts;
    const ours = lists.unsettled().filter(({ files }) => dirname(files.done) === join(this.path, DONE));
    if (ours.length > 0) {
      const found = await Promise.all(names.map((name) => look(join(this.path, name))));
      const signatures = found.flatMap((stats) => (stats ? [signature(stats)] : []));
      for (const { key } of ours) if (!signatures.some((there) => isKeyOf(key, there))) await lists.settle(key);
    }
    this.#settledLost = true;
  }

  #setProblem(problem: string | undefined): void {
    if (problem === this.#folderProblem) return;
    this.#folderProblem = problem;
    const { logger } = this.#parts;
    if (problem === undefined) logger.info({ folder: this.path }, "the folder is watched again");
    else logger.warn({ folder: this.path }, `the folder cannot be watched: ${problem}`);
  }

  async #open(id: string): Promise<void> {
    await this.#watcher?.close();
    const root = await realpath(this.path);
    if (this.#stop.signal.aborted) return;
    this.#watcher = watch(root, {
      depth: 0,
      followSymlinks: false,
      atomic: false,
      ignored: (path) => path !== root && !(dirname(path) === root && isListName(basename(path))),
    });
    this.#folderId = id;
    this.#watcher.on("all", (event, path) => {
      if (path === root) void (event === "unlinkDir" && this.#inspect());
      else void this.#look(basename(path));
    });
    this.#watcher.on("error", (error) => {
      this.#parts.logger.warn({ folder: this.path, err: error }, "watching failed; the folder is looked at again");
    });
  }

  /** Looks at one list: waits, or has it taken. Never throws. */
  async #look(name: string): Promise<void> {
    if (this.#stop.signal.aborted || this.#candidates.get(name)?.queued) return;
    try {
      const path = join(this.path, name);
      const stats = await look(path);
      if (stats === undefined) return name.includes("\ufffd") ? this.#nameStrange(name, NOT_UTF8) : this.#drop(name);
      if (!stats.isFile()) return this.#nameStrange(name, "not a regular file, so not a list: left alone");
      const finished = stats.size > 0n && (await looksFinished(path, stats.size));
      const candidate = this.#candidates.get(name);
      if (candidate?.queued || this.#stop.signal.aborted) return;
      candidate?.cancelTimer();
      const { clock, settleMs } = this.#parts;
      const monotonic = clock.monotonic();
      const sighting = sight(stats, candidate?.sighting, monotonic);
      const waiting: Candidate = { sighting, cancelTimer: () => {}, queued: false };
      this.#candidates.set(name, waiting);
      if (stats.size === 0n) return;
      const ms = remaining(stats, candidate?.sighting, sighting, { monotonic, now: clock.now(), settleMs, finished });
      if (ms > 0) waiting.cancelTimer = clock.timer(ms, () => void this.#look(name));
      else this.#enqueue(name, waiting);
    } catch (error) {
      this.#reportProblem(name, error);
    }
  }

  #drop(name: string): void {
    this.#candidates.get(name)?.cancelTimer();
    this.#candidates.delete(name);
    this.#strange.delete(name);
  }

  #nameStrange(name: string, what: string): void {
    if (this.#strange.has(name)) return;
    this.#strange.add(name);
    this.#parts.logger.warn({ folder: this.path, name }, what);
  }

  #enqueue(name: string, candidate: Candidate): void {
    candidate.queued = true;
    this.#queue = this.#queue.then(async () => {
      if (this.#stop.signal.aborted) return;
      try {
        const again = await this.#take(name, candidate.sighting.signature);
        this.#listProblem = undefined;
        this.#candidates.delete(name);
        if (again) await this.#look(name);
      } catch (error) {
        // Forgotten, so that the next look at the whole folder finds it again.
        this.#candidates.delete(name);
        if (!this.#stop.signal.aborted) this.#reportProblem(name, error);
      }
    });
  }

  #reportProblem(name: string, error: unknown): void {
    const { code, message } = asDownloadError(error);
    const problem = `${name}: ${message}`;
    if (problem !== this.#listProblem)
      this.#parts.logger.warn({ folder: this.path, list: name, code }, `the list could not be taken: ${message}`);
    this.#listProblem = problem;
  }

  /** @returns true if what stands under the name now has to be looked at again */
  async #take(name: string, settled: string): Promise<boolean> {
    const path = join(this.path, name);
    const file = await openList(path);
    try {
      const stats = await file.stat({ bigint: true });
      if (!stats.isFile() || signature(stats) !== settled) return true;
      const key = await listKey(file, stats, this.#stop.signal);
      const files = await choosePapers(this.path, name, (report) => this.#parts.lists.isReporting(report));
      await mkdir(dirname(files.done), { recursive: true });
      const taken = await this.#parts.lists.take({
        name,
        bytes: bytesOf(file),
        options: { directory: this.directory() },
        ledger: { key, files },
        signal: this.#stop.signal,
      });
      const again = await this.#putAway(path, key, settled, taken.files?.done ?? files.done);
      this.listCount++;
      this.lastListAt = this.#parts.clock.now();
      return again;
    } finally {
      await file.close();
    }
  }

  /** Moves a list that is taken, provided that it is still the one that was read. */
  async #putAway(path: string, key: string, settled: string, target: string): Promise<boolean> {
    const { lists, logger, clock, settleMs } = this.#parts;
    const now = await look(path);
    if (now === undefined || signature(now) !== settled) {
      logger.info(
        { list: path },
        now ? "the list changed while it was being taken: it is taken again" : "the list is gone",
      );
      await lists.settle(key);
      return now !== undefined;
    }
    const done = await moveList(path, target);
    await lists.settle(key);
    const moved = await look(done);
    if (moved && signature(moved) !== settled) return await this.#giveBack(done, path);
    if (moved) clock.timer(settleMs * LATE_LOOK, () => void this.#lookLate(done, path, settled));
    return false;
  }

  /** Another list was moved than the one that was read: a writer was quicker. It goes back to be read. */
  async #giveBack(done: string, path: string): Promise<boolean> {
    if ((await look(path)) === undefined) await rename(done, path);
    else this.#parts.logger.error({ list: done }, "a list was moved unread; drop it again");
    return true;
  }

  async #lookLate(done: string, path: string, settled: string): Promise<void> {
    try {
      const stats = this.#stop.signal.aborted ? undefined : await look(done);
      if (stats === undefined || signature(stats) === settled) return;
      this.#parts.logger.warn({ list: done }, "the list was written to after it had been taken: it is taken again");
      if (await this.#giveBack(done, path)) await this.#look(basename(path));
    } catch (error) {
      this.#reportProblem(basename(path), error);
    }
  }
}
