/**
 * TCP simultaneous open (RFC 9293 §3.5, RFC 5382 §4): both ends call each other from a port whose outer side the other knows. Each
 * call opens the own NAT for the other's; where two calls cross, both kernels see one connection. The port is found out by
 * STUN over TCP from the very port that is then called from, and stays mapped for as long as that connection is kept. With a
 * NAT that takes another outer port for each destination there is nothing to foretell, and no address is offered.
 */
import type { Socket } from "node:net";
import type { Endpoint } from "../types.ts";
import { connectTcp } from "./dial.ts";

/** Where a local TCP port can be seen from outside. */
export interface OuterPort {
  readonly host: string;
  readonly port: number;
  /** The connection that keeps the mapping open is closed. */
  release(): void;
}

/** Asks a server what the outer side of a local port is, once for each of several servers. @throws if it does not answer */
export type AskOuterPort = (localPort: number, signal: AbortSignal) => Promise<readonly OuterPort[]>;

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
 * Finds a free local port and what it looks like from outside.
 *
 * @param ask - STUN over TCP
 * @param ipv6 - own global addresses: through a firewall that only lets answers in, IPv6 needs the same trick, and no STUN
 */
export async function openPunchPort(
  ask: AskOuterPort,
  ipv6: readonly string[],
  signal: AbortSignal,
): Promise<PunchPort> {
  let problem: unknown;
  for (let attempt = 0; attempt < 4; attempt++) {
    const localPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    try {
      const seen = await ask(localPort, signal);
      const [first] = seen;
      const same = seen.every(({ host, port }) => host === first?.host && port === first.port);
      const outer: Endpoint[] = first && same ? [{ host: first.host, port: first.port, kind: "direct" }] : [];
      for (const host of ipv6.slice(0, 1)) outer.push({ host, port: localPort, kind: "ipv6" });
      const release = () => {
        for (const one of seen) one.release();
      };
      return { localPort, outer, [Symbol.dispose]: release };
    } catch (error) {
      signal.throwIfAborted();
      problem = error;
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") break;
    }
  }
  const localPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
  if (ipv6.length === 0) throw problem;
  const outer = ipv6.slice(0, 1).map((host): Endpoint => ({ host, port: localPort, kind: "ipv6" }));
  return { localPort, outer, [Symbol.dispose]: () => undefined };
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
