/** STUN servers on loopback that misbehave in ways that real ones do not. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { decodeStun, encodeStun, type StunMessage } from "../../../src/daemon/p2p/nat/stun-message.ts";

/** What a server does with a question. */
export type StunBehaviour = (question: StunMessage, from: RemoteInfo, server: FakeStun) => void;

/** A server that runs. `await using` ends it. */
export interface FakeStun extends AsyncDisposable {
  readonly port: number;
  /** "127.0.0.1:port" (or another address of loopback). */
  readonly address: string;
  /** Questions so far. */
  readonly count: number;
  /** Sends an answer, or whatever is given, from a socket. */
  send(message: Omit<StunMessage, "unknown"> | Uint8Array, to: RemoteInfo, socket?: Socket): void;
}

/** A right answer to a question. */
export function answerTo(
  question: StunMessage,
  mapped: NonNullable<StunMessage["mapped"]>,
): Omit<StunMessage, "unknown"> {
  return { kind: "success", method: question.method, transactionId: question.transactionId, mapped, fingerprint: true };
}

/** Answers rightly: with where the question came from. */
export const honest: StunBehaviour = (question, from, server) =>
  server.send(answerTo(question, { address: from.address, port: from.port }), from);

/** Starts a server. @param address - of 127.0.0.0/8 */
export async function fakeStun(behaviour: StunBehaviour, address = "127.0.0.1"): Promise<FakeStun> {
  const socket = createSocket("udp4");
  socket.bind(0, address);
  await once(socket, "listening");
  let count = 0;
  const { port } = socket.address();
  const server: FakeStun = {
    port,
    address: `${address}:${port}`,
    get count() {
      return count;
    },
    send(message, to, from = socket) {
      from.send(message instanceof Uint8Array ? message : encodeStun(message), to.port, to.address);
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
  socket.on("message", (bytes, from) => {
    count += 1;
    const question = decodeStun(bytes);
    if (question !== undefined) behaviour(question, from, server);
  });
  return server;
}
