/**
 * STUN over TCP (RFC 8489 §6.2.2): what a local TCP port looks like from outside. The connection may be kept, so that the
 * NAT keeps its mapping while the same port calls a peer (simultaneous open).
 */
import { randomBytes } from "node:crypto";
import { Socket } from "node:net";
import { failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { BINDING, decodeStun, encodeStun } from "./stun-message.ts";
import { familyOf, isUsable } from "./stun-socket.ts";
import { LONGEST_STUN, STUN_HEADER, type StunAddress, stunLength } from "./stun-wire.ts";

/**
 * Milliseconds for connecting and for the answer together: time for a packet to be lost once, and less than the message to the
 * other peer waits for the port (gathered.ts); many servers never answer over TCP.
 */
const TIMEOUT_MS = 2000;

/** A local TCP port, as a server sees it. Disposal closes the connection. */
export interface OuterTcpPort extends Disposable {
  readonly external: StunAddress;
  readonly localPort: number;
  readonly localAddress: string;
}

/**
 * Asks one server, and keeps the connection.
 *
 * @param localPort - the port to ask from; 0: any. More connections to elsewhere may use it at the same time (libuv sets
 *   SO_REUSEADDR on what is bound, and TCP tells connections apart by both ends); a socket that listens on it may not
 * @throws NetworkError CONNECT_FAILED, TIMED_OUT or PROTOCOL_ERROR; the signal's reason
 */
export function askOverTcp(
  server: StunAddress,
  localPort: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<OuterTcpPort> {
  const transactionId = randomBytes(12);
  const name = `${server.address} port ${server.port}`;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = new Socket();
    let received = Buffer.alloc(0);
    const stop = () => {
      cancel();
      signal.removeEventListener("abort", onAbort);
      socket.off("data", onData);
    };
    const fail = (error: unknown) => {
      stop();
      socket.destroy();
      reject(error);
    };
    const broken = (why: string) => fail(failure("PROTOCOL_ERROR", `the STUN server ${name} ${why}`));
    const onAbort = () => fail(signal.reason);
    const cancel = clock.timer(TIMEOUT_MS, () =>
      fail(failure("TIMED_OUT", `the STUN server ${name} gave no answer over TCP for ${TIMEOUT_MS / 1000} s`)),
    );
    const onData = (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < STUN_HEADER) return;
      const length = stunLength(received);
      if (length === undefined || length > LONGEST_STUN) return broken("does not speak STUN over TCP");
      if (received.length < length) return;
      const message = decodeStun(received.subarray(0, length));
      if (message === undefined || !isUsable(message) || !transactionId.equals(message.transactionId))
        return broken("answered with something that is no answer to the question");
      if (message.mapped === undefined) return broken(`refused with ${message.errorCode}`);
      stop();
      // What else it sends is of no interest.
      socket.resume();
      resolve({
        external: message.mapped,
        localPort: socket.localPort ?? localPort,
        localAddress: socket.localAddress ?? "",
        [Symbol.dispose]: () => void socket.destroy(),
      });
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // Stays on: a connection that is kept may break at any time, which matters to nobody.
    socket.on("error", (cause) =>
      fail(
        failure("CONNECT_FAILED", `the STUN server ${name} cannot be reached over TCP: ${cause.message}`, { cause }),
      ),
    );
    socket.on("close", () => broken("closed the connection before it answered"));
    socket.on("data", onData);
    socket.once("connect", () =>
      socket.write(encodeStun({ kind: "request", method: BINDING, transactionId, fingerprint: true })),
    );
    const family = familyOf(server.address);
    // Bound even if any port will do: only then is SO_REUSEADDR set, and the port can be used again beside.
    const localAddress = family === 6 ? "::" : "0.0.0.0";
    socket.connect({ host: server.address, port: server.port, family, localAddress, localPort });
  });
}
