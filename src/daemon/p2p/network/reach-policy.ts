/**
 * Which addresses may be called, and may call, in which mode, and what a path by them is called. The local network is what
 * lies in a network that one of this machine's interfaces is in: that an address is private says nothing, since it may be
 * behind a VPN or in a carrier's network.
 */
import { BlockList, isIP, isIPv6 } from "node:net";
import { addressKind } from "../../core/address-kind.ts";
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import { EndpointFilter, ownNetworks } from "../discovery/endpoint-filter.ts";
import type { Endpoint } from "../types.ts";

/** True if an address is on this machine, or in a network of it. */
export function isLan(address: string): boolean {
  const host = address.replace(/%.*$/, "");
  if (addressKind(host) === "loopback" || /^(169\.254\.|fe[89ab]\w:)/i.test(host)) return true;
  const networks = new BlockList();
  for (const network of ownNetworks()) {
    const [own = "", bits] = network.split("/");
    networks.addSubnet(own, Number(bits), isIPv6(own) ? "ipv6" : "ipv4");
  }
  return networks.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

/**
 * May a place be called by TCP that another peer names, who knows the code and need not be a friend? Public ones, and those
 * in a network of ours; this machine by loopback only where it has no other address.
 */
export function mayBeCalled({ host, port }: Pick<Endpoint, "host" | "port">): boolean {
  const networks = ownNetworks();
  // Such as those under which clouds tell their machines secrets.
  if (addressKind(host) === "link-local") return false;
  return new EndpointFilter({ networks, loopback: networks.length === 0 }).allows(host, port);
}

/** The same for a peer that asks to be called back: this machine itself, which could call, never does. */
export function mayBeCalledBack(address: string): boolean {
  return !isOwn(address) && addressKind(address) !== "loopback" && mayBeCalled({ host: address, port: 1024 });
}

/** May ICE ask an address that a peer names? In networks beyond ours too, as any web page may have a browser do. */
export function mayBeAskedByIce(address: string): boolean {
  const kind = addressKind(address);
  return kind === "public" || kind === "private" || (kind === "loopback" && ownNetworks().length === 0);
}

function isOwn(address: string): boolean {
  return ownNetworks().some((network) => network.split("/")[0] === address);
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
  return addressKind(local) === "public" || addressKind(remote) !== "public" ? "direct" : "mapped";
}

/** The endpoints that are worth a call, the nearest first. */
export function orderEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const rank = (endpoint: Endpoint) => {
    if (endpoint.kind === "explicit") return 0;
    return ["lan", "ipv6", "direct", "mapped"].indexOf(isIP(endpoint.host) ? pathTo(endpoint) : "lan") + 1;
  };
  return endpoints.toSorted((a, b) => rank(a) - rank(b));
}
