/**
 * Whose the folder is. Two things say it: a lock, which one process holds while it lives, and a mark in the folder, which
 * says whose index the bodies belong to and whether it was left in order.
 *
 * The lock is a listening Unix socket: the kernel gives its name to one process and takes it back when that dies, however it
 * dies. On Linux the name is abstract (unix(7)) and made of the folder's device and inode; elsewhere it is a file in the
 * folder. Processes that cannot see each other's sockets (containers with networks of their own) are told apart by the mark,
 * which is looked at again before anything is swept.
 */
import { once } from "node:events";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { cacheFileError, isMissing } from "./file-error.ts";

const MARK = "OWNER";
const ANSWER_TIMEOUT_MS = 1000;

/** What the mark says; undefined without one. */
export interface Mark {
  /** Of the index that the bodies belong to. */
  readonly id: string;
  /** It was left in order: nothing was under way. */
  readonly closed: boolean;
}

/** The exclusive right to a folder. */
export class Owner {
  readonly #directory: string;
  #server: Server | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the folder and takes the lock. @returns false if another process has it @throws DownloadError of the file system */
  async take(): Promise<boolean> {
    if (this.#server !== undefined) return true;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const name = await lockName(this.#directory);
      this.#server = await listen(name);
      if (this.#server === undefined && !name.startsWith("\0") && (await isDead(name))) {
        await rm(name, { force: true });
        this.#server = await listen(name);
      }
    } catch (error) {
      throw cacheFileError(error, "to use", this.#directory);
    }
    return this.#server !== undefined;
  }

  async read(): Promise<Mark | undefined> {
    return readMark(this.#directory);
  }

  /** Writes the mark, whole or not at all. @throws DownloadError of the file system */
  async write(mark: Mark): Promise<void> {
    const path = join(this.#directory, MARK);
    const draft = `${path}.${process.pid}`;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await writeFile(draft, `${mark.id} ${mark.closed ? "closed" : "open"}\n`, { mode: 0o600 });
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw cacheFileError(error, "to write", path);
    }
  }

  async release(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await once(server.close(), "close");
  }
}

async function readMark(directory: string): Promise<Mark | undefined> {
  const path = join(directory, MARK);
  try {
    const [, id, state] = /^([0-9a-f-]{36}) (open|closed)\n$/.exec(await readFile(path, "utf8")) ?? [];
    return id === undefined ? undefined : { id, closed: state === "closed" };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw cacheFileError(error, "to read", path);
  }
}

/** True if some process has the folder's lock. */
export async function isOwned(directory: string): Promise<boolean> {
  const name = await lockName(directory).catch(() => undefined);
  return name !== undefined && !(await isDead(name));
}

async function lockName(directory: string): Promise<string> {
  if (process.platform !== "linux") return join(directory, "lock.sock");
  const { dev, ino } = await stat(directory, { bigint: true });
  return `\0snatch-cache-${dev}-${ino}`;
}

/** @returns undefined if the name is taken */
async function listen(name: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.on("error", () => undefined).end());
  try {
    await once(server.listen(name), "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
  return server.unref();
}

/** Nobody listens there. Who listens and does not answer is alive. */
function isDead(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name).setTimeout(ANSWER_TIMEOUT_MS);
    const answer = (dead: boolean): void => {
      socket.destroy();
      resolve(dead);
    };
    socket.on("connect", () => answer(false)).on("timeout", () => answer(false));
    socket.on("error", () => answer(true));
  });
}
