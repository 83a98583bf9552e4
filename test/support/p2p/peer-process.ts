/** Peers in network namespaces; see peer-program.ts. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import type { NatHost, NatRig } from "../rigs.ts";
import { type MemorySignalling, serveSignalling } from "./memory-signalling.ts";
import type { PeerNews, PeerOrders } from "./peer-program.ts";

const PROGRAM = join(import.meta.dirname, "peer-program.ts");

/** A peer that runs. */
export interface PeerProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly news: readonly PeerNews[];
  /** The first news of a kind that comes, or has come. @throws Error if it ends before, or after `timeoutMs` */
  next<K extends PeerNews["news"]>(kind: K, timeoutMs?: number): Promise<Extract<PeerNews, { readonly news: K }>>;
}

/** What is the same for most. */
export type PeerSettings = Partial<PeerOrders> & Pick<PeerOrders, "role" | "secret">;

/** Starts a peer on a host of a rig. */
export function startPeer(rig: NatRig, host: NatHost, hub: MemorySignalling, settings: PeerSettings): PeerProcess {
  const orders: PeerOrders = {
    ...{ mode: "auto", stun: [rig.stun, rig.otherStun], turn: [rig.turn], bytes: 0, retries: 0, explicit: [] },
    ...settings,
  };
  const args = ["netns", "exec", rig.namespace(host), process.execPath, PROGRAM, JSON.stringify(orders)];
  const child = spawn("ip", args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  serveSignalling(hub, child);
  const news: PeerNews[] = [];
  const waiting = new Set<() => void>();
  const look = () => {
    for (const one of [...waiting]) one();
  };
  child.on("message", (message: PeerNews) => {
    if (!("news" in message)) return;
    news.push(message);
    look();
  });
  let exited = false;
  const exit = new Promise<void>((resolve) => {
    child.once("exit", () => {
      exited = true;
      resolve();
      look();
    });
  });
  return {
    child,
    news,
    next<K extends PeerNews["news"]>(kind: K, timeoutMs = 60_000) {
      type Wanted = Extract<PeerNews, { readonly news: K }>;
      return new Promise<Wanted>((resolve, reject) => {
        const settle = () => {
          const found = news.find((one): one is Wanted => one.news === kind);
          if (!found && !exited) return;
          clearTimeout(timer);
          waiting.delete(settle);
          if (found) resolve(found);
          else reject(new Error(`the ${orders.role} ended without "${kind}": ${JSON.stringify(news)}`));
        };
        const timer = setTimeout(() => {
          waiting.delete(settle);
          reject(new Error(`the ${orders.role} gave no "${kind}" for ${timeoutMs} ms: ${JSON.stringify(news)}`));
        }, timeoutMs);
        waiting.add(settle);
        settle();
      });
    },
    async [Symbol.asyncDispose]() {
      if (child.connected) child.send("stop", () => undefined);
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await exit;
      clearTimeout(timer);
    },
  };
}
