/** URLs of TURN servers (RFC 7065), as far as a stream to them goes. */

/** Ports (RFC 8656 §18): TURN, and TURN over TLS. */
const TURN_PORT = 3478;
const TURNS_PORT = 5349;

/** A relay, as the configuration has it. */
export interface TurnAccount {
  /** "turn:HOST:PORT", with "?transport=udp" or "tcp" where only one is to be tried; "turns:…" for TLS. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly credential?: string | undefined;
}

/** Where a stream to a server goes. */
export interface TurnPlace {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** @returns undefined if it is none, or only for UDP */
export function readTurnUrl(url: string): TurnPlace | undefined {
  const match = /^(turns?):(?:\[([0-9a-f:.]+)\]|([^:?[\]/]+))(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/i.exec(url);
  if (match === null || match[5]?.toLowerCase() === "udp") return undefined;
  const tls = match[1]?.toLowerCase() === "turns";
  const port = Number(match[4] ?? (tls ? TURNS_PORT : TURN_PORT));
  const host = match[2] ?? match[3] ?? "";
  return port > 0 && port < 65_536 ? { host, port, tls } : undefined;
}
