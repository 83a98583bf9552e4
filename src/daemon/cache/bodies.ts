/**
 * The bodies, in cacache's store of contents: one file each, named by its SHA-256. Only that half of cacache is used: its
 * own index would be a second one beside the `KeyValue`, with two truths after a kill.
 *
 * Digests are base64 here, as in cacache's names for them.
 */
import { lstat, readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cacheFileError, isMissing } from "./file-error.ts";

/** Tries of a write: its folder may be taken away, as an empty one, between its making and its use. */
const WRITE_TRIES = 5;
/** cacache's folders for SHA-256. */
const CONTENT = join("content-v2", "sha256");
/** Where cacache writes what is not whole yet. */
const DRAFTS = "tmp";
const NAME = /^[0-9a-f]{60}$/;

type Content = Awaited<ReturnType<typeof load>>;

/** Loaded with the first body: a daemon that never caches does not pay for it. */
async function load() {
  const [read, write, path] = await Promise.all([
    import("cacache/lib/content/read.js"),
    import("cacache/lib/content/write.js"),
    import("cacache/lib/content/path.js"),
  ]);
  return { read: read.default, write: write.default, path: path.default };
}

/** Why there is no body: no file, or one with other bytes. */
export type NoBody = "gone" | "damaged";

/** One file of the folder, found by a walk. `digest` is undefined for what is no body. */
export interface FoundFile {
  readonly path: string;
  readonly digest: string | undefined;
}

/** Bodies in a folder. */
export class Bodies {
  readonly #directory: string;
  readonly #turns = new Map<string, Promise<unknown>>();
  #content: Promise<Content> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The body, proved. @throws DownloadError if it cannot be said what is there */
  async read(digest: string, size: number): Promise<Buffer | NoBody> {
    const content = await this.#loaded();
    const path = content.path(this.#directory, `sha256-${digest}`);
    try {
      // Looked at before: a file that somebody made huge is not read into memory.
      const found = await lstat(path);
      if (!found.isFile() || found.size !== size) return "damaged";
      return await content.read(this.#directory, `sha256-${digest}`, { size });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EINTEGRITY" || code === "EBADSIZE") return "damaged";
      if (isMissing(error)) return "gone";
      throw cacheFileError(error, "to read", path);
    }
  }

  /**
   * Sees to it that the body is there: a whole one is left alone, a damaged one replaced. In its digest's turn only.
   * @throws DownloadError of the file system
   */
  async ensure(digest: string, bytes: Uint8Array): Promise<void> {
    const found = await this.read(digest, bytes.length);
    if (typeof found !== "string") return;
    if (found === "damaged") await this.remove(digest);
    const content = await this.#loaded();
    const integrity = `sha256-${digest}`;
    for (let tries = 1; ; tries++)
      try {
        await content.write(this.#directory, bytes, { algorithms: ["sha256"], integrity });
        return;
      } catch (error) {
        const failed = cacheFileError(error, "to write", content.path(this.#directory, integrity));
        if (failed.metadata["errno"] !== "ENOENT" || tries === WRITE_TRIES) throw failed;
      }
  }

  /** Takes a body away. In its digest's turn only. @returns bytes that it had; undefined if there was none */
  async remove(digest: string): Promise<number | undefined> {
    const { path } = await this.#loaded();
    return this.removeFile(path(this.#directory, `sha256-${digest}`));
  }

  /** Takes a file of the folder away, and the folders that are empty then. @returns bytes that it had; undefined if there was none */
  async removeFile(path: string): Promise<number | undefined> {
    try {
      const { size } = await lstat(path);
      await rm(path, { recursive: true });
      await removeEmpty(dirname(path));
      return size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw cacheFileError(error, "to remove", path);
    }
  }

  /** Runs `work` when nobody else is at this digest. Never ask for a second digest inside. */
  async inTurn<T>(digest: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(digest);
    const turn = before === undefined ? work() : before.then(work);
    const settled = turn.catch(() => undefined);
    this.#turns.set(digest, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(digest) === settled) this.#turns.delete(digest);
    }
  }

  /** Everything that lies where bodies are, folder by folder. Empty folders are taken away. */
  async *walk(): AsyncGenerator<readonly FoundFile[]> {
    const top = join(this.#directory, CONTENT);
    for (const first of await names(top)) {
      for (const second of await names(join(top, first))) {
        const folder = join(top, first, second);
        const files = await names(folder);
        yield files.map((name) => ({ path: join(folder, name), digest: digestOf(first, second, name) }));
        if (files.length === 0) await removeEmpty(folder);
      }
    }
  }

  /** Removes what writes of an earlier process left half. Before the first write only. @returns bytes */
  async removeDrafts(): Promise<number> {
    let bytes = 0;
    const folder = join(this.#directory, DRAFTS);
    for (const name of await names(folder)) bytes += (await this.removeFile(join(folder, name))) ?? 0;
    return bytes;
  }

  #loaded(): Promise<Content> {
    this.#content ??= load();
    return this.#content;
  }
}

/** The digest that a file is named by. */
function digestOf(first: string, second: string, name: string): string | undefined {
  if (!/^[0-9a-f]{2}$/.test(first) || !/^[0-9a-f]{2}$/.test(second) || !NAME.test(name)) return undefined;
  return Buffer.from(first + second + name, "hex").toString("base64");
}

/** Removes a folder and the one above it, if they are empty: thousands of empty ones take room, too. */
async function removeEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
    await rmdir(dirname(folder));
  } catch {
    // Somebody has put something into it, or nothing was to be removed.
  }
}

/** Names in a folder; none if it is no folder. */
async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw cacheFileError(error, "to read", folder);
  }
}
