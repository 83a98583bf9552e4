/**
 * Real networks for tests: routers, NATs, STUN and TURN in network namespaces (test/rigs/). A rig's names are its own, so
 * several run side by side; it is taken down when it is disposed of, when this process ends, and, if that was killed, by
 * the next one that sets up a rig.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Running, type RunOptions, startProgram } from "./run-program.ts";
import { missing } from "./tools.ts";

const RIGS = join(import.meta.dirname, "../rigs");

/** Debian puts servers where not every PATH looks. */
const ENV = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` };

/** Namespaces of a rig begin with this, the pid of who set it up, and a number. */
const OURS = /^(snt(\d+)[nu]\d+)(A2?|B2?|n[AB]|c[AB]|srv|inet|c2?|r|x)$/;

/** Kinds of NAT of {@link natRig}, see test/rigs/nat.sh. */
export type NatKind = "cone" | "restricted" | "full" | "sym" | "udpblock" | "cgn" | "none" | "firewall";

/** A network that runs. */
export interface Rig<Host extends string> extends AsyncDisposable {
  /** Starts a program on a host; it is killed when the rig is taken down. */
  run(host: Host, program: string, args: readonly string[], options?: RunOptions): Running;
  /** Name of the namespace of a host, or a router. */
  namespace(host: Host): string;
  /** IPv4 of a host, as it knows itself. */
  address(host: Host): string;
  /** Files of the rig's servers. */
  readonly folder: string;
}

/** Hosts of {@link natRig}: A and A2 behind one NAT, B and B2 behind another; servers; the NATs (to listen in). */
export type NatHost = "A" | "A2" | "B" | "B2" | "srv" | "nA" | "nB" | "cA" | "cB" | "inet";

/** Two NATs and the Internet between them. */
export interface NatRig extends Rig<NatHost> {
  /** STUN with RFC 5780's second address, and TURN (UDP, TCP), "host:port". */
  readonly stun: string;
  /** The server's other address, for a second STUN server. */
  readonly otherStun: string;
  readonly turn: { readonly url: string; readonly username: string; readonly credential: string };
  /** What the Internet sees of a side's hosts; the host's own where there is no NAT. */
  outside(host: "A" | "A2" | "B" | "B2"): string;
  /** Other NATs; the hosts' links go down and come back. Use fresh local ports. */
  flip(a: NatKind, b: NatKind): Promise<void>;
  stopTurn(): Promise<void>;
  startTurn(): Promise<void>;
}

/** Hosts of {@link upnpRig}: c and c2 behind the router r, x outside. */
type UpnpHost = "c" | "c2" | "r" | "x";

/** How the router of {@link upnpRig} is. */
export interface UpnpOptions {
  /** Version of the IGD that it says it is. Default 2. */
  readonly igd?: 1 | 2;
  /** Default true. */
  readonly upnp?: boolean;
  /** Default true. */
  readonly natPmp?: boolean;
  /** Its address outside is a carrier's private one. Default false. */
  readonly private?: boolean;
  /** Shortest lease of NAT-PMP in seconds. Default: miniupnpd's, 120. */
  readonly leastLease?: number;
}

/** A home network behind a router with UPnP and NAT-PMP. */
export interface UpnpRig extends Rig<UpnpHost> {
  /** Of the router, as the outside sees it. */
  readonly outside: string;
  /** Its lease file: "TCP:EXTERNAL:ADDRESS:INTERNAL:EXPIRES:DESCRIPTION" a line. */
  leases(): Promise<string[]>;
  /** What its packet filter redirects, a rule a line. */
  rules(): Promise<string[]>;
  /** It reboots: all mappings are gone. */
  restart(): Promise<void>;
  /** Its UPnP and NAT-PMP end, or start. */
  serve(on: boolean): Promise<void>;
  /** Its provider gives it another address outside. */
  readdress(address: string): Promise<void>;
}

/** For `skip`: false where the NAT rig can run; else why not. */
export function noNatRig(): string | false {
  return missing("ip", "nft", "turnserver", "openssl", "ss") || noNamespaces();
}

/** For `skip`: false where the UPnP rig can run; else why not. */
export function noUpnpRig(): string | false {
  return missing("ip", "nft", "miniupnpd", "ss") || noNamespaces();
}

/**
 * Sets up two NATs. Hosts reach each other by their outside addresses only; `srv` holds STUN and TURN, and whatever else
 * is started there (such as the first node of a DHT), at 100.200.0.10.
 *
 * @param options - `ipv6`: the hosts have global IPv6 addresses, behind a firewall that lets nothing in
 */
export async function natRig(a: NatKind, b: NatKind, options: { readonly ipv6?: boolean } = {}): Promise<NatRig> {
  let kinds = { A: a, B: b };
  const base = await setUp<NatHost>("n", "nat.sh", [a, b], { IPV6: options.ipv6 ? "yes" : "no" });
  const isPublic = (side: "A" | "B") => kinds[side] === "none" || kinds[side] === "firewall";
  const own = (host: "A" | "A2" | "B" | "B2"): string => {
    const side = host.startsWith("A") ? "A" : "B";
    const number = side === "A" ? 1 : 2;
    return `${isPublic(side) ? `100.200.${number}1` : `10.${number}.0`}.${host.endsWith("2") ? 3 : 2}`;
  };
  const isHost = (host: string): host is "A" | "A2" | "B" | "B2" => /^[AB]2?$/.test(host);
  return {
    ...base,
    stun: "100.200.0.10:3478",
    otherStun: "100.200.0.11:3478",
    turn: { url: "turn:100.200.0.10:3478", username: "snatch", credential: "secret" },
    address: (host) =>
      isHost(host) ? own(host) : host === "inet" ? "100.200.0.1" : host === "srv" ? "100.200.0.10" : edge(host),
    outside: (host) => (isPublic(host.startsWith("A") ? "A" : "B") ? own(host) : edge(host)),
    async flip(newA, newB) {
      await base.script("flip", newA, newB);
      kinds = { A: newA, B: newB };
    },
    stopTurn: async () => void (await base.script("turn-stop")),
    startTurn: async () => void (await base.script("turn-start")),
  };
}

/** Sets up a home network behind a router. */
export async function upnpRig(options: UpnpOptions = {}): Promise<UpnpRig> {
  const base = await setUp<UpnpHost>("u", "upnp.sh", [], {
    IGD: String(options.igd ?? 2),
    UPNP: options.upnp === false ? "no" : "yes",
    NATPMP: options.natPmp === false ? "no" : "yes",
    PRIVATE: options.private ? "yes" : "no",
    ...(options.leastLease !== undefined && { LEAST: String(options.leastLease) }),
  });
  const net = options.private ? "100.64.1" : "100.200.1";
  const addresses = { c: "10.77.0.2", c2: "10.77.0.3", r: "10.77.0.1", x: `${net}.9` };
  return {
    ...base,
    outside: `${net}.1`,
    address: (host) => addresses[host],
    leases: async () => lines(await readFile(join(base.folder, "leases"), "utf8").catch(() => "")),
    rules: async () => lines(await base.script("rules")),
    restart: async () => void (await base.script("restart")),
    serve: async (on) => void (await base.script(on ? "on" : "off")),
    readdress: async (address) => void (await base.script("readdress", address)),
  };
}

interface Base<Host extends string> extends Omit<Rig<Host>, "address"> {
  script(...args: readonly string[]): Promise<string>;
}

let count = 0;

async function setUp<Host extends string>(
  kind: "n" | "u",
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Base<Host>> {
  await removeStale();
  count += 1;
  const prefix = `snt${process.pid}${kind}${count}`;
  const folder = mkdtempSync(join(tmpdir(), "snatch-rig-"));
  const command = [join(RIGS, name), prefix, folder];
  const script = async (...rest: readonly string[]): Promise<string> => {
    const options = { env: { ...ENV, ...env }, timeout: 60_000 };
    return (await promisify(execFile)("bash", [...command, ...rest], options)).stdout;
  };
  let up = true;
  const onExit = () => {
    if (up) execFileSync("bash", [...command, "down"], { env: ENV, stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", onExit);
  const running = new Set<Running>();
  const dispose = async () => {
    if (!up) return;
    for (const { child } of running) child.kill("SIGKILL");
    await script("down");
    up = false;
    process.off("exit", onExit);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await script("up", ...args);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    folder,
    script,
    namespace: (host) => prefix + host,
    run(host, program, rest, options = {}) {
      // `ip netns exec` becomes the program: its pid is the child's.
      const started = startProgram("ip", ["netns", "exec", prefix + host, program, ...rest], {
        ...options,
        env: { ...ENV, ...options.env },
      });
      running.add(started);
      void started.finished.finally(() => running.delete(started)).catch(() => undefined);
      return started;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Takes down what was left by processes that are gone. */
async function removeStale(): Promise<void> {
  const { stdout } = await promisify(execFile)("ip", ["netns", "list"], { env: ENV });
  const stale = new Set<string>();
  for (const line of lines(stdout)) {
    const [, prefix = "", pid = ""] = OURS.exec(line.split(" ")[0] ?? "") ?? [];
    if (prefix !== "" && !isAlive(Number(pid))) stale.add(prefix);
  }
  for (const prefix of stale) {
    const script = join(RIGS, /^snt\d+n/.test(prefix) ? "nat.sh" : "upnp.sh");
    await promisify(execFile)("bash", [script, prefix, tmpdir(), "down"], { env: ENV });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function edge(host: string): string {
  return host.includes("A") ? "100.200.0.21" : "100.200.0.22";
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

let namespaces: string | false | undefined;

/** Why there are no network namespaces here; said once, loudly. */
function noNamespaces(): string | false {
  namespaces ??= tryNamespaces();
  return namespaces;
}

function tryNamespaces(): string | false {
  const name = `snt${process.pid}probe`;
  const ip = (...args: readonly string[]) => execFileSync("ip", args, { env: ENV, stdio: "pipe" });
  try {
    ip("netns", "add", name);
    try {
      ip("netns", "exec", name, "nft", "add", "table", "ip", "probe");
    } finally {
      ip("netns", "del", name);
    }
    return false;
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? error).trim();
    const reason = `NOT RUN: network namespaces are not allowed here (needs root): ${said}`;
    console.error(`# ${reason}`);
    return reason;
  }
}
