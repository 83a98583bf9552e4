/**
 * What kind of NAT is in between, by the tests of RFC 5780: whether it gives a port the same outer port for every
 * destination (mapping), and whom it lets in through it (filtering). A server that cannot answer from another address tells
 * neither; then the answers of several are compared, and the filtering stays unknown.
 */
import { networkInterfaces } from "node:os";
import type { NatBehaviour, NatType } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { BRISK, familyOf, type StunAnswer, StunSocket } from "./stun-socket.ts";
import type { StunAddress } from "./stun-wire.ts";

/** What was found out. */
export interface NatReport {
  readonly natType: NatType;
  readonly mapping?: NatBehaviour;
  readonly filtering?: NatBehaviour;
  /** As the first server to answer saw the port that was asked from: the address matters, the port was another's. */
  readonly external?: StunAddress;
}

/** Servers, each with what it answered to the first question. */
interface Asked {
  readonly server: StunAddress;
  readonly answer: StunAnswer & { readonly mapped: StunAddress };
}

/**
 * Finds out. Every question goes from one local port, but for those about filtering: the port for these must not have
 * called the server's other address before.
 *
 * @param servers - IPv4 before IPv6: the family of the first is used
 * @throws the signal's reason
 */
export async function classifyNat(
  servers: readonly StunAddress[],
  clock: Clock,
  signal: AbortSignal,
): Promise<NatReport> {
  const [first] = servers;
  if (first === undefined) return { natType: "unknown" };
  const family = familyOf(first.address);
  using socket = await StunSocket.open(family, 0, clock);
  const same = servers.filter(({ address }) => familyOf(address) === family);
  const answers = await Promise.all(same.map((server) => socket.ask(server, {}, signal)));
  const asked = same.flatMap((server, index): Asked[] => {
    const answer = answers[index];
    return answer?.mapped ? [{ server, answer: { ...answer, mapped: answer.mapped } }] : [];
  });
  const [one] = asked;
  if (one === undefined) return { natType: "udp-blocked" };
  const able = asked.find((candidate) => otherOf(candidate) !== undefined);
  const [mapping, filtering] = await Promise.all([
    (able && mappingBy(able, socket, signal)) ?? compared(asked),
    able && filteringBy(able, clock, signal),
  ]);
  const external = (able ?? one).answer.mapped;
  const translated = !(isOwn(external.address) && external.port === socket.port);
  return {
    natType: nameOf(translated, mapping, filtering),
    ...(mapping && { mapping }),
    ...(filtering && { filtering }),
    external,
  };
}

/** The classic name (RFC 3489 §5) of what was found out. */
function nameOf(translated: boolean, mapping?: NatBehaviour, filtering?: NatBehaviour): NatType {
  if (!translated) {
    if (filtering === undefined) return "unknown";
    return filtering === "endpoint-independent" ? "none" : "firewall";
  }
  if (mapping === undefined) return "unknown";
  if (mapping !== "endpoint-independent") return "symmetric";
  if (filtering === undefined) return "unknown";
  if (filtering === "endpoint-independent") return "full-cone";
  return filtering === "address-dependent" ? "restricted-cone" : "port-restricted-cone";
}

/** The other address of a server that really has another, and another port: where it is one and the same the tests tell nothing. */
function otherOf({ server, answer }: Asked): StunAddress | undefined {
  const { other } = answer;
  const usable = other && familyOf(other.address) === familyOf(server.address) && other.port !== 0;
  return usable && other.address !== server.address && other.port !== server.port ? other : undefined;
}

/** RFC 5780 §4.3: is the port seen the same from another address, and from another port of that? */
async function mappingBy(asked: Asked, socket: StunSocket, signal: AbortSignal): Promise<NatBehaviour | undefined> {
  const other = otherOf(asked);
  if (other === undefined) return undefined;
  const { server, answer } = asked;
  const second = (await socket.ask({ address: other.address, port: server.port }, {}, signal))?.mapped;
  if (second === undefined) return undefined;
  if (isSame(second, answer.mapped)) return "endpoint-independent";
  const third = (await socket.ask(other, {}, signal))?.mapped;
  if (third === undefined) return undefined;
  return isSame(third, second) ? "address-dependent" : "address-and-port-dependent";
}

/** RFC 5780 §4.4: does an answer come through that comes from another address, or from another port only? */
async function filteringBy(asked: Asked, clock: Clock, signal: AbortSignal): Promise<NatBehaviour | undefined> {
  const other = otherOf(asked);
  if (other === undefined) return undefined;
  const { server } = asked;
  using socket = await StunSocket.open(familyOf(server.address), 0, clock);
  if ((await socket.ask(server, {}, signal))?.mapped === undefined) return undefined;
  const ask = (address: boolean, from: StunAddress) =>
    socket.ask(server, { change: { address, port: true }, from, waits: BRISK }, signal);
  const byAddress = await ask(true, other);
  if (byAddress?.mapped) return "endpoint-independent";
  const byPort = await ask(false, { address: server.address, port: other.port });
  if (byPort?.mapped) return "address-dependent";
  // A server that refuses to answer from elsewhere tells nothing.
  return byAddress || byPort ? undefined : "address-and-port-dependent";
}

/** Answers of servers at different addresses: the same port everywhere, or not. */
function compared(asked: readonly Asked[]): NatBehaviour | undefined {
  const [first] = asked;
  const elsewhere = asked.filter(({ server }) => server.address !== first?.server.address);
  if (first === undefined || elsewhere.length === 0) return undefined;
  const agree = elsewhere.every(({ answer }) => isSame(answer.mapped, first.answer.mapped));
  // Which of the two dependent kinds it is cannot be told; the worse one is assumed.
  return agree ? "endpoint-independent" : "address-and-port-dependent";
}

function isSame(a: StunAddress, b: StunAddress): boolean {
  return a.address === b.address && a.port === b.port;
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address));
}
