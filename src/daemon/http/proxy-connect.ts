/** A tunnel through an HTTP proxy: CONNECT (RFC 9110 §9.3.6). The proxy's credentials go to the proxy only. */
import type { Socket } from "node:net";
import { failure } from "../core/errors.ts";
import { Handshake } from "./handshake.ts";
import { type ProxyServer, proxyAuthorization } from "./proxy.ts";

/** Bytes of the proxy's answer, at most. */
const MOST_BYTES = 16 * 1024;

/**
 * Opens the tunnel on a connection to the proxy.
 *
 * @param authority - host and port of the origin
 * @throws NetworkError PROXY_FAILED, PROXY_UNAUTHORIZED; Error of the socket
 */
export async function openTunnel(
  socket: Socket,
  proxy: ProxyServer,
  authority: string,
  userAgent: string,
): Promise<void> {
  const handshake = new Handshake(socket);
  try {
    const fields = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, `User-Agent: ${userAgent}`];
    const credentials = proxyAuthorization(proxy);
    if (credentials !== undefined) fields.push(`Proxy-Authorization: ${credentials}`);
    handshake.write(`${fields.join("\r\n")}\r\n\r\n`);
    const answer = (await handshake.until("\r\n\r\n", MOST_BYTES)).toString("latin1");
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(answer)?.[1]);
    if (Number.isNaN(status)) throw failed(proxy, authority, "it answers something that is not HTTP");
    requireTunnel(proxy, authority, status);
  } finally {
    handshake.end();
  }
}

/** @throws NetworkError PROXY_UNAUTHORIZED */
export function requireAdmission(proxy: ProxyServer, status: number): void {
  if (status !== 407) return;
  const given = proxy.user !== undefined || proxy.password !== undefined;
  throw failure(
    "PROXY_UNAUTHORIZED",
    `the proxy ${proxy.shown} ${given ? "does not accept the credentials that it got" : "wants credentials"} (HTTP 407)`,
    { metadata: { proxy: proxy.shown, status: "407" } },
  );
}

function requireTunnel(proxy: ProxyServer, authority: string, status: number): void {
  requireAdmission(proxy, status);
  if (status >= 200 && status < 300) return;
  throw failed(proxy, authority, `it answers HTTP ${status}`, status);
}

function failed(proxy: ProxyServer, authority: string, why: string, status?: number): Error {
  return failure("PROXY_FAILED", `the proxy ${proxy.shown} opens no way to ${authority}: ${why}`, {
    metadata: { proxy: proxy.shown, host: authority, ...(status !== undefined && { status: `${status}` }) },
    // It does not want to: asking again changes nothing.
    ...(status !== undefined && status >= 400 && status < 500 && status !== 429 && { retryable: false }),
  });
}
