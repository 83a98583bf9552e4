/** A vault with many entries on a database of its own, as the daemon keeps it, and the keys to read them by. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CacheVault } from "../src/daemon/cache/cache-vault.ts";
import type { Logger } from "../src/daemon/core/ports/runtime.ts";
import { SystemClock } from "../src/daemon/os/clock.ts";
import { Store } from "../src/daemon/store/store.ts";
import { stop } from "./stop.ts";

/** Bytes of a body: a document about a file. */
export const BODY_BYTES = 4096;
/** Stores under way at once. */
const AT_ONCE = 16;

const nothing = (): void => undefined;
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };
const room = { maxBytes: 1e12, maxEntryBytes: 1e9 };
const limits = { maxBytes: 1e12, kinds: { metadata: room, thumbnail: room, fragment: room } };

/** A vault and its database, open. */
export class OpenVault implements AsyncDisposable {
  readonly store: Store;
  readonly vault: CacheVault;

  /** @param stateDir - of the database @param cacheDir - of the bodies */
  constructor(stateDir: string, cacheDir: string) {
    this.store = new Store({ directory: join(stateDir, "db"), logger: silent });
    const { keyValue } = this.store;
    const [clock, logger] = [new SystemClock(), silent];
    this.vault = new CacheVault({ directory: cacheDir, keyValue, clock, logger, limits: () => limits });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vault[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

/** The key of an entry, as long as URLs are. */
export const keyOf = (at: number): string => `https://media.example.org/watch/episodes/${at}?format=best&lang=en`;

/** Stores so many bodies, each another, by what `put` does with them. */
export async function fill(count: number, put: (key: string, body: Uint8Array) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) {
      stop.signal.throwIfAborted();
      await put(keyOf(at), randomBytes(BODY_BYTES));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
