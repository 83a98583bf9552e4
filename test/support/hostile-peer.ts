/** A peer that knows the code and then does as it likes: a channel's TLS socket, past the proofs, without the channel. */
import { once } from "node:events";
import { connect } from "node:net";
import type { TLSSocket } from "node:tls";
import type { PeerSuite } from "../../src/daemon/core/peers.ts";
import { readExactly, type Secured, secure } from "../../src/daemon/p2p/channel/handshake.ts";
import { type Identity, loadIdentity } from "../../src/daemon/p2p/channel/identity.ts";
import { type Binding, encodeHello, HELLO_BYTES } from "../../src/daemon/p2p/channel/proof.ts";
import type { Role } from "../../src/daemon/p2p/channel/wire.ts";
import type { PeerStream, ShareKeys } from "../../src/daemon/p2p/types.ts";
import { identityFolder } from "./peer-pair.ts";

/** What is different about it. */
export interface Hostility {
  readonly suite?: PeerSuite;
  /** Says that it agrees to chunks in the clear. */
  readonly plain?: boolean;
}

/** Calls a giver and proves the code. */
export async function hostileTaker(port: number, keys: ShareKeys, options: Hostility = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  return hostile("taker", socket, keys, options);
}

/** Takes a call and proves the code without having looked at the taker's proof. */
export function hostileGiver(stream: PeerStream["stream"], keys: ShareKeys, options?: Hostility): Promise<TLSSocket> {
  return hostile("giver", stream, keys, options ?? {});
}

async function hostile(
  role: Role,
  stream: PeerStream["stream"],
  keys: ShareKeys,
  { suite = "modern", plain = false }: Hostility,
): Promise<TLSSocket> {
  const identity = await loadIdentity(identityFolder("hostile"));
  const { signal } = new AbortController();
  const secured = await secure(stream, role, identity, suite, signal);
  const binding = bindingOf(role, identity, secured);
  if (role === "giver") await readExactly(secured.socket, HELLO_BYTES, signal);
  secured.socket.write(encodeHello(keys, role, plain, binding));
  if (role === "taker") await readExactly(secured.socket, HELLO_BYTES, signal);
  return secured.socket;
}

function bindingOf(role: Role, identity: Identity, { peerId, exporter }: Secured): Binding {
  return role === "taker"
    ? { takerId: identity.peerId, giverId: peerId, exporter }
    : { takerId: peerId, giverId: identity.peerId, exporter };
}
