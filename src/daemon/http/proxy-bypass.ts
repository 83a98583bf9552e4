/**
 * Hosts that are asked without a proxy: NO_PROXY and `http.no_proxy`. Items are names (with their subdomains), names with a
 * dot in front (only their subdomains, and themselves, as curl has it), addresses, CIDR ranges, each with a port if wanted,
 * and `*` for every host. The list of hosts that callers over TCP may have asked is written in the same way.
 */
import { BlockList, isIP } from "node:net";

/** True for a URL whose host is in the list. */
export type Bypass = (url: URL) => boolean;

/** @param text - items with commas or white space between them; what cannot be read matches nothing */
export function bypassOf(text: string): Bypass {
  const items = text
    .split(/[\s,]+/)
    .filter((item) => item !== "")
    .map(itemOf);
  return (url) => {
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    return items.some((item) => (item.port === undefined || item.port === port) && item.matches(host));
  };
}

interface Item {
  readonly port?: string | undefined;
  matches(host: string): boolean;
}

function itemOf(text: string): Item {
  if (text === "*") return { matches: () => true };
  const [, bracketed, bracketPort] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? [];
  if (bracketed !== undefined) return { ...addressItem(bracketed), port: bracketPort };
  if (isIP(text) === 6) return addressItem(text);
  if (text.includes("/")) return rangeItem(text);
  const [, name = text, port] = /^([^:]*):(\d+)$/.exec(text) ?? [];
  if (isIP(name) !== 0) return { ...addressItem(name), port };
  // As the URL parser writes it: in lower case, international names in ASCII.
  const bare = name.replace(/^\*?\.+/, "").replace(/\.$/, "");
  const domain = URL.parse(`http://${bare}/`)?.hostname ?? bare.toLowerCase();
  return { port, matches: (host) => domain !== "" && (host === domain || host.endsWith(`.${domain}`)) };
}

function addressItem(text: string): Item {
  const bits = isIP(text) === 6 ? 128 : 32;
  return rangeItem(`${text}/${bits}`);
}

function rangeItem(text: string): Item {
  const [address = "", bits = ""] = text.split("/");
  const family = isIP(address);
  const length = Number(bits);
  if (family === 0 || !/^\d{1,3}$/.test(bits) || length > (family === 6 ? 128 : 32)) return { matches: () => false };
  const list = new BlockList();
  list.addSubnet(address, length, family === 6 ? "ipv6" : "ipv4");
  return {
    matches: (host) => {
      const is = isIP(host);
      return is !== 0 && list.check(host, is === 6 ? "ipv6" : "ipv4");
    },
  };
}
