/**
 * The real programs as a person starts them: `snatchd` and `snatchctl` of dist/, with a home folder of their own and
 * nothing of the environment of whoever runs the tests. Processes are ended by their pid.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { collect, type Finished, type Running, type RunOptions, runProgram, startProgram } from "./run-program.ts";

const ROOT = join(import.meta.dirname, "../..");

/** The built programs, for `process.execPath`. */
export const PROGRAMS = { snatchd: join(ROOT, "dist/snatchd.js"), snatchctl: join(ROOT, "dist/snatchctl.js") } as const;

/** Longest wait for a daemon to accept connections, in milliseconds. */
const READY_TIMEOUT_MS = 60_000;

/** Variables that the programs would heed, and that are ours and not the test's. */
const OURS =
  /^(SNATCH|XDG|JOURNAL|NOTIFY|WATCHDOG|LISTEN|STATE|CACHE|RUNTIME|CONFIGURATION)(_|$|D_)|^(HOME|NODE_OPTIONS)$/;

/** How a process ended. */
interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A daemon that accepts connections. */
export interface Daemon {
  readonly pid: number;
  /** Milliseconds from its start to the first connection that it accepted. */
  readonly readyMs: number;
  /** What it wrote so far. */
  log(): string;
  readonly exited: Promise<End>;
  /** Sends a signal, SIGKILL unless said otherwise, and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<End>;
}

/** How a home is set up. */
export interface HomeOptions {
  /** Contents of config.toml. */
  readonly config?: string;
  /** More environment for both programs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where the home is made; default: the folder for temporary files. */
  readonly parent?: string;
}

/** A SNATCH_HOME and the programs in it. Disposal ends the daemon, however it was started, and removes the folder. */
export class Home implements AsyncDisposable {
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  #daemon: Daemon | undefined;

  private constructor(path: string, env: Readonly<Record<string, string | undefined>>) {
    this.path = path;
    this.env = env;
  }

  static async create(options: HomeOptions = {}): Promise<Home> {
    const path = await mkdtemp(join(options.parent ?? tmpdir(), "snatch-home-"));
    if (options.config !== undefined) await writeFile(join(path, "config.toml"), options.config);
    const inherited = Object.entries(process.env).filter(([name]) => !OURS.test(name));
    const own = { HOME: path, SNATCH_HOME: path, NO_COLOR: "1" };
    return new Home(path, { ...Object.fromEntries(inherited), ...own, ...options.env });
  }

  get socket(): string {
    return join(this.path, "snatchd.sock");
  }

  get downloads(): string {
    return join(this.path, "downloads");
  }

  get watch(): string {
    return join(this.path, "watch");
  }

  /**
   * Starts a daemon and waits until it accepts connections.
   *
   * @param wrap - a command and its arguments to put before it, such as strace
   * @throws Error with its log if it ends instead
   */
  async start(args: readonly string[] = [], wrap: readonly string[] = []): Promise<Daemon> {
    const started = performance.now();
    const running = this.launch(args, wrap);
    let end: End | undefined;
    void running.exited.then((value) => {
      end = value;
    });
    while (!(await accepts(this.socket))) {
      const late = performance.now() - started > READY_TIMEOUT_MS;
      if (end !== undefined || late) {
        await running.kill();
        const how = late ? "is not ready" : `ended with ${end?.code ?? end?.signal}`;
        throw new Error(`snatchd ${how}:\n${running.log()}`);
      }
      await sleep(5);
    }
    const readyMs = performance.now() - started;
    // Under a wrapper the child is not the daemon.
    const pid = (wrap.length > 0 && this.#recordedPid()) || running.pid;
    const daemon: Daemon = {
      ...running,
      readyMs,
      pid,
      kill: (signal) => (end ? running.exited : stop(pid, running.exited, signal)),
    };
    this.#daemon = daemon;
    return daemon;
  }

  /** Starts a daemon and does not wait: for those that are not expected to become ready. */
  launch(args: readonly string[] = [], wrap: readonly string[] = []): Omit<Daemon, "readyMs"> {
    if (!existsSync(PROGRAMS.snatchd)) throw new Error("dist/ is not there: npm run build");
    const [command = "", ...rest] = [...wrap, process.execPath, PROGRAMS.snatchd, ...args];
    const child = spawn(command, rest, { env: this.env, stdio: ["ignore", "pipe", "pipe"], cwd: this.path });
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const exited = endOf(child);
    const pid = child.pid ?? -1;
    return { pid, exited, log: () => stdout() + stderr(), kill: (signal) => stop(pid, exited, signal) };
  }

  /** Runs `snatchctl` to its end. */
  ctl(args: readonly string[], options?: RunOptions): Promise<Finished> {
    return runProgram(process.execPath, [PROGRAMS.snatchctl, ...args], this.#with(options));
  }

  /** Starts `snatchctl`, for those that send it a signal or read along. */
  startCtl(args: readonly string[], options?: RunOptions): Running {
    return startProgram(process.execPath, [PROGRAMS.snatchctl, ...args], this.#with(options));
  }

  /** Puts a list into the watch folder as a careful program does: written elsewhere, then renamed into it. */
  async drop(name: string, text: string | Uint8Array): Promise<void> {
    await mkdir(this.watch, { recursive: true });
    const aside = join(this.path, `${name}.new`);
    await writeFile(aside, text);
    await rename(aside, join(this.watch, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.kill();
    const pid = this.#recordedPid();
    if (pid !== undefined && this.#isOurs(pid)) {
      process.kill(pid, "SIGKILL");
      while (this.#isOurs(pid)) await sleep(5);
    }
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  #with(options: RunOptions = {}): RunOptions {
    return { cwd: this.path, ...options, env: { ...this.env, ...options.env } };
  }

  #recordedPid(): number | undefined {
    return Number.parseInt(readText(join(this.path, "state/snatchd.pid")) ?? "", 10) || undefined;
  }

  /** A recorded pid may belong to somebody else by now. */
  #isOurs(pid: number): boolean {
    return readText(`/proc/${pid}/environ`)?.split("\0").includes(`SNATCH_HOME=${this.path}`) ?? false;
  }
}

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve, reject) => {
    // After "close" all of its log has arrived.
    child.once("close", (code, signal) => resolve({ code, signal })).once("error", reject);
  });
}

function stop(pid: number, exited: Promise<End>, signal: NodeJS.Signals = "SIGKILL"): Promise<End> {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
  return exited;
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(Boolean(socket.destroy()))).once("error", () => resolve(false));
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
