/** Ports of the loopback address. */
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that systems give to connections that go out, and above those of well-known services. */
const QUIET = { from: 20_000, to: 32_000 };

/** Ports that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/**
 * Ports of each process: those who run at the same time begin at different places, so that none takes what another has chosen
 * and does not listen on yet.
 */
const OWN = 16;
let next = process.pid * OWN;

/** A port that nobody listens on at this moment, and that no connection going out is given: it can be had again. */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = QUIET.from + (next++ % (QUIET.to - QUIET.from));
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, () => resolve(true));
    });
    if (!free) continue;
    await once(server.close(), "close");
    return port;
  }
}
