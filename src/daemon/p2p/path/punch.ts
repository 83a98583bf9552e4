/**
 * TCP simultaneous open (RFC 9293 §3.5, RFC 5382 §4): both ends call each other from a port whose outer side the other knows. Each
 * call opens the own NAT for the other's; where two calls cross, both kernels see one connection. The port is found out by
 * STUN over TCP from the very port that is then called from, and stays mapped for as long as that connection is kept. With a
 * NAT that takes another outer port for each destination there is nothing to foretell, and no address is offered.
 */
import type { Socket } from "node:net";
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

/** A try, in milliseconds: longer than any round trip, shorter than the wait of most people. */
const TRY_MS = 1200;
/** Between tries, at random: two ends in step could miss each other for ever. */
const PAUSE_MS = 200;
/** Where a connection is refused at once, as by a NAT that answers, in milliseconds. */
const REFUSED_PAUSE_MS = 100;
/** Ports to choose from: those that systems themselves use for outgoing connections. */
const FIRST_PORT = 32_768;
const LAST_PORT = 60_999;

/**
 * Chooses a local port and finds out what it looks like from outside.
 *
 * @param ask - STUN over TCP
 * @param ipv6 - own global addresses: through a firewall that only lets answers in, IPv6 needs the same trick, and no STUN
 * @throws NetworkError if no server answered, and there is no IPv6; the signal's reason
 */
export async function openPunchPort(
  ask: AskOuterPort,
  ipv6: readonly string[],
  signal: AbortSignal,
): Promise<PunchPort> {
  const localPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
  const straight = ipv6.slice(0, 1).map((host): Endpoint => ({ host, port: localPort, kind: "ipv6" }));
  let seen: readonly OuterTcpPort[] = [];
  try {
    seen = await ask(localPort, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (straight.length === 0) throw error;
  }
  const [first] = seen.map(({ external }) => external);
  const same = seen.every(({ external }) => external.address === first?.address && external.port === first.port);
  const outer = first && same ? [{ host: first.address, port: first.port, kind: "direct" as const }] : [];
  const release = () => {
    for (const one of seen) one[Symbol.dispose]();
  };
  return { localPort, outer: [...outer, ...straight], [Symbol.dispose]: release };
}

/**
 * Calls the other end's outer ports from the port, again and again, until a connection stands.
 *
 * @param durationMs - for so long
 * @throws the last error; the signal's reason
 */
export async function punch(
  port: PunchPort,
  targets: readonly Endpoint[],
  durationMs: number,
  signal: AbortSignal,
): Promise<{ readonly socket: Socket; readonly endpoint: Endpoint }> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  try {
    return await Promise.any(
      targets
        .slice(0, 2)
        .map(async (endpoint) => ({ socket: await callUntil(port, endpoint, durationMs, both), endpoint })),
    );
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    stop.abort();
  }
}

async function callUntil(port: PunchPort, target: Endpoint, durationMs: number, signal: AbortSignal): Promise<Socket> {
  const end = performance.now() + durationMs;
  for (;;) {
    const started = performance.now();
    try {
      return await connectTcp(target.host, target.port, { timeoutMs: TRY_MS, signal, localPort: port.localPort });
    } catch (error) {
      if (signal.aborted || performance.now() > end) throw error;
    }
    const refused = performance.now() - started < TRY_MS / 2;
    await wait(refused ? REFUSED_PAUSE_MS : Math.random() * PAUSE_MS, signal);
  }
}

/** Waits, or less if the signal aborts. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
