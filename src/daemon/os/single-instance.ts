/**
 * One daemon for each state folder.
 *
 * The lock is a listening Unix socket: the kernel gives a name to one process only and takes it back when that process
 * dies, however it dies. On Linux the name is in the abstract namespace (unix(7)) and made of the folder's device and
 * inode, so that it leaves nothing behind and a folder has one name whatever the path to it. Elsewhere it is a file in
 * the folder, and one that nobody listens on is taken over. Who connects is told the holder's pid.
 *
 * Two containers with networks of their own do not see each other's abstract sockets; there the lock that LevelDB keeps
 * on its own file (fcntl) is what stops the second.
 */
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";

/** Longest wait for the holder's pid, in milliseconds. It may be stopped, and then never answers. */
const ANSWER_TIMEOUT_MS = 1000;

/** What a second instance needs to find the first. */
export interface SingleInstanceOptions {
  /** Made if it does not exist. */
  readonly stateDir: string;
  /** Where the holder's pid is written, for people and scripts; default `snatchd.pid` in the state folder. */
  readonly pidFile?: string;
}

/** The exclusive right to a state folder, held from `start` until disposal or the death of the process. */
export class SingleInstance implements Startable {
  readonly #stateDir: string;
  readonly #pidFile: string;
  #server: Server | undefined;

  constructor(options: SingleInstanceOptions) {
    this.#stateDir = options.stateDir;
    this.#pidFile = options.pidFile ?? join(options.stateDir, "snatchd.pid");
  }

  /**
   * Takes the folder.
   * @throws DownloadError ALREADY_RUNNING with `pid` in its metadata; FileSystemError if the folder cannot be made
   */
  async start(): Promise<void> {
    mkdirSync(this.#stateDir, { recursive: true, mode: 0o700 });
    const name = lockName(this.#stateDir);
    this.#server = (await listen(name)) ?? (await this.#takeOver(name));
    writeFileSync(this.#pidFile, `${process.pid}\n`, { mode: 0o644 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    // The pid goes first: after the close another process may have written its own.
    rmSync(this.#pidFile, { force: true });
    await once(server.close(), "close");
  }

  /** Somebody has the name. A file that nobody listens on is what a dead process left. */
  async #takeOver(name: string): Promise<Server> {
    const holder = await ask(name);
    if (holder === "nobody") {
      if (!name.startsWith("\0")) rmSync(name, { force: true });
      const server = await listen(name);
      if (server !== undefined) return server;
    }
    const pid = typeof holder === "number" ? holder : readPid(this.#pidFile);
    throw failure(
      "ALREADY_RUNNING",
      `another snatchd ${pid === undefined ? "" : `(pid ${pid}) `}uses ${this.#stateDir}; one state folder has one daemon`,
      { metadata: { state_dir: this.#stateDir, ...(pid !== undefined && { pid: String(pid) }) } },
    );
  }
}

/** The socket's name for a folder. */
function lockName(stateDir: string): string {
  if (process.platform !== "linux") return join(stateDir, "lock.sock");
  const { dev, ino } = statSync(stateDir, { bigint: true });
  return `\0snatchd-${dev}-${ino}`;
}

/** @returns undefined if the name is taken */
async function listen(name: string): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(`${process.pid}\n`);
  });
  try {
    await once(server.listen(name), "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
  return server.unref();
}

/** Asks the holder of a name for its pid. */
function ask(name: string): Promise<number | "nobody" | "silent"> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(name).setEncoding("utf8").setTimeout(ANSWER_TIMEOUT_MS);
    const answer = (value: number | "nobody" | "silent") => {
      socket.destroy();
      resolve(value);
    };
    socket.on("data", (text: string) => {
      said += text;
    });
    socket.on("end", () => answer(/^\d{1,10}\n$/.test(said) ? Number(said) : "silent"));
    socket.on("timeout", () => answer("silent"));
    socket.on("error", () => answer("nobody"));
  });
}

function readPid(path: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(path, "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}
