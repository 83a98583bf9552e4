/** A vault in a temporary folder, on a database in memory or a real one, for the tests of the cache. */
import { join } from "node:path";
import { CacheVault } from "../../src/daemon/cache/cache-vault.ts";
import type { VaultKind, VaultLimits } from "../../src/daemon/cache/vault.ts";
import type { KeyValue } from "../../src/daemon/core/ports/key-value.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";
import { RecordLogger } from "./record-logger.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { TestClock } from "./test-clock.ts";

/** The same limits for each kind. */
export function evenLimits(maxBytes: number, maxEntryBytes = maxBytes, total = 3 * maxBytes): VaultLimits {
  const kind = { maxBytes, maxEntryBytes };
  return { maxBytes: total, kinds: { metadata: kind, thumbnail: kind, fragment: kind } };
}

/** What a fixture is made with. */
export interface VaultFixtureOptions {
  readonly limits?: VaultLimits;
  readonly keyValue?: KeyValue;
  /** The cache's folder; default: a temporary one. */
  readonly directory?: string;
}

/** A vault and what it is made of. Disposal ends it and removes the temporary folder. */
export class VaultFixture implements AsyncDisposable {
  readonly directory: string;
  readonly keyValue: KeyValue;
  readonly clock: TestClock = new TestClock();
  readonly logger = new RecordLogger();
  limits: VaultLimits;
  vault: CacheVault;
  readonly #remove: () => Promise<void>;

  private constructor(directory: string, options: VaultFixtureOptions, remove: () => Promise<void>) {
    this.directory = directory;
    this.keyValue = options.keyValue ?? new MemoryKeyValue();
    this.limits = options.limits ?? evenLimits(1_000_000);
    this.#remove = remove;
    this.vault = this.make();
  }

  /** Makes and starts it. */
  static async start(options: VaultFixtureOptions = {}): Promise<VaultFixture> {
    const folder = options.directory === undefined ? await temporaryFolder() : undefined;
    const directory = options.directory ?? join(folder?.path ?? "", "cache");
    const fixture = new VaultFixture(directory, options, async () => folder?.[Symbol.asyncDispose]());
    await fixture.vault.start();
    return fixture;
  }

  /** Another vault of the same folder and database; not started. */
  make(keyValue = this.keyValue): CacheVault {
    const { directory, clock, logger } = this;
    return new CacheVault({ directory, keyValue, clock, logger, limits: () => this.limits });
  }

  /** Ends the vault and starts another one in its place. */
  async restart(): Promise<void> {
    await this.vault[Symbol.asyncDispose]();
    this.vault = this.make();
    await this.vault.start();
  }

  /** Where the body of a digest (hex) lies. */
  file(digest: string): string {
    const [first, second, rest] = [digest.slice(0, 2), digest.slice(2, 4), digest.slice(4)];
    return join(this.directory, "vault", "content-v2", "sha256", first, second, rest);
  }

  /** Entries and bytes of all kinds. */
  async totals(): Promise<{ readonly entries: number; readonly bytes: number }> {
    const stats = Object.values(await this.vault.stats());
    const sum = (pick: (kind: (typeof stats)[number]) => number) => stats.reduce((all, each) => all + pick(each), 0);
    return { entries: sum(({ entries }) => entries), bytes: sum(({ bytes }) => bytes) };
  }

  /** The text that is kept, or undefined. */
  async text(key: string, kind: VaultKind = "metadata"): Promise<string | undefined> {
    const found = await this.vault.get(kind, key);
    return found && Buffer.from(found.body).toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vault[Symbol.asyncDispose]();
    await this.#remove();
  }
}
