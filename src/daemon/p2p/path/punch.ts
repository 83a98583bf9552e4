/**
 * TCP simultaneous open (RFC 9293 §3.5, RFC 5382 §4): both ends call each other from a port whose outer side the other knows. Each
 * call opens the own NAT for the other's; where two calls cross, both kernels see one connection. The port is found out by
 * STUN over TCP from the very port that is then called from, and stays mapped for as long as that connection is kept. With a
 * NAT that takes another outer port for each destination there is nothing to foretell, and no address is offered.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../core/ports/runtime.ts";
import type { OuterTcpPort } from "../nat/stun-tcp.ts";
import type { Endpoint } from "../types.ts";
import { connectTcp } from "./dial.ts";

/** What the outer side of a local port is, to several servers, over connections that stay open until they are disposed of. */
export type AskOuterPort = (localPort: number, signal: AbortSignal) => Promise<readonly OuterTcpPort[]>;

/** A local port that is ready for being called from. */
export interface PunchPort extends Disposable {
  readonly localPort: number;
  /** What the other end has to call; empty: it cannot work from here. */
  readonly outer: readonly Endpoint[];
}

/**
 * After a refusal, in milliseconds, and as much again at random: two ends in step could miss each other for ever. There is no
 * pause otherwise, and no new call either while one is on: a call that comes while nobody calls is answered with a reset, after
 * which routers close the way, and answer the next calls of both ends with resets of their own, which close it again.
 */
const REFUSED_PAUSE_MS = 100;
/**
 * How long STUN is waited for where IPv6 works without it, in milliseconds. Most STUN servers are silent over TCP, and who
 * waits to the end of that is too late for the message in which the ports are named; then ICE is all that is left.
 */
const STUN_BESIDE_IPV6_MS = 1000;
/** Ports to choose from: those that systems themselves use for outgoing connections. */
const FIRST_PORT = 32_768;
const LAST_PORT = 60_999;

/**
 * Chooses a local port and finds out what it looks like from outside.
 *
 * @param ask - STUN over TCP
 * @param clock - bounds it where it is not needed
 * @param ipv6 - own global addresses: through a firewall that only lets answers in, IPv6 needs the same trick, and no STUN
 * @throws NetworkError if no server answered, and there is no IPv6; the signal's reason
 */
export async function openPunchPort(
  ask: AskOuterPort,
  ipv6: readonly string[],
  clock: Clock,
  signal: AbortSignal,
): Promise<PunchPort> {
  const localPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
  const straight = ipv6.slice(0, 1).map((host): Endpoint => ({ host, port: localPort, kind: "ipv6" }));
  const enough = new AbortController();
  const cancel = straight.length > 0 ? clock.timer(STUN_BESIDE_IPV6_MS, () => enough.abort()) : undefined;
  let seen: readonly OuterTcpPort[] = [];
  try {
    seen = await ask(localPort, AbortSignal.any([signal, enough.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (straight.length === 0) throw error;
  } finally {
    cancel?.();
  }
  const [first] = seen.map(({ external }) => external);
  const same = seen.every(({ external }) => external.address === first?.address && external.port === first.port);
  const outer = first && same ? [{ host: first.address, port: first.port, kind: "direct" as const }] : [];
  const release = () => {
    for (const one of seen) one[Symbol.dispose]();
  };
  return { localPort, outer: [...outer, ...straight], [Symbol.dispose]: release };
}

/** How it is called. */
export interface PunchOptions {
  readonly clock: Clock;
  /** Milliseconds. The other end learns of our port later than we of its, or the other way round. */
  readonly durationMs: number;
  readonly signal: AbortSignal;
}

/**
 * Calls the other end's outer ports from the port, again and again, until a connection stands.
 *
 * @throws the last error; the signal's reason
 */
export async function punch(
  port: PunchPort,
  targets: readonly Endpoint[],
  options: PunchOptions,
): Promise<{ readonly socket: Socket; readonly endpoint: Endpoint }> {
  const stop = new AbortController();
  const both = { ...options, signal: AbortSignal.any([options.signal, stop.signal]) };
  try {
    return await Promise.any(
      targets.slice(0, 2).map(async (endpoint) => ({ socket: await callUntil(port, endpoint, both), endpoint })),
    );
  } catch (error) {
    options.signal.throwIfAborted();
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    stop.abort();
  }
}

async function callUntil(port: PunchPort, target: Endpoint, options: PunchOptions): Promise<Socket> {
  const { clock, durationMs, signal } = options;
  const { localPort } = port;
  const end = clock.monotonic() + durationMs;
  for (;;) {
    try {
      // The system repeats the call by itself, about every second.
      const timeoutMs = Math.max(1, end - clock.monotonic());
      return await connectTcp(target.host, target.port, { clock, timeoutMs, signal, localPort });
    } catch (error) {
      if (signal.aborted || clock.monotonic() >= end) throw error;
    }
    await clock.sleep(REFUSED_PAUSE_MS * (1 + Math.random()), signal);
  }
}
