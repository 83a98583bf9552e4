/** A connection through a SOCKS5 proxy (RFC 1928), with user and password where it wants them (RFC 1929). */
import { isIP, type Socket } from "node:net";
import { failure } from "../core/errors.ts";
import { Handshake } from "./handshake.ts";
import type { ProxyServer } from "./proxy.ts";

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const USER_AND_PASSWORD = 2;

/** Replies other than 0 (RFC 1928 §6). */
const REPLIES: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "its rules do not allow it",
  3: "the network cannot be reached",
  4: "the host cannot be reached",
  5: "the host refused the connection",
  6: "it took too long",
  7: "it does not know the command",
  8: "it does not know the kind of address",
};

/**
 * Has the proxy connect to a host.
 *
 * @param host - an address, or a name that the proxy resolves
 * @throws NetworkError PROXY_FAILED, PROXY_UNAUTHORIZED; CONNECT_REFUSED and CONNECT_FAILED where it is the host that cannot
 *   be reached; Error of the socket
 */
export async function connectBySocks(socket: Socket, proxy: ProxyServer, host: string, port: number): Promise<void> {
  const handshake = new Handshake(socket);
  try {
    const { user, password } = proxy;
    const methods =
      user === undefined && password === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD];
    handshake.write(Buffer.from([VERSION, methods.length, ...methods]));
    const [version, method] = await handshake.bytes(2);
    if (version !== VERSION) throw failed(proxy, "it answers something that is not SOCKS5");
    if (method === USER_AND_PASSWORD && methods.includes(USER_AND_PASSWORD)) await authenticate(handshake, proxy);
    else if (method !== NO_AUTHENTICATION) throw unauthorized(proxy, methods.length > 1);

    handshake.write(Buffer.concat([Buffer.from([VERSION, 1, 0]), encodedHost(proxy, host), encodedPort(port)]));
    const [replyVersion, reply = 1, , kind] = await handshake.bytes(4);
    if (replyVersion !== VERSION) throw failed(proxy, "it answers something that is not SOCKS5");
    if (reply !== 0) throw refused(proxy, reply, `${host}:${port}`);
    // The address that the proxy uses for this: of no interest, but it has to be read.
    const length = kind === 1 ? 4 : kind === 4 ? 16 : kind === 3 ? (await handshake.bytes(1))[0] : undefined;
    if (length === undefined) throw failed(proxy, "it answers something that is not SOCKS5");
    await handshake.bytes(length + 2);
  } finally {
    handshake.end();
  }
}

async function authenticate(handshake: Handshake, proxy: ProxyServer): Promise<void> {
  const user = Buffer.from(proxy.user ?? "");
  const password = Buffer.from(proxy.password ?? "");
  handshake.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]));
  const [, status] = await handshake.bytes(2);
  if (status !== 0) throw unauthorized(proxy, true);
}

/** Address type and address (RFC 1928 §5). */
function encodedHost(proxy: ProxyServer, host: string): Buffer {
  const family = isIP(host);
  if (family === 4) return Buffer.from([1, ...host.split(".").map(Number)]);
  if (family === 6) return Buffer.concat([Buffer.from([4]), ipv6Bytes(host)]);
  const name = Buffer.from(host);
  if (name.length > 255) throw failed(proxy, "the host's name is longer than SOCKS5 can carry (255 bytes)");
  return Buffer.concat([Buffer.from([3, name.length]), name]);
}

function encodedPort(port: number): Buffer {
  return Buffer.from([port >> 8, port & 255]);
}

function ipv6Bytes(address: string): Buffer {
  const text = new URL(`http://[${address.replace(/%.*$/, "")}]/`).hostname.slice(1, -1);
  const [head = "", tail] = text.split("::");
  const groups = (part: string | undefined): string[] => (part ? part.split(":") : []);
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill("0"), ...last];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function refused(proxy: ProxyServer, reply: number, host: string): Error {
  const metadata = { proxy: proxy.shown, host, reply: String(reply) };
  const why = REPLIES[reply] ?? `reply ${reply}`;
  const message = `${host} cannot be reached by way of the proxy ${proxy.shown}: ${why}`;
  if (reply === 5) return failure("CONNECT_REFUSED", message, { metadata });
  if (reply === 3 || reply === 4 || reply === 6) return failure("CONNECT_FAILED", message, { metadata });
  return failure("PROXY_FAILED", message, { metadata, ...(reply !== 1 && { retryable: false }) });
}

function unauthorized(proxy: ProxyServer, given: boolean): Error {
  const what = given ? "does not accept the credentials that it got" : "wants credentials";
  return failure("PROXY_UNAUTHORIZED", `the proxy ${proxy.shown} ${what}`, { metadata: { proxy: proxy.shown } });
}

function failed(proxy: ProxyServer, why: string): Error {
  return failure("PROXY_FAILED", `the proxy ${proxy.shown} does not do its work: ${why}`, {
    metadata: { proxy: proxy.shown },
  });
}
