/**
 * Which daemon is meant: --address, else SNATCH_ADDRESS, else the Unix socket of this user (or of --home). Knows nothing
 * of gRPC, so that commands which need no call load fast.
 */
import { readFileSync } from "node:fs";
import { connect as openSocket } from "node:net";
import { type Address, formatAddress, parseAddress } from "../shared/address.ts";
import { locate, type Paths } from "../shared/paths.ts";
import { fail, messageOf, misuse, option } from "./failure.ts";
import type { Globals } from "./globals.ts";

/** A Unix socket's path is at most so long, in bytes, on Linux and (shorter) macOS: sockaddr_un less the final zero. */
const LONGEST_SOCKET_PATH = process.platform === "darwin" ? 103 : 107;

/** Where the daemon is, and what it asks for. */
export interface Target {
  readonly address: Address;
  /** For messages. */
  readonly text: string;
  /** Nobody named an address: this is the user's own daemon, which may be started when it does not run. */
  readonly own: boolean;
  readonly paths: Paths;
  /** Bearer token, for TCP. */
  readonly token?: string;
  /** Certificates to trust instead of the system's, in PEM. */
  readonly ca?: Buffer;
}

/** @throws ClientError for an address, token file or certificate file that cannot be used */
export function resolveTarget(globals: Globals, env: NodeJS.ProcessEnv = process.env): Target {
  const paths = locate(globals.home, env);
  const given = globals.address ?? (env["SNATCH_ADDRESS"] || undefined);
  const address: Address =
    given === undefined
      ? { kind: "unix", path: paths.socket }
      : option(globals.address === undefined ? "SNATCH_ADDRESS" : "--address", () => parseAddress(given));
  if (address.kind === "unix") {
    const bytes = Buffer.byteLength(address.path);
    if (bytes > LONGEST_SOCKET_PATH)
      throw misuse(
        `the socket's path has ${bytes} bytes and a Unix socket allows ${LONGEST_SOCKET_PATH}: ${address.path}`,
        "Use a shorter SNATCH_HOME (or --home), or give --address.",
      );
    return { address, text: formatAddress(address), own: given === undefined, paths };
  }
  const token = readToken(globals, env, address.loopback ? paths.tokenFile : undefined);
  const caFile = globals.tlsCa ?? (env["SNATCH_TLS_CA"] || undefined);
  return {
    address,
    text: formatAddress(address),
    own: false,
    paths,
    ...(token !== undefined && { token }),
    ...(caFile !== undefined && { ca: read(caFile, "--tls-ca") }),
  };
}

/** The token of the named file, else of the user's own daemon if there is one and the call stays on this machine. */
function readToken(globals: Globals, env: NodeJS.ProcessEnv, ownFile: string | undefined): string | undefined {
  const named = globals.tokenFile ?? (env["SNATCH_TOKEN_FILE"] || undefined);
  if (named !== undefined) return read(named, "--token-file").toString("utf8").trim();
  try {
    return ownFile === undefined ? undefined : readFileSync(ownFile, "utf8").trim();
  } catch {
    // There is none, or it is another user's: the daemon will say that it wants one.
    return undefined;
  }
}

function read(file: string, name: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw misuse(`${name}: ${messageOf(error)}`);
  }
}

/** True if something accepts connections at the address. */
export function answers(address: Address, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      address.kind === "unix" ? openSocket(address.path) : openSocket({ host: address.host, port: address.port });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => settle(false));
    socket.once("connect", () => settle(true)).once("error", () => settle(false));
  });
}

/** The error for a daemon that is not there. */
export function unreachable(target: Target, reason: string): Error {
  const state = target.own ? "no daemon runs" : "no daemon answers";
  return fail("DAEMON_UNREACHABLE", `${state} at ${target.text}${reason ? ` (${reason})` : ""}`);
}
