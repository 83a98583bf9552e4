/**
 * Happy Eyeballs (RFC 8305): a name with IPv6 and IPv4 addresses is tried at all of them, one shortly after the other, and
 * the first connection that stands is used. A broken IPv6 then costs a quarter of a second and not a timeout. Resolving and
 * connecting are two steps, so that the address that was checked is the address that is connected to.
 */
import { lookup as systemLookup } from "node:dns/promises";
import { connect, isIP, type Socket, type TcpNetConnectOpts } from "node:net";

/** Milliseconds between two attempts (RFC 8305 §5, "Connection Attempt Delay"). */
const ATTEMPT_MS = 250;

/** An address of a host. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Resolves a name. */
export type Lookup = (hostname: string) => Promise<readonly Address[]>;

/** The system's resolver. */
export const lookup: Lookup = (hostname) => systemLookup(hostname, { all: true, verbatim: true });

/**
 * The addresses of a host, in the order in which they are tried: the families take turns, the resolver's first one first
 * (RFC 8305 §4).
 *
 * @param hostname - as in `URL.hostname`
 * @throws Error ENOTFOUND …, as from node:dns
 */
export async function addressesOf(hostname: string, resolve: Lookup): Promise<readonly Address[]> {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(bare);
  if (family !== 0) return [{ address: bare, family }];
  const found = await resolve(bare);
  const preferred = found.filter((address) => address.family === found[0]?.family);
  const others = found.filter((address) => address.family !== found[0]?.family);
  return found.flatMap((_, index) => [preferred[index], others[index]].filter((address) => address !== undefined));
}

/** More for connections. */
export interface RaceOptions {
  readonly signal: AbortSignal;
  /** Makes a socket that is about to connect; default: node:net's connect. */
  readonly open?: (to: TcpNetConnectOpts) => Socket;
}

/** Connects to the first address that answers. @throws Error of node:net, the most telling one; the signal's reason */
export function connectFirst(addresses: readonly Address[], port: number, options: RaceOptions): Promise<Socket> {
  const { signal, open = connect } = options;
  return new Promise((resolve, reject) => {
    const attempts = new Set<Socket>();
    const errors: NodeJS.ErrnoException[] = [];
    let next = 0;
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      for (const socket of attempts) socket.destroy();
    };
    const onAbort = (): void => {
      end();
      reject(signal.reason);
    };
    const begin = (): void => {
      clearTimeout(timer);
      const address = addresses[next++];
      if (address === undefined) {
        if (attempts.size > 0) return;
        end();
        reject(telling(errors));
        return;
      }
      const socket = open({
        host: address.address,
        port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
      });
      attempts.add(socket);
      socket.once("connect", () => {
        attempts.delete(socket);
        end();
        resolve(socket);
      });
      // Also later, between two owners: an error without a listener would end the process.
      socket.on("error", (error) => {
        if (!attempts.delete(socket)) return;
        errors.push(error);
        begin();
      });
      if (next < addresses.length) timer = setTimeout(begin, ATTEMPT_MS);
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    begin();
  });
}

/** That there is no IPv6 here says nothing about the host: what was told by the host itself comes first. */
function telling(errors: readonly NodeJS.ErrnoException[]): Error {
  const local = new Set(["ENETUNREACH", "EADDRNOTAVAIL", "EHOSTUNREACH", "EAFNOSUPPORT"]);
  const found = errors.find(({ code }) => !local.has(code ?? "")) ?? errors[0];
  return found ?? Object.assign(new Error("the name has no address"), { code: "ENOTFOUND" });
}
