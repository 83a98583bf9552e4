/** How the network looks from here, in words that say what to do. */
import type { ConnectedPeer, GetNetworkResponse } from "../gen/snatch/v1/share_service.ts";
import { formatBytes, formatDuration, formatRate } from "../shared/format.ts";
import { escapeControls } from "./output.ts";
import { pathText } from "./share-view.ts";

type Network = GetNetworkResponse;

/** What each kind of NAT means for those who want to reach this machine. */
const NAT_TEXTS: Readonly<Record<string, string>> = {
  none: "there is no address translation: this machine has a public address",
  "full-cone": "full cone: whoever knows the address gets in while it is kept open",
  "restricted-cone": "restricted cone: hole punching works with most others",
  "port-restricted-cone": "port-restricted cone: hole punching works, but for symmetric ones at the other end",
  symmetric: "symmetric: another port for everybody, so hole punching seldom works",
  firewall: "no address translation, but a firewall: only who was asked first gets in",
  "udp-blocked": "UDP does not get through: neither ICE nor TURN over UDP can be used",
  unknown: "not known; --probe finds out",
};

/** One line: can others come in? */
export function verdict(network: Network): string {
  const { mode, listening, reached, mappedBy, natType } = network;
  if (mode === "relay-only") return "only by a relay, as p2p.mode says";
  if (!listening) return "nothing listens: there is no share and no fetch now";
  if (mode === "lan-only") return "only on the local network, as p2p.mode says";
  if (reached) return "yes: somebody has come in from outside";
  if (mappedBy !== "") return `most likely: the router has opened the port (${mappedBy}), and nobody has come yet`;
  if (natType === "none") return "most likely: the address is public, and nobody has come yet";
  return "not known to be: the router has not opened the port";
}

/** What a person can do, the best first; empty if nothing is wrong. */
export function advice(network: Network): string[] {
  const { mode, listening, reached, mappedBy, natType, port, ice } = network;
  if (mode === "lan-only" || (!listening && mode !== "relay-only")) return [];
  const relay = "set a TURN server (p2p.turn): it gets through where nothing else does";
  const blocked = natType === "udp-blocked" ? [`${relay}, with ?transport=tcp`] : [];
  const noIce = ice || mode === "no-relay" ? [] : [`without ICE no relay can be used: ${network.iceProblem}`];
  if (mode === "relay-only" || reached || mappedBy !== "" || natType === "none") return noIce;
  return [
    `let the router pass TCP port ${port} on to this machine; set p2p.port so that it stays the same`,
    "or switch UPnP or NAT-PMP on in the router",
    ...(blocked.length > 0 || natType !== "symmetric" || mode === "no-relay" ? blocked : [relay]),
    ...noIce,
  ];
}

/** The page: names and values, a line each. */
export function networkLines(network: Network): string[] {
  const { discovery } = network;
  const todo = advice(network);
  const fields = [
    ["reachable", verdict(network)],
    ...todo.map((text, index) => [index === 0 ? "to do" : "", text]),
    ["port", network.port === 0 ? "" : `TCP ${network.port}`],
    ["on the LAN", network.localAddresses.join(", ")],
    ["from outside", outside(network)],
    ["mapping", mapping(network)],
    ["router", nat(network)],
    ["relay", network.ice ? "ICE and TURN can be used" : `ICE and TURN cannot be used: ${network.iceProblem}`],
    ["ways", network.mode],
    ["encryption", network.suite === "classic" ? "classic (TLS 1.2)" : `${network.suite} (TLS 1.3)`],
    ["peer id", network.peerId],
    ...discovery.map(({ name, state }, index) => [index === 0 ? "found by" : "", `${name}: ${state}`]),
  ] as const;
  return fields.flatMap(([name = "", value = ""]) =>
    value === "" ? [] : [`${name.padEnd(13)}${escapeControls(value)}`],
  );
}

function outside({ externalIp, externalPort }: Network): string {
  if (externalIp === "") return "";
  const host = externalIp.includes(":") ? `[${externalIp}]` : externalIp;
  return externalPort === 0 ? host : `${host}:${externalPort}`;
}

function mapping({ mappedBy, mappingExpireTime, mappingProblem }: Network): string {
  if (mappedBy === "") return mappingProblem;
  const until =
    mappingExpireTime === undefined ? "" : `, until ${mappingExpireTime.toLocaleString("sv")}, then renewed`;
  return `by ${mappedBy}${until}${mappingProblem === "" ? "" : `; ${mappingProblem}`}`;
}

function nat({ natType, natMapping, natFiltering }: Network): string {
  const text = Object.hasOwn(NAT_TEXTS, natType) ? (NAT_TEXTS[natType] ?? natType) : natType;
  return natMapping === "" ? text : `${text} (mapping ${natMapping}, filtering ${natFiltering || "not known"})`;
}

/** A peer that is connected, with its average rates. */
export function peerLine(peer: ConnectedPeer, now: number): string {
  const { sentBytes, receivedBytes, connectTime } = peer;
  const since = now - (connectTime?.getTime() ?? now);
  const rate = (bytes: number): string => formatRate((bytes * 1000) / Math.max(since, 1));
  return [
    `${peer.peerId.slice(0, 8)} via ${pathText(peer.path)}${peer.address === "" ? "" : ` (${peer.address})`}`,
    ...(peer.takes ? [`was given ${formatBytes(sentBytes)}, ${rate(sentBytes)}`] : []),
    ...(peer.gives ? [`has given ${formatBytes(receivedBytes)}, ${rate(receivedBytes)}`] : []),
    `of share ${peer.shareId.slice(0, 8)}`,
    `for ${formatDuration(since)}`,
    peer.suite,
  ]
    .map(escapeControls)
    .join(", ");
}

/** The same for programs. */
export function networkJson(network: Network): Record<string, unknown> {
  return {
    verdict: verdict(network),
    advice: advice(network),
    listening: network.listening,
    peer_id: network.peerId || null,
    port: network.port || null,
    local_addresses: network.localAddresses,
    external_ip: network.externalIp || null,
    external_port: network.externalPort || null,
    mapped_by: network.mappedBy || null,
    mapping_expires_at: network.mappingExpireTime?.toISOString() ?? null,
    mapping_problem: network.mappingProblem || null,
    nat_type: network.natType,
    nat_mapping: network.natMapping || null,
    nat_filtering: network.natFiltering || null,
    reached: network.reached,
    mode: network.mode,
    suite: network.suite,
    ice: network.ice,
    ice_problem: network.iceProblem || null,
    discovery: network.discovery.map(({ name, state }) => ({ name, state })),
    peers: network.peers.map((peer) => ({
      peer_id: peer.peerId,
      path: peer.path,
      address: peer.address || null,
      suite: peer.suite,
      share_id: peer.shareId,
      takes: peer.takes,
      gives: peer.gives,
      sent_bytes: peer.sentBytes,
      received_bytes: peer.receivedBytes,
      connected_at: peer.connectTime?.toISOString() ?? null,
    })),
  };
}
