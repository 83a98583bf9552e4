/**
 * Dialling: TCP to the places where a peer may be, the best first and the next a moment later, side by side (RFC 8305 does
 * so with two families). Each connection is handed on as it comes; whether there is a peer behind it is for others to prove.
 */
import { isIP, isIPv6, type NetConnectOpts, Socket } from "node:net";
import type { PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { resolveHost } from "../resolve-host.ts";
import type { Endpoint, PeerStream } from "../types.ts";

/** One connection. */
export interface DialOptions {
  readonly clock: Clock;
  /** Milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The port of this machine to call from; absent: any. */
  readonly localPort?: number;
}

/**
 * Connects.
 *
 * @param address - an address, no name
 * @throws the system's error, or one with the code ETIMEDOUT; the signal's reason
 */
export function connectTcp(address: string, port: number, options: DialOptions): Promise<Socket> {
  const { signal, timeoutMs, localPort, clock } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    // Half-open is left to TLS: what ends here ends there.
    const socket = new Socket();
    const settle = (error?: unknown) => {
      cancel();
      signal.removeEventListener("abort", onAbort);
      socket.off("error", settle);
      if (error === undefined) return resolve(socket);
      // An error that comes after the socket was given up has nobody to hear it.
      socket.on("error", () => undefined);
      socket.destroy();
      reject(error);
    };
    const onAbort = () => settle(signal.reason);
    const cancel = clock.timer(timeoutMs, () => settle(timeOut(address, port, timeoutMs)));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", settle);
    socket.once("connect", () => {
      socket.setNoDelay(true);
      settle();
    });
    const target: NetConnectOpts = { host: address, port, family: isIPv6(address) ? 6 : 4 };
    // The port that is bound may have been used a moment ago: libuv sets SO_REUSEADDR.
    socket.connect(localPort === undefined ? target : { ...target, localPort });
  });
}

function timeOut(address: string, port: number, ms: number): Error {
  return Object.assign(new Error(`connect to ${address} port ${port}: nothing came for ${ms} ms`), {
    code: "ETIMEDOUT",
  });
}

/** Addresses of an endpoint: itself, or what the name that a person gave stands for. @throws the system's error */
async function resolveEndpoint(endpoint: Endpoint, signal: AbortSignal): Promise<Endpoint[]> {
  const host = endpoint.host.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0) return [{ ...endpoint, host }];
  const found = await resolveHost(host, { signal });
  return found.slice(0, 4).map((address) => ({ ...endpoint, host: address }));
}

/** How a group of endpoints is dialled. */
export interface DialGroup {
  readonly clock: Clock;
  /** The best first. */
  readonly endpoints: readonly Endpoint[];
  /** May the address be called? Asked with what a name was resolved to. */
  readonly allows: (address: string) => boolean;
  readonly pathOf: (endpoint: Endpoint) => PeerPath;
  /** Tries to be somebody with a connection; the first that resolves wins. */
  readonly use: (peer: PeerStream) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Between one endpoint and the next, in milliseconds: on a LAN the first answers well within it. */
const STAGGER_MS = 100;
/** Longest time for a connection, in milliseconds. */
const CONNECT_MS = 8000;

/**
 * Calls all of them, until one was of use or none is left.
 *
 * @returns true if one was of use; failures are told to `onFailure`
 */
export async function dialAll(group: DialGroup, onFailure: (where: string, error: unknown) => void): Promise<boolean> {
  const { signal } = group;
  const calls: Promise<void>[] = [];
  for (const [index, endpoint] of group.endpoints.entries()) {
    calls.push(callOne(group, endpoint, index * STAGGER_MS, onFailure));
  }
  try {
    await Promise.any(calls);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

async function callOne(
  group: DialGroup,
  endpoint: Endpoint,
  delayMs: number,
  onFailure: (where: string, error: unknown) => void,
): Promise<void> {
  const { signal, clock } = group;
  if (delayMs > 0) await clock.sleep(delayMs, signal);
  signal.throwIfAborted();
  try {
    const places = (await resolveEndpoint(endpoint, group.signal)).filter(({ host }) => group.allows(host));
    if (places.length === 0) throw new Error("the address is not one that may be called");
    await Promise.any(
      places.map(async (place) => {
        const stream = await connectTcp(place.host, place.port, { clock, timeoutMs: CONNECT_MS, signal });
        try {
          await group.use({ stream, path: group.pathOf(place), remoteAddress: place.host, called: endpoint });
        } catch (error) {
          stream.destroy();
          throw error;
        }
      }),
    );
  } catch (error) {
    const [first] = error instanceof AggregateError ? error.errors : [error];
    if (!signal.aborted) onFailure(`${endpoint.host} port ${endpoint.port}`, first);
    throw first;
  }
}
