/**
 * Which addresses of strangers may be called at all. Whoever answers in the DHT could name the router, a service on this
 * machine or a multicast group, and have us call it. So a private address counts only where one of ours lies in the same
 * network, and loopback only where the DHT itself is on loopback, as in tests.
 */
import { BlockList, isIP, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";

/** An address of this machine with its network, as "192.168.1.7/24". */
export type OwnNetwork = string;

/** Where an address lies, as far as it matters to whom it may be named. */
export type Reach = "public" | "private" | "loopback" | "unusable";

const listOf = (...subnets: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = "", bits] = subnet.split("/");
    list.addSubnet(address, Number(bits), familyOf(address));
  }
  return list;
};

/** Nothing to be called: unspecified, multicast, reserved, broadcast; and IPv6 that leads to IPv4 by another name. */
const UNUSABLE = listOf("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8", "64:ff9b::/96", "2002::/16");

const LOOPBACK = listOf("127.0.0.0/8", "::1/128");

/** RFC 1918, 6598, 3927, 4193, 4291. */
const PRIVATE = listOf(
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
);

/** Where it lies. @param address - without a zone */
export function reachOf(address: string): Reach {
  const family = familyOf(address);
  if (isIP(address) === 0 || /^::ffff:/i.test(address) || UNUSABLE.check(address, family)) return "unusable";
  if (LOOPBACK.check(address, family)) return "loopback";
  return PRIVATE.check(address, family) ? "private" : "public";
}

/** True if it can be a port. */
export function isPortNumber(port: unknown): port is number {
  return typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536;
}

/** Neighbours: who holds one address holds those around it too. @returns /24 of IPv4, /48 of IPv6; of public addresses only */
export function neighbourhood(address: string): string | undefined {
  if (reachOf(address) !== "public") return undefined;
  if (isIPv4(address)) return address.slice(0, address.lastIndexOf("."));
  // In full, however it was written.
  const [head = "", tail = ""] = address.toLowerCase().split("::");
  const groups = head.split(":");
  const missing = 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const full = address.includes("::") ? [...groups, ...Array<string>(Math.max(0, missing)).fill("0")] : groups;
  return full
    .slice(0, 3)
    .map((group) => Number.parseInt(group || "0", 16).toString(16))
    .join(":");
}

/** The addresses of this machine, loopback left out. */
export function ownNetworks(): readonly OwnNetwork[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ internal, cidr }) => (internal || cidr === null ? [] : [cidr])),
  );
}

/** Judges addresses of strangers. */
export class EndpointFilter {
  readonly #networks: BlockList;
  readonly #broadcasts: ReadonlySet<string>;
  readonly #loopback: boolean;

  /** @param loopback - the DHT is on loopback, so its peers may be */
  constructor({ networks, loopback }: { readonly networks: readonly OwnNetwork[]; readonly loopback: boolean }) {
    this.#networks = listOf(...networks);
    this.#broadcasts = new Set(networks.flatMap(broadcastOf));
    this.#loopback = loopback;
  }

  /** May it be called? */
  allows(host: string, port: number): boolean {
    if (!isPortNumber(port) || this.#broadcasts.has(host)) return false;
    switch (reachOf(host)) {
      case "public":
        return true;
      case "private":
        return this.#networks.check(host, familyOf(host));
      case "loopback":
        return this.#loopback;
      case "unusable":
        return false;
    }
  }
}

function broadcastOf(network: OwnNetwork): readonly string[] {
  const [address = "", bits] = network.split("/");
  const hostBits = 32 - Number(bits);
  if (!isIPv4(address) || hostBits < 2) return [];
  const number = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const last = Math.floor(number / 2 ** hostBits) * 2 ** hostBits + 2 ** hostBits - 1;
  return [[24, 16, 8, 0].map((shift) => Math.floor(last / 2 ** shift) % 256).join(".")];
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
