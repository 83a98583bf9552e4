/** A whole daemon that shares and fetches on this machine alone, at a port that it has again after a restart. */

import { quietPort } from "../free-ports.ts";
import { type Daemon, Home } from "../program.ts";
import { waitFor } from "../wait.ts";

/** A download, as far as it is. */
export interface Download {
  readonly id: string;
  readonly status: string;
  readonly bytes: number;
}

/** See above. Disposal ends it. */
export class SharingHome implements AsyncDisposable {
  readonly home: Home;
  readonly port: number;
  daemon: Daemon;

  private constructor(home: Home, port: number, daemon: Daemon) {
    this.home = home;
    this.port = port;
    this.daemon = daemon;
  }

  /** @param p2p - more of that section of the configuration */
  static async start(p2p: readonly string[] = [], args: readonly string[] = []): Promise<SharingHome> {
    const port = await quietPort();
    const off = ["mdns = false", "upnp = false", "nat_pmp = false", "stun = []", "[p2p.dht]", "enabled = false"];
    const config = ["retry_delay = 0.2", "min_free_space = 0", "[p2p]", `port = ${port}`, ...p2p, ...off];
    const home = await Home.create({ config: config.join("\n") });
    return new SharingHome(home, port, await home.start(args));
  }

  /** As others name it. */
  get peer(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Shares. @returns the code and the share's id */
  async share(path: string, ...flags: readonly string[]): Promise<{ readonly code: string; readonly id: string }> {
    const [made] = await this.json(["share", path, ...flags]);
    return { code: String(made?.["code"]), id: String(made?.["share_id"]) };
  }

  /** What a command says with --json. @throws Error with what it said if it failed */
  async json(args: readonly string[]): Promise<Record<string, unknown>[]> {
    const result = await this.home.ctl([...args, "--json"]);
    if (result.code !== 0) throw new Error(`${args[0]} exited ${result.code}: ${result.stderr}${result.stdout}`);
    return result.json();
  }

  /** The only download that brings a file, once it has so many bytes. @throws Error with what there is instead */
  async downloaded(least: number): Promise<Download> {
    let seen: Record<string, unknown>[] = [];
    try {
      return await waitFor(`${least} bytes`, async () => {
        seen = await this.json(["list"]);
        for (const session of seen) {
          const { downloaded_bytes: bytes = 0 } = session["progress"] as { readonly downloaded_bytes?: number };
          const { session_id: id, status, path } = session;
          if (bytes >= least && typeof path === "string") return { id: String(id), status: String(status), bytes };
        }
        return undefined;
      });
    } catch (cause) {
      const sessions = seen.map((session) => JSON.stringify(session)).join("\n");
      throw new Error(`${String(cause)}\n${sessions}\n${this.daemon.log().slice(-4000)}`, { cause });
    }
  }

  /** Payload that this machine has sent to others by its shares, since they were made. */
  async sent(): Promise<number> {
    return (await this.json(["shares"])).reduce((sum, share) => sum + Number(share["sent_bytes"]), 0);
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    await this.daemon.kill("SIGKILL");
  }

  async restart(): Promise<void> {
    this.daemon = await this.home.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
  }
}
