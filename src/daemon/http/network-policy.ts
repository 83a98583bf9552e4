/**
 * What came over the network, also from a caller over TCP, may not lead into the private network: a public host that redirects to the router, to a
 * service on loopback or to a cloud's metadata would use Snatch to reach what it cannot reach itself. What a person typed
 * may lead anywhere. Judged are addresses, at the time when they are connected to, so that a name that changes its address
 * in between gains nothing.
 */
import { BlockList, isIP } from "node:net";
import { failure } from "../core/errors.ts";

/** Where an address lies. Anything that is not a global unicast address is "private" at least. */
export type AddressKind = "public" | "private" | "loopback" | "link-local";

/** What sends somewhere: a place, or a caller over TCP, who gets to public places only. */
export type Sender = AddressKind | "remote";

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

/** Top-level names that the public DNS does not have: of home networks, of companies, and those that are reserved for that. */
const INSIDE = /^[^.]*$|\.(local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa)$/i;

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
 * Where a host lies, as far as its name tells: for what is reached through a proxy, where the name is resolved elsewhere.
 *
 * @param hostname - as in `URL.hostname`
 */
export function hostKind(hostname: string): AddressKind {
  const bare = bareName(hostname);
  if (isIP(bare) !== 0) return addressKind(bare);
  if (/(^|\.)localhost$/i.test(bare)) return "loopback";
  return INSIDE.test(bare) ? "private" : "public";
}

/**
 * May it lead there? From within the own machine to the private network as well, but not the other way round; to
 * link-local addresses only from them.
 *
 * @param from - where the URL lies that a person gave, or who gave it; undefined: this is that URL
 */
export function mayLead(from: Sender | undefined, to: AddressKind): boolean {
  return from === undefined || to === "public" || to === from || (from === "loopback" && to === "private");
}

/** Refuses a way that {@link mayLead} does not allow. @throws NetworkError ADDRESS_NOT_ALLOWED */
export function requireAllowed(from: Sender | undefined, to: AddressKind, hostname: string): void {
  if (mayLead(from, to)) return;
  const why =
    from === "remote"
      ? `a caller over TCP may not have ${hostname} asked, which is ${to}: it is not in http.allow_remote_hosts`
      : `the way from a ${from} address leads to ${hostname}, which is ${to}`;
  throw failure("ADDRESS_NOT_ALLOWED", why, { metadata: { host: hostname, kind: to } });
}

/**
 * Ports of other protocols, to which only a person leads: a request could be taken for one of theirs (the "bad ports" of
 * the WHATWG Fetch standard, §2.9).
 */
const BAD_PORTS: ReadonlySet<string> = new Set(
  (
    "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 " +
    "137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 " +
    "1720 1723 2049 3659 4045 4190 5060 5061 6000 6379 6566 6665 6666 6667 6668 6669 6679 6697 10080 11211"
  ).split(" "),
);

/** Refuses the way to a port that is not for HTTP. @throws NetworkError ADDRESS_NOT_ALLOWED */
export function requirePort(url: URL): void {
  if (!BAD_PORTS.has(url.port)) return;
  throw failure(
    "ADDRESS_NOT_ALLOWED",
    `${url.host} was not named by the owner, and its port belongs to another protocol`,
    {
      metadata: { host: url.host, port: url.port },
    },
  );
}

/** Hosts that are remembered at most. */
const MOST_SEEN = 1000;

/** Where hosts were when they were connected to: for what their documents name later. */
export class SeenHosts {
  readonly #kinds = new Map<string, AddressKind>();

  /** A host that was public once is not believed to be anything else later. */
  note(hostname: string, kind: AddressKind | undefined): void {
    const before = this.#kinds.get(hostname);
    if (kind === undefined || before === kind || before === "public") return;
    this.#kinds.set(hostname, kind);
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > MOST_SEEN && oldest !== undefined) this.#kinds.delete(oldest);
  }

  /** Where it was; if it was not connected to, what its name proves: one that sounds private may be anybody's. */
  kindOf(hostname: string): AddressKind {
    const told = hostKind(hostname);
    const proved = told === "private" && isIP(bareName(hostname)) === 0 ? "public" : told;
    return this.#kinds.get(hostname) ?? proved;
  }
}

function bareName(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
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
