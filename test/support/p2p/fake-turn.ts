/** A TURN server over TCP on loopback that relays rightly, and misbehaves where a test wants it to. */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { TurnFrames } from "../../../src/daemon/p2p/nat/turn-frames.ts";
import {
  decodeTurn,
  encodeTurn,
  TURN,
  type TurnAttributes,
  type TurnMessage,
  turnKey,
} from "../../../src/daemon/p2p/nat/turn-message.ts";

/** How it behaves; absent: as it should. */
export interface TurnBehaviour {
  /** In place of what it would do. @returns true: that is all */
  readonly onRequest?: (request: TurnMessage, link: TurnLink) => boolean;
  /** As soon as somebody connects. @returns true: that is all */
  readonly onConnect?: (socket: Socket) => boolean;
  /** Seconds that it says an allocation lasts. */
  readonly lifetime?: number;
}

/** A connection to it. */
interface TurnLink {
  readonly socket: Socket;
  /** What it wants in the proof just now. */
  nonce: Buffer;
  readonly key: Buffer;
  /** Answers. @param key - by which it is proved; absent: it is not */
  answer(to: TurnMessage, kind: "success" | "error", attributes: TurnAttributes, key?: Buffer): void;
}

/** A server that runs. */
export interface FakeTurn extends AsyncDisposable {
  readonly port: number;
  readonly account: { readonly url: string; readonly username: string; readonly credential: string };
  /** Requests with a right proof. */
  readonly requests: readonly TurnMessage[];
  /** Datagrams that went through it. */
  readonly relayed: { out: number; in: number };
  /** Connections that are open. */
  readonly links: ReadonlySet<Socket>;
}

const REALM = "example.org";

/** Starts one. */
export async function fakeTurn(behaviour: TurnBehaviour = {}): Promise<FakeTurn> {
  const requests: TurnMessage[] = [];
  const relayed = { out: 0, in: 0 };
  const links = new Set<Socket>();
  const relays = new Set<UdpSocket>();
  const server = createServer((socket) => {
    links.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => links.delete(socket));
    if (behaviour.onConnect?.(socket)) {
      socket.resume();
      return;
    }
    const relay = serve(socket, behaviour, { requests, relayed });
    relays.add(relay);
    socket.on("close", () => {
      if (relays.delete(relay)) relay.close();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    account: { url: `turn:127.0.0.1:${port}`, username: "ann", credential: "a secret" },
    ...{ requests, relayed, links },
    async [Symbol.asyncDispose]() {
      for (const socket of links) socket.destroy();
      for (const relay of relays) relay.close();
      relays.clear();
      server.close();
      await once(server, "close");
    },
  };
}

function serve(
  socket: Socket,
  behaviour: TurnBehaviour,
  { requests, relayed }: { readonly requests: TurnMessage[]; readonly relayed: FakeTurn["relayed"] },
): UdpSocket {
  const frames = new TurnFrames();
  const relay = createSocket("udp4");
  const permitted = new Set<string>();
  const link: TurnLink = {
    socket,
    nonce: randomBytes(8),
    key: turnKey("ann", REALM, "a secret"),
    answer(to, kind, attributes, key) {
      const { method, transactionId } = to;
      socket.write(encodeTurn({ kind, method, transactionId, ...attributes }, key));
    },
  };
  const allocate = async (request: TurnMessage) => {
    relay.bind(0, "127.0.0.1");
    await once(relay, "listening");
    const { address, port } = relay.address();
    link.answer(request, "success", { relayed: { address, port }, lifetime: behaviour.lifetime ?? 600 }, link.key);
  };
  relay.on("message", (data, { address, port }) => {
    if (!permitted.has(address)) return;
    relayed.in += 1;
    const head = { kind: "indication", method: TURN.data, transactionId: randomBytes(12) } as const;
    socket.write(encodeTurn({ ...head, peers: [{ address, port }], data }));
  });
  const take = (message: TurnMessage) => {
    const { kind, method, peers = [], data } = message;
    if (kind === "indication" && method === TURN.send) {
      const [to] = peers;
      if (to === undefined || data === undefined || !permitted.has(to.address)) return;
      relayed.out += 1;
      relay.send(data, to.port, to.address);
      return;
    }
    if (message.proved) requests.push(message);
    if (behaviour.onRequest?.(message, link)) return;
    if (!message.proved) link.answer(message, "error", { errorCode: 401, realm: REALM, nonce: link.nonce });
    else if (message.nonce?.equals(link.nonce) !== true)
      link.answer(message, "error", { errorCode: 438, realm: REALM, nonce: link.nonce });
    else if (method === TURN.allocate) void allocate(message);
    else {
      if (method === TURN.createPermission) for (const { address } of peers) permitted.add(address);
      const lifetime = behaviour.lifetime ?? message.lifetime ?? 0;
      link.answer(message, "success", { lifetime }, link.key);
    }
  };
  socket.on("data", (bytes) => {
    for (const one of frames.push(bytes) ?? []) {
      const message = decodeTurn(one, link.key);
      if (message) take(message);
    }
  });
  return relay;
}
