/**
 * TLS over any byte stream, with a certificate at both ends and nobody who vouches for them: who the other end is follows
 * from its public key alone. TLS proves that it holds the key; that it also knows the code is proved afterwards. One version
 * and one suite, no tickets, no resumption and no renegotiation: every connection has keys of its own.
 */
import { constants } from "node:crypto";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { failure } from "../../core/errors.ts";
import type { PeerSuite } from "../../core/peers.ts";
import { publicKeyOf } from "./certificate.ts";
import { type Identity, peerIdOf } from "./identity.ts";
import { EXPORTER_LABEL } from "./proof.ts";
import type { Role } from "./wire.ts";

/** The other end as TLS has proved it. */
export interface Secured {
  readonly socket: TLSSocket;
  readonly peerId: string;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** 32 bytes that only the two ends of this connection know. */
  readonly exporter: Uint8Array;
  /** As negotiated, in OpenSSL's words. */
  readonly suite: string;
}

const SUITES: Readonly<Record<PeerSuite, TlsOptions & ConnectionOptions>> = {
  modern: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384" },
  // OpenSSL takes a group as strong as the key: 3072 bits.
  classic: { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "DHE-RSA-AES256-SHA256", dhparam: "auto" },
};

/** The least group of a giver that a taker goes along with, in bits. */
const LEAST_GROUP = 2048;

/**
 * Brings TLS about: the giver is its server, the taker its client.
 *
 * @param signal - ends it; the stream is then destroyed, as in every other case in which it fails
 * @throws NetworkError TLS_FAILED, CONNECTION_LOST; the signal's reason
 */
export async function secure(
  stream: Duplex,
  role: Role,
  identity: Identity,
  suite: PeerSuite,
  signal: AbortSignal,
): Promise<Secured> {
  const options = {
    ...SUITES[suite],
    key: identity.key,
    cert: identity.certificate,
    requestCert: true,
    // Nobody has signed it: the key itself is looked at below.
    rejectUnauthorized: false,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const onAbort = () => reject(signal.reason);
  const onClosed = () => reject(new Error("the connection ended"));
  const onError = (error: Error) => reject(error);
  stream.on("error", onError).once("close", onClosed);
  signal.addEventListener("abort", onAbort, { once: true });
  let socket: TLSSocket | undefined;
  try {
    signal.throwIfAborted();
    if (role === "giver") {
      // A server of its own that listens to nothing: what it knows is forgotten with the connection.
      const server = createServer(options);
      server.once("secureConnection", resolve).once("tlsClientError", reject);
      server.emit("connection", stream);
    } else {
      socket = connect({ ...options, socket: stream, minDHSize: LEAST_GROUP, servername: "" });
      const client = socket;
      client.on("error", onError).once("secureConnect", () => resolve(client));
    }
    const secured = await promise;
    socket = secured;
    secured.on("error", () => {});
    secured.disableRenegotiation();
    return inspect(secured);
  } catch (error) {
    socket?.destroy();
    stream.destroy();
    if (error === signal.reason || (error as { code?: unknown }).code === "TLS_FAILED") throw error;
    throw asFailure(error as NodeJS.ErrnoException, suite);
  } finally {
    signal.removeEventListener("abort", onAbort);
    stream.off("close", onClosed);
  }
}

function inspect(socket: TLSSocket): Secured {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) throw failure("TLS_FAILED", "the other end has no certificate: it is no peer");
  if (socket.isSessionReused()) throw failure("TLS_FAILED", "the other end has resumed a session; there are none");
  const publicKey = publicKeyOf(certificate);
  if (typeof publicKey === "string") throw failure("TLS_FAILED", `the other end is no peer: ${publicKey}`);
  const exporter = socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0));
  return { socket, peerId: peerIdOf(publicKey), publicKey, exporter, suite: socket.getCipher().name };
}

/** Reads exactly so many bytes and leaves the rest. @returns undefined if the stream ends before. @throws the signal's reason */
export async function readExactly(stream: Duplex, count: number, signal: AbortSignal): Promise<Buffer | undefined> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | undefined>();
  const onReadable = () => {
    const bytes = stream.read(count) as Buffer | null;
    // At the end Node hands over what there is.
    if (bytes !== null) resolve(bytes.length === count ? bytes : undefined);
  };
  const onEnd = () => resolve(undefined);
  const onAbort = () => reject(signal.reason);
  const onError = () => resolve(undefined);
  stream.on("readable", onReadable).once("end", onEnd).once("close", onEnd).on("error", onError);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (stream.destroyed || stream.readableEnded) return undefined;
    return await promise;
  } finally {
    stream.off("readable", onReadable).off("end", onEnd).off("close", onEnd).off("error", onError);
    signal.removeEventListener("abort", onAbort);
  }
}

function asFailure(error: NodeJS.ErrnoException, suite: PeerSuite): Error {
  const code = error.code ?? "";
  if (/VERSION|PROTOCOL|NO_SHARED_CIPHER|HANDSHAKE_FAILURE/.test(code)) {
    const message = `no TLS with the other end (${code}): this end has p2p.suite = "${suite}", the other one may have another`;
    return failure("TLS_FAILED", message, { cause: error });
  }
  if (/SSL|TLS/.test(code)) return failure("TLS_FAILED", `no TLS with the other end: ${code}`, { cause: error });
  return failure("CONNECTION_LOST", "the other end ended the connection before TLS stood", { cause: error });
}
