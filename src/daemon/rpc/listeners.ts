/**
 * The sockets that the daemon listens on: its own Unix socket, TCP addresses, and those that the service manager has
 * opened already (sd_listen_fds(3)).
 */
import { chmod, lstat, mkdir, readFile, readlink, unlink } from "node:fs/promises";
import { connect, type ListenOptions, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { type Address, isLoopback } from "../../shared/address.ts";
import type { Environment } from "../../shared/paths.ts";
import { failure } from "../core/errors.ts";

/** `sun_path` without its NUL: unix(7), and unix(4) of the BSDs. */
const LONGEST_SOCKET_PATH = process.platform === "linux" ? 107 : 103;
/** The first descriptor that the service manager passes. */
const FIRST_FD = 3;
/** A socket on which nobody accepts within this time is still somebody's. */
const ANSWER_MS = 2000;

/**
 * Listens on a Unix socket that only its owner may use (0600, in a folder of 0700 if that is made here).
 *
 * @throws DownloadError CONFIG_INVALID if the path is too long or something else lies there, ALREADY_RUNNING if someone
 * answers on it
 */
export async function listenUnix(server: Server, path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > LONGEST_SOCKET_PATH)
    throw failure(
      "CONFIG_INVALID",
      `the path of the Unix socket has ${bytes} bytes and the system takes ${LONGEST_SOCKET_PATH}: ${path}; use a shorter SNATCH_HOME`,
      { metadata: { path } },
    );
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeStale(path);
  // The socket is made inside listen(), synchronously: it never exists with rights for others.
  const before = process.umask(0o077);
  let listening: Promise<void>;
  try {
    listening = listen(server, { path });
  } finally {
    process.umask(before);
  }
  await listening;
  await chmod(path, 0o600);
}

/** Listens on TCP. @returns the address, with the port that was given for port 0 */
export async function listenTcp(server: Server, host: string, port: number): Promise<Address> {
  await listen(server, { host, port });
  return boundAddress(server);
}

/** Listens on a descriptor that was opened elsewhere. */
export async function listenInherited(server: Server, fd: number): Promise<Address> {
  await listen(server, { fd });
  if (server.address() !== null && typeof server.address() === "object") return boundAddress(server);
  return { kind: "unix", path: await pathOfSocket(fd) };
}

/** The descriptors that the service manager passed to this very process. */
export function inheritedDescriptors(env: Environment, pid: number): number[] {
  if (env["LISTEN_PID"] !== String(pid)) return [];
  const count = Number(env["LISTEN_FDS"]);
  if (!Number.isInteger(count) || count < 1 || count > 64) return [];
  return Array.from({ length: count }, (_, index) => FIRST_FD + index);
}

function boundAddress(server: Server): Address {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP socket without an address");
  return { kind: "tcp", host: address.address, port: address.port, loopback: isLoopback(address.address) };
}

/** The path that an inherited Unix socket is bound to; empty where the system does not tell. */
async function pathOfSocket(fd: number): Promise<string> {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/self/fd/${fd}`))?.[1];
    const sockets = await readFile("/proc/net/unix", "utf8");
    // Num RefCount Protocol Flags Type St Inode Path (proc_net(5))
    const line = sockets.split("\n").find((entry) => entry.split(/\s+/)[6] === inode && entry.includes(" /"));
    return line?.slice(line.indexOf(" /") + 1) ?? "";
  } catch {
    return "";
  }
}

function listen(server: Server, options: ListenOptions | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(explain(error, options));
    server.once("error", fail);
    server.listen(options, () => {
      server.off("error", fail);
      resolve();
    });
  });
}

function explain(error: NodeJS.ErrnoException, options: ListenOptions | { readonly fd: number }): Error {
  const where = "fd" in options ? `descriptor ${options.fd}` : (options.path ?? `${options.host}:${options.port}`);
  if (error.code === "EADDRINUSE")
    return failure("CONFIG_INVALID", `cannot listen on ${where}: another program does`, { cause: error });
  if (["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN"].includes(error.code ?? ""))
    return failure("CONFIG_INVALID", `cannot listen on ${where}: it is not an address of this machine`, {
      cause: error,
    });
  if (error.code === "EACCES")
    return failure("CONFIG_INVALID", `cannot listen on ${where}: permission denied`, { cause: error });
  return error;
}

/** Removes a socket that its owner left behind. Nothing else is ever removed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw failure("CONFIG_INVALID", `${path} is not a socket; it is left alone, choose another path`, {
      metadata: { path },
    });
  if (await answers(path)) throw failure("ALREADY_RUNNING", `a daemon answers on ${path}`, { metadata: { path } });
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ path });
    socket.setTimeout(ANSWER_MS, () => settle(true));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      // A full backlog (EAGAIN) is somebody who is busy.
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") settle(false);
      else if (error.code === "EAGAIN") settle(true);
      else reject(error);
    });
  });
}
