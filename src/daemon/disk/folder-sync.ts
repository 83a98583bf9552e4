/**
 * Syncs folders in groups. A rename survives a power cut only when its folder is synced, and a sync covers every rename
 * before it: so whoever comes while one runs shares the next one.
 */
import { type Calls, POOLED } from "./calls.ts";
import { fileError } from "./file-error.ts";

/** File systems that cannot sync a folder say so; there is nothing more to be done then. */
const CANNOT = new Set(["EINVAL", "ENOTSUP", "EBADF", "EISDIR"]);

interface Folder {
  /** Those who come now and wait for the sync after the running one. */
  waiting: PromiseWithResolvers<void> | undefined;
}

/** Shares syncs between those who need one of the same folder. */
export class FolderSync {
  readonly #running = new Map<string, Folder>();
  #count = 0;

  /** Syncs that were made, for telling how many were shared. */
  get count(): number {
    return this.#count;
  }

  /** Resolves when every change to the folder's entries that was made before this call survives a power cut. */
  sync(path: string, calls: Calls = POOLED): Promise<void> {
    const running = this.#running.get(path);
    if (running) {
      running.waiting ??= Promise.withResolvers();
      return running.waiting.promise;
    }
    const folder: Folder = { waiting: undefined };
    this.#running.set(path, folder);
    return new Promise((resolve, reject) => {
      this.#run(path, folder, calls, (error) => (error ? reject(error) : resolve()));
    });
  }

  #run(path: string, folder: Folder, calls: Calls, done: (error: Error | undefined) => void): void {
    this.#count++;
    syncFolder(path, calls, (error) => {
      done(error);
      const { waiting } = folder;
      folder.waiting = undefined;
      if (waiting) this.#run(path, folder, calls, (failed) => (failed ? waiting.reject(failed) : waiting.resolve()));
      else this.#running.delete(path);
    });
  }
}

function syncFolder(path: string, calls: Calls, done: (error: Error | undefined) => void): void {
  calls.open(path, "r", 0, (error, descriptor) => {
    if (error) {
      done(fileError(error, "opening", path));
      return;
    }
    calls.fsync(descriptor, (failed) => {
      calls.closeSynced(descriptor, () => {
        done(failed && !CANNOT.has(failed.code ?? "") ? fileError(failed, "syncing", path) : undefined);
      });
    });
  });
}
