/**
 * Addresses of this machine that others can use. Left out is what leads nowhere for them: bridges of containers and virtual
 * machines, and IPv6 addresses that the system gives up soon (temporary ones, RFC 8981) or has given up.
 */
import { readFile } from "node:fs/promises";
import { SocketAddress } from "node:net";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { addressKind } from "../../core/address-kind.ts";
import type { Endpoint } from "../types.ts";

/** An address of this machine. */
export interface LocalAddress {
  readonly address: string;
  /** "lan": private; "direct": public IPv4; "ipv6": global IPv6. */
  readonly kind: Extract<Endpoint["kind"], "lan" | "direct" | "ipv6">;
}

/** Interfaces of containers and virtual machines of this very machine. */
const INNER = /^(docker|br-|veth|virbr|vnet|cni|flannel|cali|podman|lxc|lxd|vmnet|bridge\d|utun|awdl|llw|anpi)/;

/** Flags of /proc/net/if_inet6: temporary, optimistic, duplicate, deprecated, tentative. */
const UNSTEADY = 0x01 | 0x04 | 0x08 | 0x20 | 0x40;

/** The most addresses that are told. */
const MOST = 6;

/**
 * Addresses of this machine, the best first: private IPv4, global IPv6, public IPv4, private IPv6. Loopback only where there
 * is nothing else.
 */
export async function localAddresses(): Promise<LocalAddress[]> {
  return chooseAddresses(networkInterfaces(), await readFile("/proc/net/if_inet6", "latin1").catch(() => ""));
}

/**
 * Chooses among interfaces.
 *
 * @param flags - as in Linux's /proc/net/if_inet6; "" where the system does not tell
 */
export function chooseAddresses(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
  flags: string,
): LocalAddress[] {
  const unsteady = unsteadyAddresses(flags);
  const all = Object.entries(interfaces).flatMap(([name, list = []]) => list.map((one) => ({ ...one, name })));
  const useful = all.filter(({ name, internal, address, family }) => {
    if (internal || INNER.test(name)) return false;
    // Others would need to know the zone of a link-local one; IPv4's are what is left without a router.
    return family === "IPv4" || (addressKind(address) !== "link-local" && !unsteady.has(address));
  });
  const ranked = useful.map(({ address, family }) => ({ address, ...place(address, family === "IPv6") }));
  const chosen = ranked.sort((a, b) => a.rank - b.rank).slice(0, MOST);
  if (chosen.length > 0) return chosen.map(({ address, kind }) => ({ address, kind }));
  return all
    .filter(({ internal, family }) => internal && family === "IPv4")
    .slice(0, 1)
    .map(({ address }) => ({ address, kind: "lan" }));
}

function place(address: string, isIPv6: boolean): { readonly kind: LocalAddress["kind"]; readonly rank: number } {
  const where = addressKind(address);
  if (where === "public") return isIPv6 ? { kind: "ipv6", rank: 1 } : { kind: "direct", rank: 2 };
  if (where === "link-local") return { kind: "lan", rank: 4 };
  return { kind: "lan", rank: isIPv6 ? 3 : 0 };
}

/** A line: address, index, prefix, scope, flags, name. */
function unsteadyAddresses(text: string): ReadonlySet<string> {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  return new Set(
    lines.flatMap(([digits = "", , , , bits = ""]) => {
      if (!/^[0-9a-f]{32}$/.test(digits) || (Number.parseInt(bits, 16) & UNSTEADY) === 0) return [];
      const groups = digits.match(/.{4}/g) ?? [];
      return [new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address];
    }),
  );
}
