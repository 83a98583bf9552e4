/**
 * The folders that are watched: those of the configuration, and those that were added while the daemon ran, which are
 * kept in the store. A folder that cannot be watched now is listed with its problem and watched when it can be.
 */
import { access, constants, mkdir, realpath } from "node:fs/promises";
import { isAbsolute, join, resolve, sep } from "node:path";
import { failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { WatchFolderControl, WatchFolderState } from "../core/ports/followed.ts";
import type { ListTaker } from "../core/ports/intake.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { FolderWatch } from "./folder-watch.ts";
import { DONE, REJECTED } from "./list-file.ts";

const SPACE = "watch-folder";

/** A folder and where its files go; absolute. */
export interface WatchFolderOptions {
  readonly path: string;
  /** Absent: the daemon's download folder. */
  readonly directory?: string;
}

/** What the watch room can be set to. */
export interface WatchOptions {
  readonly folders: readonly WatchFolderOptions[];
  /** Where files go unless the folder says otherwise; absolute. Asked anew for each list. */
  readonly directory: () => string;
  /** A list is whole when it has not changed for so many milliseconds. */
  readonly settleMs: number;
  /** Milliseconds between looks at a whole folder; absent: 10,000. */
  readonly rescanMs?: number;
}

/** What the watch room needs of others. */
export interface WatchFoldersParts {
  readonly lists: ListTaker;
  readonly store: KeyValue;
  readonly options: WatchOptions;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A folder as it is registered. */
interface Registered extends WatchFolderOptions {
  readonly configured: boolean;
  /** Absent if it must not be watched. */
  readonly watch?: FolderWatch;
  readonly problem?: string;
}

/** Watches folders for lists. */
export class WatchFolders implements WatchFolderControl, Startable {
  readonly #parts: WatchFoldersParts;
  readonly #folders = new Map<string, Registered>();

  constructor(parts: WatchFoldersParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { options, logger } = this.#parts;
    const kept = await this.#keptFolders();
    for (const [folders, configured] of [[options.folders, true] as const, [kept, false] as const]) {
      for (const folder of folders) {
        const path = resolve(folder.path);
        if (this.#folders.has(path)) continue;
        const problem = this.#conflict(path, folder.directory);
        if (problem !== undefined) logger.error({ folder: path }, `the folder is not watched: ${problem}`);
        await this.#register({ ...folder, path, configured, ...(problem !== undefined && { problem }) });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#folders.values()].map((folder) => folder.watch?.[Symbol.asyncDispose]()));
  }

  /**
   * Where no download may put a file, since it would be taken for a list or for what became of one: the folders, and those
   * for papers inside of them. Also known before the start.
   */
  async guarded(): Promise<readonly string[]> {
    const kept = await this.#keptFolders();
    const paths = [...this.#parts.options.folders, ...kept].map(({ path }) => resolve(path));
    return [...new Set([...paths, ...this.#folders.keys()])].flatMap((path) => [
      path,
      join(path, DONE),
      join(path, REJECTED),
    ]);
  }

  list(): readonly WatchFolderState[] {
    return [...this.#folders.values()].map((folder) => this.#state(folder)).sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async add(path: string, directory?: string): Promise<WatchFolderState> {
    for (const folder of directory === undefined ? [path] : [path, directory])
      if (!isAbsolute(folder)) throw failure("WATCH_FOLDER_INVALID", `${folder} is not an absolute path`);
    const wanted: WatchFolderOptions = {
      path: resolve(path),
      ...(directory !== undefined && { directory: resolve(directory) }),
    };
    const known = this.#folders.get(wanted.path);
    if (known?.configured && wanted.directory !== undefined && wanted.directory !== this.#directory(known))
      throw failure("WATCH_FOLDER_INVALID", `${wanted.path} comes from the configuration: change its directory there`);
    if (known && (known.configured || known.directory === wanted.directory)) return this.#state(known);
    const problem = this.#conflict(wanted.path, wanted.directory);
    if (problem !== undefined) throw failure("WATCH_FOLDER_INVALID", `${wanted.path} cannot be watched: ${problem}`);
    await mkdir(wanted.path, { recursive: true });
    await access(wanted.path, constants.R_OK | constants.W_OK | constants.X_OK);
    await this.#refuseAlias(wanted.path);
    await known?.watch?.[Symbol.asyncDispose]();
    const { path: key, ...value } = wanted;
    await this.#parts.store.write([{ type: "put", space: SPACE, key, value: JSON.stringify(value) }], { sync: true });
    return this.#state(await this.#register({ ...wanted, configured: false }));
  }

  async remove(path: string): Promise<void> {
    const key = resolve(path);
    const folder = this.#folders.get(key);
    if (folder === undefined) throw failure("WATCH_FOLDER_INVALID", `${path} is not watched`);
    if (folder.configured)
      throw failure("WATCH_FOLDER_INVALID", `${path} comes from the configuration: take it out there`);
    await this.#parts.store.write([{ type: "del", space: SPACE, key }], { sync: true });
    this.#folders.delete(key);
    await folder.watch?.[Symbol.asyncDispose]();
  }

  /** Those that were added. */
  async #keptFolders(): Promise<readonly WatchFolderOptions[]> {
    const kept: WatchFolderOptions[] = [];
    for await (const [path, value] of this.#parts.store.entries(SPACE))
      kept.push({ ...(JSON.parse(value) as Omit<WatchFolderOptions, "path">), path });
    return kept;
  }

  async #register(folder: Registered): Promise<Registered> {
    if (folder.problem !== undefined) {
      this.#folders.set(folder.path, folder);
      return folder;
    }
    const { lists, clock, logger, options } = this.#parts;
    const parts = { lists, clock, logger, settleMs: options.settleMs, rescanMs: options.rescanMs ?? 10_000 };
    const watch = new FolderWatch(folder.path, () => this.#directory(folder), parts);
    const registered = { ...folder, watch };
    this.#folders.set(folder.path, registered);
    await watch.start();
    return registered;
  }

  #directory(folder: WatchFolderOptions): string {
    return folder.directory ?? this.#parts.options.directory();
  }

  #state(folder: Registered): WatchFolderState {
    const problem = folder.problem ?? folder.watch?.problem;
    const lastListAt = folder.watch?.lastListAt;
    return {
      path: folder.path,
      directory: this.#directory(folder),
      configured: folder.configured,
      listCount: folder.watch?.listCount ?? 0,
      ...(lastListAt !== undefined && { lastListAt }),
      ...(problem !== undefined && { problem }),
    };
  }

  /** Why a folder must not be watched beside the others: a list would be taken twice, or a download taken for a list. */
  #conflict(path: string, directory: string | undefined): string | undefined {
    if (this.#directory({ path, ...(directory !== undefined && { directory }) }) === path)
      return "its own downloads would be taken for lists";
    for (const other of this.#folders.values()) {
      if (other.path === path) continue;
      if (this.#directory(other) === path) return `the downloads of ${other.path} go there`;
      if (directory === other.path) return `its downloads would go to ${other.path}, which is watched`;
      for (const [outer, inner] of [[other.path, path] as const, [path, other.path] as const])
        for (const part of [DONE, REJECTED])
          if (isInside(join(outer, part), inner))
            return `${inner} lies in ${join(outer, part)}, which holds lists that are done`;
    }
    return undefined;
  }

  /** The same folder under another name would have its lists taken twice. */
  async #refuseAlias(path: string): Promise<void> {
    const real = await realpath(path);
    for (const other of this.#folders.keys()) {
      if (other === path || (await realpath(other).catch(() => other)) !== real) continue;
      throw failure("WATCH_FOLDER_INVALID", `${path} is ${other}, which is watched already`);
    }
  }
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}
