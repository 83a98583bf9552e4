/**
 * The one database of the daemon: opened, locked, checked for damage, migrated, handed out as a `KeyValue`.
 *
 * It never starts silently empty. A new database is made beside its place and moved there whole, so that one which is in
 * place has a version inside it; one without was damaged.
 */
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Level } from "level";
import { failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";
import { removeCloseNote, writeCloseNote } from "./close-note.ts";
import { LevelKeyValue } from "./level-key-value.ts";
import { hasDatabaseFiles, scanDatabase } from "./log-scan.ts";
import { renewLog } from "./renew-log.ts";
import { keepCopy, repairDatabase, restoreCopy } from "./salvage.ts";
import { META, MIGRATIONS, type Migration, migrate, stampVersion, storedVersion } from "./versions.ts";

/**
 * LevelDB's own write buffer, and half of its cache: twice and four times as much cost 20 MB in a long list, and gained no
 * time that could be measured. Tables are mapped into memory while they are open, and all of their pages that were read
 * count as the process's: so only 64 of them (LevelDB's least, and ten other files) are, 128 MiB at most, where a million
 * sessions have 150.
 */
const TUNING = { writeBufferSize: 4 * 1024 * 1024, cacheSize: 4 * 1024 * 1024, maxOpenFiles: 74 };
/** Left in the database's folder when damage was met while running. */
const REPAIR_MARK = "REPAIR";
const REPAIRS_KEY = "repairs";

/** Settings of the store. */
export interface StoreOptions {
  /** Absolute folder of the database; its parent is made if it does not exist. */
  readonly directory: string;
  readonly logger: Logger;
  /** The way from older layouts; the default is Snatch's own. */
  readonly migrations?: readonly Migration[];
}

/** The database. */
export class Store implements Startable {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #migrations: readonly Migration[];
  #open: { readonly level: Level; readonly keyValue: LevelKeyValue } | undefined;

  constructor(options: StoreOptions) {
    this.#directory = options.directory;
    this.#logger = options.logger;
    this.#migrations = options.migrations ?? MIGRATIONS;
  }

  /** The spaces. May be handed on before the start; calls before it and after the end are refused with SHUTTING_DOWN. */
  readonly keyValue: KeyValue = this.#facade();

  /**
   * Opens the database; makes it if there is none.
   * @throws DownloadError ALREADY_RUNNING, STORE_NEWER, STORE_CORRUPT (the message names the copy that was kept)
   */
  async start(): Promise<void> {
    const directory = this.#directory;
    await mkdir(dirname(directory), { recursive: true, mode: 0o700 });
    if (!(await hasDatabaseFiles(directory))) await this.#create();
    await this.#keepPrivate();
    const damage = await scanDatabase(directory);
    const marked = await stat(join(directory, REPAIR_MARK)).catch(() => undefined);
    if (damage.length === 0 && marked === undefined) {
      const problem = await this.#tryOpen(false);
      if (problem !== undefined) await this.#salvage([problem], false);
    } else {
      const problems = damage.map(({ file, problem }) => `${file} ${problem}`);
      await this.#salvage(
        [...problems, ...(marked ? ["damage was met while it was in use"] : [])],
        marked !== undefined,
      );
    }
    const { keyValue } = this.#opened();
    try {
      await migrate(keyValue, this.#migrations, directory, this.#logger);
      keyValue.repairs = Number((await keyValue.get(META, REPAIRS_KEY)) ?? 0);
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  /** Gives room back that deleted entries take. */
  async compact(): Promise<void> {
    const { level } = this.#opened();
    // The types of `level` leave it out because browsers do not have it.
    const compactable = level as unknown as { compactRange(start: string, end: string): Promise<void> };
    await compactable.compactRange("\u0000", "\u{10ffff}");
  }

  /** Bytes on the disk. */
  async sizeBytes(): Promise<number> {
    return directorySize(this.#directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open === undefined) return;
    await this.#close();
    await writeCloseNote(this.#directory);
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.keyValue.end();
    await open?.level.close();
  }

  #facade(): KeyValue {
    const open = () => this.#opened().keyValue;
    return {
      get: async (space, key) => open().get(space, key),
      getMany: async (space, keys) => open().getMany(space, keys),
      entries: (space, range) => open().entries(space, range),
      write: async (writes, options) => open().write(writes, options),
      compact: async (space) => open().compact(space),
      get repairs() {
        return open().repairs;
      },
    };
  }

  #opened(): { level: Level; keyValue: LevelKeyValue } {
    if (this.#open === undefined) throw failure("SHUTTING_DOWN", "the database is not open");
    return this.#open;
  }

  /** LevelDB makes its files with the umask; that nobody else reads the URLs in them is the folder's doing. */
  async #keepPrivate(): Promise<void> {
    const directory = this.#directory;
    if (((await stat(directory)).mode & 0o077) === 0) return;
    await chmod(directory, 0o700).catch((error: unknown) =>
      this.#logger.warn({ err: error, directory }, "others may read the database, and that could not be changed"),
    );
  }

  /** Makes a database beside its place and moves it there. */
  async #create(): Promise<void> {
    const draft = `${this.#directory}.new-${process.pid}`;
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { mode: 0o700 });
    const level = new Level(draft, TUNING);
    await level.open();
    const keyValue = new LevelKeyValue(
      level,
      () => undefined,
      () => renewLog(level, draft),
      () => directorySize(draft),
    );
    await stampVersion(keyValue, this.#migrations);
    await level.close();
    try {
      await rename(draft, this.#directory);
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      // Another process was faster: whose database it is shows when it is opened.
      if (!(await hasDatabaseFiles(this.#directory))) throw error;
    }
  }

  /**
   * Opens what is there.
   * @param damaged - it is known to be: then an error of reading is one more sign, else it is the machine's
   * @returns why it cannot be used as it is
   * @throws DownloadError ALREADY_RUNNING, IO_ERROR
   */
  async #tryOpen(damaged: boolean): Promise<string | undefined> {
    await removeCloseNote(this.#directory);
    const level = new Level(this.#directory, { ...TUNING, createIfMissing: false });
    try {
      await level.open();
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      if (cause?.code === "LEVEL_LOCKED")
        throw failure("ALREADY_RUNNING", `another process uses the database ${this.#directory}`, {
          cause: error,
          metadata: { directory: this.#directory },
        });
      if (!damaged && cause?.code === "LEVEL_IO_ERROR" && !/no such file/i.test(cause.message))
        throw failure("IO_ERROR", `the database ${this.#directory} cannot be opened: ${cause.message}`, {
          cause: error,
        });
      return cause?.message ?? (error as Error).message;
    }
    const keyValue = this.#keyValueOf(level);
    if ((await storedVersion(keyValue).catch(() => undefined)) === undefined) {
      await level.close();
      return "it has no version";
    }
    this.#open = { level, keyValue };
    return undefined;
  }

  /**
   * Keeps a copy and opens what can be saved.
   *
   * A damaged log is no obstacle to opening: LevelDB leaves out what is damaged, which loses less than a repair does.
   * @param repair - even if it can be opened
   */
  async #salvage(problems: readonly string[], repair: boolean): Promise<void> {
    const directory = this.#directory;
    const copy = await keepCopy(directory, new Date());
    try {
      // Opened even where it is repaired anyway: only that shows whether another process uses it.
      const problem = await this.#tryOpen(true);
      if (repair || problem !== undefined) {
        await this.#close();
        await rm(join(directory, REPAIR_MARK), { force: true });
        await repairDatabase(directory);
        await this.#openRepaired();
      }
    } catch (error) {
      // The other process's files only looked damaged because it was writing them.
      if (copy.made && (error as { code?: string }).code === "ALREADY_RUNNING")
        await rm(copy.path, { recursive: true, force: true });
      throw error;
    }
    const entries = await this.#census().catch((error: unknown) => this.#giveUp(problems, copy.path, error));
    if (Object.keys(entries).every((space) => space === META)) await this.#giveUp(problems, copy.path);
    const { keyValue } = this.#opened();
    if ((await storedVersion(keyValue)) === undefined) await stampVersion(keyValue, this.#migrations);
    const repairs = Number((await keyValue.get(META, REPAIRS_KEY)) ?? 0) + 1;
    await keyValue.write([{ type: "put", space: META, key: REPAIRS_KEY, value: String(repairs) }], { sync: true });
    this.#logger.error(
      { directory, problems, copy: copy.path, recovered: entries },
      `the database was damaged (${problems.join("; ")}); what could be read was recovered, and the damaged files are kept in ${copy.path}`,
    );
  }

  #keyValueOf(level: Level): LevelKeyValue {
    return new LevelKeyValue(
      level,
      (error) => void this.#mark(error),
      () => renewLog(level, this.#directory),
      () => this.sizeBytes(),
    );
  }

  async #openRepaired(): Promise<void> {
    const level = new Level(this.#directory, { ...TUNING, createIfMissing: false });
    const keyValue = this.#keyValueOf(level);
    // Whether it opened shows when it is read.
    await level
      .open()
      .catch((error: unknown) => this.#logger.warn({ err: error }, "the repaired database does not open"));
    this.#open = { level, keyValue };
  }

  /** Puts the damaged files back, so that the next start says the same. @throws DownloadError STORE_CORRUPT */
  async #giveUp(problems: readonly string[], copy: string, cause?: unknown): Promise<never> {
    const directory = this.#directory;
    await this.#close();
    await restoreCopy(copy, directory);
    throw failure(
      "STORE_CORRUPT",
      `the database ${directory} is damaged (${problems.join("; ")}) and nothing in it could be read; a copy is in ${copy}. ` +
        `To begin with an empty one, move ${basename(directory)} out of ${dirname(directory)}`,
      { cause, metadata: { directory, copy } },
    );
  }

  /** Entries by space, for the report of a repair. */
  async #census(): Promise<Readonly<Record<string, number>>> {
    const found: Record<string, number> = {};
    for await (const space of this.#opened().keyValue.spaces()) found[space] = (found[space] ?? 0) + 1;
    return found;
  }

  /** Remembers that the database needs repair. Runs beside the failing call, which tells its caller. */
  async #mark(error: unknown): Promise<void> {
    this.#logger.error(
      { err: error, directory: this.#directory },
      "the database is damaged; it is repaired at the next start",
    );
    await writeFile(join(this.#directory, REPAIR_MARK), "").catch((problem: unknown) =>
      this.#logger.error({ err: problem }, "the damage could not be remembered for the next start"),
    );
  }
}

/** Bytes of the files in a folder; files that vanish meanwhile do not count. */
export async function directorySize(directory: string): Promise<number> {
  const names = await readdir(directory);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        (found) => found.size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
