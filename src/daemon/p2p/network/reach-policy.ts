/**
 * Which addresses may be called, and may call, in which mode, and what a path by them is called. The local network is what
 * has private addresses, or lies in a network that one of this machine's interfaces is in.
 */
import { BlockList, isIP, isIPv6 } from "node:net";
import { addressKind } from "../../core/address-kind.ts";
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import { ownNetworks } from "../discovery/endpoint-filter.ts";
import type { Endpoint } from "../types.ts";

/** True if an address is on this machine, or in its network. */
export function isLan(address: string): boolean {
  if (addressKind(address) !== "public") return true;
  const networks = new BlockList();
  for (const network of ownNetworks()) {
    const [own = "", bits] = network.split("/");
    networks.addSubnet(own, Number(bits), isIPv6(own) ? "ipv6" : "ipv4");
  }
  return networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** May a TCP connection to or from an address be made at all? */
export function allowsTcp(mode: PeerMode, address: string): boolean {
  if (isIP(address.replace(/%.*$/, "")) === 0 || mode === "relay-only") return false;
  return mode !== "lan-only" || isLan(address);
}

/** What a path to an endpoint is called. */
export function pathTo(endpoint: Endpoint): PeerPath {
  if (isLan(endpoint.host)) return "lan";
  if (isIPv6(endpoint.host)) return "ipv6";
  return endpoint.kind === "mapped" ? "mapped" : "direct";
}

/** What the path of a caller is called. @param local - the address that he came in by */
export function pathFrom(remote: string, local: string): PeerPath {
  if (isLan(remote)) return "lan";
  if (isIPv6(remote)) return "ipv6";
  // A port of the router leads here: otherwise nobody from outside could come to a private address.
  return addressKind(local) === "public" ? "direct" : "mapped";
}

/** The endpoints that are worth a call, the nearest first. */
export function orderEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const rank = (endpoint: Endpoint) => {
    if (endpoint.kind === "explicit") return 0;
    return ["lan", "ipv6", "direct", "mapped"].indexOf(isIP(endpoint.host) ? pathTo(endpoint) : "lan") + 1;
  };
  return endpoints.toSorted((a, b) => rank(a) - rank(b));
}
