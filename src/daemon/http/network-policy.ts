/**
 * What came over the network, also from a caller over TCP, may not lead into the private network: a public host that redirects to the router, to a
 * service on loopback or to a cloud's metadata would use Snatch to reach what it cannot reach itself. What a person typed
 * may lead anywhere. Judged are addresses, at the time when they are connected to, so that a name that changes its address
 * in between gains nothing.
 */
import { isIP } from "node:net";
import { type AddressKind, addressKind } from "../core/address-kind.ts";
import { failure } from "../core/errors.ts";

/** What sends somewhere: a place, or a caller over TCP, who gets to public places only. */
export type Sender = AddressKind | "remote";

/** Top-level names that the public DNS does not have: of home networks, of companies, and those that are reserved for that. */
const INSIDE = /^[^.]*$|\.(local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa)$/i;

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
