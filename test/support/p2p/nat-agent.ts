/**
 * Runs parts of the NAT traversal inside of a rig's namespace, as a program of its own: `node nat-agent.ts VERB ARGUMENTS`.
 * It prints what it finds as JSON, a line each, and ends when its standard input does.
 */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { StunClient } from "../../../src/daemon/p2p/nat/stun.ts";

const [verb = "", ...rest] = process.argv.slice(2);
const clock = new SystemClock();
const say = (value: object) => void process.stdout.write(`${JSON.stringify(value)}\n`);

const VERBS: Readonly<Record<string, () => Promise<void>>> = {
  /** SERVER…: kind of NAT. */
  async classify() {
    say(await new StunClient({ servers: rest, clock }).classify(AbortSignal.timeout(20_000)));
  },
  /** PORT SERVER…: how a local TCP port is seen by each; the last is asked later, while the other connections are open. */
  async tcp() {
    const [port, ...servers] = rest;
    const client = new StunClient({ servers, clock });
    const first = await client.outerTcpPorts(Number(port), AbortSignal.timeout(10_000), servers.slice(0, -1));
    const again = await client.outerTcpPorts(first[0]?.localPort ?? 0, AbortSignal.timeout(10_000), servers.slice(-1));
    say({ ports: [...first, ...again].map(({ external, localPort }) => ({ ...external, localPort })) });
  },
};

const run = VERBS[verb];
if (run === undefined) throw new Error(`there is no ${verb}`);
await run();
process.exit(0);
