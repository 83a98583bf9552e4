/**
 * Where an address lies: on this machine, in a private network, or out in the public one. Rooms judge by it what came over
 * the network: where it may lead to, and whether others can reach it.
 */
import { BlockList, isIP } from "node:net";

/** Where an address lies. Anything that is not a global unicast address is "private" at least. */
export type AddressKind = "public" | "private" | "loopback" | "link-local";

const listOf = (...subnets: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = "", bits] = subnet.split("/");
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
};

/** Nothing is at 0.0.0.0 and ::, but most systems connect to themselves for it. */
const LOOPBACK = listOf("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128");

/** With the addresses under which clouds tell their machines secrets, wherever those lie. */
const LINK_LOCAL = listOf(
  "169.254.0.0/16",
  "fe80::/10",
  "fd00:ec2::254/128",
  "fd20:ce::254/128",
  "100.100.100.200/32",
  "168.63.129.16/32",
  "192.0.0.192/32",
);

/** IANA's special-purpose registries (RFC 6890), without what is above. */
const PRIVATE = listOf(
  "10.0.0.0/8",
  "100.64.0.0/10",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "2001::/23",
  "2001:db8::/32",
  "3fff::/20",
);

/** All that there is of global unicast addresses in IPv6 (IANA's registry of the address space). */
const GLOBAL_IPV6 = listOf("2000::/3");

/** Where an address lies. @param address - IPv4 or IPv6, in any spelling; what is neither is private */
export function addressKind(address: string): AddressKind {
  const bare = address.replace(/%.*$/, "");
  const family = isIP(bare) === 6 ? "ipv6" : "ipv4";
  const inner = family === "ipv6" ? embedded(bare) : undefined;
  if (inner !== undefined) return addressKind(inner);
  if (LOOPBACK.check(bare, family)) return "loopback";
  if (LINK_LOCAL.check(bare, family)) return "link-local";
  if (isIP(bare) === 0 || PRIVATE.check(bare, family)) return "private";
  return family === "ipv4" || GLOBAL_IPV6.check(bare, family) ? "public" : "private";
}

/**
 * The IPv4 address inside of a mapped (::ffff:), translated (64:ff9b::, RFC 6052; ::ffff:0:, RFC 2765) or 6to4 (2002::,
 * RFC 3056) one.
 */
function embedded(address: string): string | undefined {
  // The URL parser writes every spelling in the same way, with hexadecimal groups only.
  const text = URL.parse(`http://[${address}]/`)?.hostname.slice(1, -1);
  if (text === undefined) return undefined;
  const [head = "", tail] = text.split("::");
  const groups = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - groups.length - last.length;
  const all = [...groups, ...Array<string>(gap).fill("0"), ...last].map((group) => Number.parseInt(group, 16));
  const ipv4 = (high = 0, low = 0): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const zeros = (from: number, to: number): boolean => all.slice(from, to).every((group) => group === 0);
  if (zeros(0, 4) && all[4] === 0xffff && all[5] === 0) return ipv4(all[6], all[7]);
  if (zeros(0, 5) && all[5] === 0xffff) return ipv4(all[6], all[7]);
  // The compatible form (::a.b.c.d) is out of use, and was never meant to leave the machine.
  if (zeros(0, 6) && all[6] !== 0) return ipv4(all[6], all[7]);
  if (all[0] === 0x64 && all[1] === 0xff9b && zeros(2, 6)) return ipv4(all[6], all[7]);
  return all[0] === 0x2002 ? ipv4(all[1], all[2]) : undefined;
}
