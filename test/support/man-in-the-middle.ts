/**
 * Somebody between two peers: ends the TLS of either with a certificate of his own and hands on what they say, or something
 * else that he has heard before.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { PeerSuite } from "../../src/daemon/core/peers.ts";
import { selfSignedRsa, TLS_OPTIONS } from "./rsa-certificate.ts";

/** What he does with what the taker says, and with what the giver says. */
export interface Intent {
  /** To the giver, instead of what the taker has said. */
  readonly toGiver?: (heard: Buffer) => Buffer;
  /** To the taker, as soon as it has said something, without asking the giver. */
  readonly toTaker?: (heard: Buffer) => Buffer;
}

/** He, at work. */
export interface ManInTheMiddle extends AsyncDisposable {
  readonly port: number;
  /** What each has said to him, in the clear. */
  readonly heard: { taker: Buffer; giver: Buffer };
  /** Connections on which TLS stood at both sides. */
  readonly connections: number;
}

/** @param target - the giver's port on loopback */
export async function manInTheMiddle(target: number, suite: PeerSuite, intent: Intent = {}): Promise<ManInTheMiddle> {
  const options = { ...TLS_OPTIONS[suite], ...selfSignedRsa(), rejectUnauthorized: false };
  const heard = { taker: Buffer.alloc(0), giver: Buffer.alloc(0) };
  const sockets = new Set<TLSSocket>();
  let connections = 0;
  const server = createServer({ ...options, requestCert: true }, (taker) => {
    const giver = connect({ ...options, host: "127.0.0.1", port: target }, () => {
      connections++;
      taker.on("data", (bytes: Buffer) => {
        heard.taker = Buffer.concat([heard.taker, bytes]);
        giver.write(intent.toGiver?.(bytes) ?? bytes);
        if (intent.toTaker) taker.write(intent.toTaker(bytes));
      });
      giver.on("data", (bytes: Buffer) => {
        heard.giver = Buffer.concat([heard.giver, bytes]);
        taker.write(bytes);
      });
    });
    for (const [socket, other] of [
      [taker, giver],
      [giver, taker],
    ] as const) {
      sockets.add(socket);
      socket
        .on("error", () => {})
        .once("close", () => {
          sockets.delete(socket);
          // With what he wanted to say himself, if the other one still listens.
          if (intent.toTaker) other.end();
          else other.destroy();
        });
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
