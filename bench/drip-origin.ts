/**
 * An origin that limits each connection, evenly: in a process of its own, so that it does not share a thread with whoever
 * measures.
 *
 * nginx's `limit_rate` would not be fair: it counts in whole seconds from the start of each request and gives every request
 * a second's worth at once, so that who asks for many small ranges, or asks late in a second, gets more than the limit.
 * Here the limit belongs to the connection, and requests neither gain nor lose by their number.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** An origin that runs. */
export interface DripOrigin extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly base: string;
}

/** Starts it. @param rate - bytes a second and connection @throws Error if it does not start */
export async function startDrip(folder: string, rate: number): Promise<DripOrigin> {
  const child = fork(join(import.meta.dirname, "drip-server.ts"), [folder, String(rate)]);
  const exited = once(child, "exit");
  const started = await Promise.race([once(child, "message"), exited.then(() => undefined)]);
  if (!started) throw new Error(`the limited origin ended with ${child.exitCode}`);
  return {
    base: `http://127.0.0.1:${Number(started[0])}`,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
