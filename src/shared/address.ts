/** Addresses of the daemon and of other machines, as people and configurations write them. */
import { isIPv6 } from "node:net";

/** Where a daemon listens. */
export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly loopback: boolean };

/** The port that is taken when an address names none. */
export const DEFAULT_PORT = 7633;

/**
 * Reads `unix:/path`, `/path`, `host`, `host:port`, `[::1]:port` or `:port` (which means 127.0.0.1).
 *
 * @throws TypeError with a message for people
 */
export function parseAddress(text: string): Address {
  const value = text.trim();
  if (value.startsWith("unix:")) {
    const path = value.slice("unix:".length);
    if (!path.startsWith("/")) throw new TypeError(`"${text}": a Unix socket needs an absolute path`);
    return { kind: "unix", path: path.replace(/^\/+/, "/") };
  }
  if (value.startsWith("/")) return { kind: "unix", path: value.replace(/^\/+/, "/") };
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:[\]/\s]*))(?::(?<port>\d{1,5}))?$/.exec(value);
  if (!match || value === "") throw new TypeError(`"${text}" is not an address: use unix:/path or host:port`);
  const host = match.groups?.["v6"] ?? (match.groups?.["host"] || "127.0.0.1");
  const port = Number(match.groups?.["port"] ?? DEFAULT_PORT);
  if (port > 65535) throw new TypeError(`"${text}": a port is at most 65535`);
  return { kind: "tcp", host, port, loopback: isLoopback(host) };
}

/** The text that {@link parseAddress} reads back. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Reads `host:port` and `[::1]:port`: a place on the network, such as a peer or a server. The port has to be there.
 *
 * @returns the host without brackets
 * @throws TypeError with a message for people
 */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252})):(?<port>\d{1,5})$/.exec(
    text.trim(),
  );
  const host = match?.groups?.["v6"] ?? match?.groups?.["host"];
  const port = Number(match?.groups?.["port"]);
  if (host === undefined || (match?.groups?.["v6"] !== undefined && !isIPv6(host))) {
    throw new TypeError(`"${text}" is not host:port, or [address]:port for IPv6`);
  }
  if (port < 1 || port > 65_535) throw new TypeError(`"${text}": a port is a number from 1 to 65535`);
  return { host, port };
}

/** True for what {@link parseHostPort} reads, as it stands. */
export function isHostPort(text: string): boolean {
  try {
    parseHostPort(text);
    return text === text.trim();
  } catch {
    return false;
  }
}

/** True for names and literals that never leave this machine (RFC 6761 §6.3, RFC 5735 §3, RFC 4291 §2.5.3). */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
