/**
 * Makes renames durable: a new name is safe only when its folder is synced. Callers that come while a sync of the same
 * folder is under way share the next one, which is what lets thousands of small files a second through.
 */
import { open } from "node:fs/promises";

interface Turn {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

/** Syncs folders in groups. */
export class FolderSync {
  readonly #turns = new Map<string, Turn>();

  /** Resolves when everything that was renamed into the folder before the call survives a power cut. */
  sync(directory: string): Promise<void> {
    const turn = this.#turns.get(directory);
    if (!turn) return this.#begin(directory);
    // The one under way may have begun before the caller's rename: only the one after it will do.
    turn.next ??= turn.running.catch(() => undefined).then(() => this.#begin(directory));
    return turn.next;
  }

  #begin(directory: string): Promise<void> {
    const running = syncFolder(directory);
    const turn: Turn = { running, next: undefined };
    this.#turns.set(directory, turn);
    const end = (): void => {
      if (this.#turns.get(directory) === turn && !turn.next) this.#turns.delete(directory);
    };
    running.then(end, end);
    return running;
  }
}

async function syncFolder(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
