/**
 * The STUN client (RFC 8489, RFC 5780): how this machine is seen from outside. Servers are asked side by side, since one
 * that is down or lies would else decide alone; what they answer is a hint like everything that strangers say.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, isIP } from "node:net";
import { asDownloadError, failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { resolveHost } from "../resolve-host.ts";
import { classifyNat, type NatReport } from "./nat-type.ts";
import { familyOf, StunSocket } from "./stun-socket.ts";
import { askOverTcp, type OuterTcpPort } from "./stun-tcp.ts";
import type { StunAddress } from "./stun-wire.ts";

/** The port of STUN (RFC 8489 §18.6). */
const STUN_PORT = 3478;

/** Servers that are asked at most. */
const MOST_SERVERS = 4;

/** Between two questions that keep a mapping, in milliseconds: NATs drop one after 30 s and more (RFC 4787 §4.3). */
const KEEP_ALIVE_MS = 25_000;

/** Milliseconds for a name that nobody waits for. */
const RESOLVE_MS = 5000;

/** What the client is made of. */
export interface StunOptions {
  /** "host", "host:port" or "[address]:port"; the first four are asked. */
  readonly servers: readonly string[];
  readonly clock: Clock;
}

/** How a question is asked. */
export interface ExternalOptions {
  /** Default 0: any. */
  readonly localPort?: number;
  /** Default "udp". */
  readonly transport?: "udp" | "tcp";
  readonly signal: AbortSignal;
}

/** Where a local port is seen. */
export interface ExternalAddress extends StunAddress {
  readonly localPort: number;
}

/** Asks STUN servers. Idle until it is asked to. */
export class StunClient {
  readonly #servers: readonly string[];
  readonly #clock: Clock;

  constructor({ servers, clock }: StunOptions) {
    this.#servers = servers.slice(0, MOST_SERVERS);
    this.#clock = clock;
  }

  /**
   * Where a local port is seen from outside: the first answer counts.
   *
   * @param server - one of them alone; absent: all
   * @throws NetworkError that says what became of each server; the signal's reason
   */
  async externalAddress(options: ExternalOptions, server?: string): Promise<ExternalAddress> {
    const { localPort = 0, transport = "udp", signal } = options;
    const servers = server === undefined ? this.#servers : [server];
    if (transport === "udp") return this.#overUdp(servers, localPort, signal);
    const ports = await this.outerTcpPorts(localPort, signal, servers);
    for (const port of ports) port[Symbol.dispose]();
    const [first] = ports;
    // There is at least one, or it had thrown.
    return { ...(first as OuterTcpPort).external, localPort: (first as OuterTcpPort).localPort };
  }

  /**
   * What a local TCP port looks like to each of the servers, over connections that stay open until they are disposed of.
   * Where the answers agree, it looks the same to others too (unless the NAT decides by the port alone).
   *
   * @param localPort - all servers are asked from it; 0: from any, but all from the same
   * @throws NetworkError if no server answered; the signal's reason
   */
  async outerTcpPorts(
    localPort: number,
    signal: AbortSignal,
    servers: readonly string[] = this.#servers,
  ): Promise<readonly OuterTcpPort[]> {
    const port = localPort === 0 ? await freePort() : localPort;
    const tries = servers.map(async (name) => askOverTcp(await resolveServer(name, signal), port, this.#clock, signal));
    const settled = await Promise.allSettled(tries);
    const ports = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (ports.length > 0 && !signal.aborted) return ports;
    for (const port of ports) port[Symbol.dispose]();
    signal.throwIfAborted();
    throw noAnswer(
      servers,
      settled.map((one) => (one.status === "rejected" ? asDownloadError(one.reason).message : "")),
    );
  }

  /** Kind of NAT, by RFC 5780's tests where a server can do them. Takes up to about 4 s. @throws the signal's reason */
  async classify(signal: AbortSignal): Promise<NatReport> {
    const found = await Promise.allSettled(this.#servers.map((name) => resolveServer(name, signal)));
    const servers = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    return classifyNat(servers, this.#clock, signal);
  }

  /**
   * Keeps the mapping of a local UDP port, and tells when it is seen elsewhere: another external address means that
   * whoever was told the old one does not find us.
   *
   * @param onChange - called with the first answer too
   * @returns ends it
   * @throws the system's error, such as EADDRINUSE; NetworkError DNS_FAILED
   */
  async keepAlive(localPort: number, onChange: (seen: StunAddress) => void): Promise<Disposable> {
    const [name] = this.#servers;
    if (name === undefined) throw failure("CONNECT_FAILED", "no STUN server is configured");
    const server = await resolveServer(name, AbortSignal.timeout(RESOLVE_MS));
    const socket = await StunSocket.open(familyOf(server.address), localPort, this.#clock);
    const ended = new AbortController();
    let last = "";
    let cancel = () => {};
    const beat = async (): Promise<void> => {
      const answer = await socket.ask(server, {}, ended.signal).catch(() => undefined);
      if (ended.signal.aborted) return;
      const mapped = answer?.mapped;
      if (mapped && last !== `${mapped.address} ${mapped.port}`) {
        last = `${mapped.address} ${mapped.port}`;
        onChange(mapped);
      }
      cancel = this.#clock.timer(KEEP_ALIVE_MS, () => void beat());
    };
    void beat();
    return {
      [Symbol.dispose]: () => {
        ended.abort();
        cancel();
        socket[Symbol.dispose]();
      },
    };
  }

  async #overUdp(servers: readonly string[], localPort: number, signal: AbortSignal): Promise<ExternalAddress> {
    const found = await Promise.allSettled(servers.map((name) => resolveServer(name, signal)));
    const resolved = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const [first] = resolved;
    const family = first && familyOf(first.address);
    const problems = found.map((one) =>
      one.status === "rejected" ? asDownloadError(one.reason).message : "no answer over UDP",
    );
    if (family === undefined) throw noAnswer(servers, problems);
    using socket = await StunSocket.open(family, localPort, this.#clock);
    const rest = new AbortController();
    const both = AbortSignal.any([signal, rest.signal]);
    const tries = resolved
      .filter(({ address }) => familyOf(address) === family)
      .map(async (server) => {
        const mapped = (await socket.ask(server, {}, both))?.mapped;
        if (mapped === undefined) throw failure("TIMED_OUT", "no answer over UDP");
        return { ...mapped, localPort: socket.port };
      });
    try {
      return await Promise.any(tries);
    } catch (cause) {
      signal.throwIfAborted();
      throw noAnswer(servers, problems, cause);
    } finally {
      rest.abort();
    }
  }
}

/** A TCP port that nothing is bound to just now. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function noAnswer(servers: readonly string[], problems: readonly string[], cause?: unknown) {
  if (servers.length === 0) return failure("CONNECT_FAILED", "no STUN server is configured (p2p.stun)");
  const each = servers.map((name, index) => `${name}: ${problems[index] || "no answer"}`).join("; ");
  return failure("TIMED_OUT", `no STUN server tells how this machine is seen from outside (${each})`, { cause });
}

/** "host:port" as an address; IPv4 where the name has both. @throws NetworkError DNS_FAILED */
async function resolveServer(text: string, signal: AbortSignal): Promise<StunAddress> {
  const match = /^(?:stun:)?(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? STUN_PORT);
  if (host === undefined || port < 1 || port > 65535) throw failure("DNS_FAILED", `"${text}" is not host:port`);
  if (isIP(host) !== 0) return { address: host, port };
  try {
    const [address = ""] = await resolveHost(host, { signal });
    return { address, port };
  } catch (cause) {
    signal.throwIfAborted();
    throw failure("DNS_FAILED", `the STUN server ${host} cannot be found`, { cause });
  }
}
