/**
 * Runs parts of the NAT traversal inside of a rig's namespace, as a program of its own: `node nat-agent.ts VERB ARGUMENTS`.
 * It prints what it finds as JSON, a line each; what goes on ends by SIGTERM.
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setDefaultCACertificates } from "node:tls";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { localAddresses } from "../../../src/daemon/p2p/nat/addresses.ts";
import { MappedPorts } from "../../../src/daemon/p2p/nat/mapped-ports.ts";
import { NatPmp } from "../../../src/daemon/p2p/nat/nat-pmp.ts";
import { PortMapping } from "../../../src/daemon/p2p/nat/port-mapping.ts";
import { StunClient } from "../../../src/daemon/p2p/nat/stun.ts";
import { BINDING, decodeStun, encodeStun } from "../../../src/daemon/p2p/nat/stun-message.ts";
import { TurnClient } from "../../../src/daemon/p2p/nat/turn-client.ts";
import { readTurnUrl } from "../../../src/daemon/p2p/nat/turn-url.ts";
import { UPnPManager } from "../../../src/daemon/p2p/nat/upnp.ts";
import { RecordLogger } from "../record-logger.ts";

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
  /**
   * WAYS PORT LIFETIME [FILE]: a listener whose port (0: any) is kept mapped by "upnp", "nat-pmp" or both ("upnp,nat-pmp").
   * FILE: what is mapped is kept there.
   */
  async map() {
    const [ways = "", port, lifetime, file] = rest;
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end("hello from inside\n");
    });
    server.listen({ host: "0.0.0.0", port: Number(port) });
    await once(server, "listening");
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    const mapping = new PortMapping({
      clock,
      logger: new RecordLogger(),
      upnp: ways.includes("upnp"),
      natPmp: ways.includes("nat-pmp"),
      lifetime: Number(lifetime),
      ...(file !== undefined && { ports: new MappedPorts(file, clock) }),
      onChange: (state) => say({ ...state }),
    });
    const internal = (server.address() as { port: number }).port;
    await mapping.start(internal);
    delay.disable();
    say({ started: true, internal, stalledMs: delay.max / 1e6, ...mapping.state });
    await once(process, "SIGTERM");
    const began = performance.now();
    await mapping[Symbol.asyncDispose]();
    say({ stopped: true, ms: performance.now() - began, ...mapping.state });
  },
  /**
   * URL USERNAME CREDENTIAL HOST PORT [CA]: what a STUN server says of a datagram that comes by a relay; then waits for the
   * relay's end. CA: a file with a certificate to trust.
   */
  async turn() {
    const [url = "", username = "", credential = "", address = "", port, ca] = rest;
    if (ca !== undefined) setDefaultCACertificates([await readFile(ca, "utf8")]);
    const place = readTurnUrl(url);
    if (place === undefined) throw new Error(`${url} is not for TCP`);
    const account = { url, username, credential };
    const ended = new AbortController();
    const onEnd = (error: Error) => {
      say({ ended: error.message });
      ended.abort();
    };
    const onDatagram = (bytes: Buffer) => say({ mapped: decodeStun(bytes)?.mapped });
    try {
      const client = await TurnClient.open({ place, account, clock, onDatagram, onEnd }, AbortSignal.timeout(10_000));
      say({ relayed: client.relayed });
      const head = { kind: "request", method: BINDING, transactionId: randomBytes(12), fingerprint: true } as const;
      client.send(encodeStun(head), { address, port: Number(port) });
    } catch (error) {
      say({ refused: String(error) });
      return;
    }
    await Promise.race([once(process, "SIGTERM"), once(ended.signal, "abort")]);
  },
  /** A neighbour who answers every search for a router with nonsense: endless fields, and places that are not his. */
  async nonsense() {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.on("message", (_, { address, port }) => {
      const head = "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n";
      const answers = [
        `HTTP/1.1 200 OK\r\n${" ".repeat(65_000)}`,
        `${head}LOCATION: http://127.0.0.1:1/\r\n\r\n`,
        `${head}LOCATION: http://10.77.0.3:1/\r\n\r\n`,
        `${head}LOCATION: \r\n\r\n`,
        "HTTP",
        "",
      ];
      for (const answer of answers) socket.send(answer, port, address, () => say({ answered: answer.length }));
    });
    socket.bind(1900, () => {
      socket.addMembership("239.255.255.250");
      say({ listens: true });
    });
    await once(process, "SIGTERM");
  },
  /** WAY INTERNAL EXTERNAL: one mapping, by the spec's mapPort; it stays. */
  async hold() {
    const [way, internal, external] = rest;
    const mapper = way === "upnp" ? new UPnPManager({ clock }) : new NatPmp({ clock });
    const done = await mapper.mapPort(Number(internal), Number(external));
    say({ done, problem: mapper.problem });
  },
  /** Addresses that others can use. */
  async addresses() {
    say({ addresses: await localAddresses() });
  },
};

const run = VERBS[verb];
if (run === undefined) throw new Error(`there is no ${verb}`);
await run();
process.exit(0);
