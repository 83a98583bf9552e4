/**
 * The one TCP port that peers come in by, for IPv4 and IPv6. The first byte says what a connection is: a TLS hello (0x16),
 * a second connection of a channel that is there ("P"), or a giver that was asked to call back ("R" and a proof that it has read
 * the number it was given). Anything else is closed without a word, as is whoever says nothing for long.
 */
import { createServer, type Server, type Socket } from "node:net";
import { failure } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import { CALL_BYTES, isCallTo, REVERSE } from "../path/call-backs.ts";
import { type AddressLimitOptions, AddressLimits, type Ticket } from "./address-limits.ts";

/** First byte of a TLS record with a handshake (RFC 8446 §5.1). */
const TLS_HANDSHAKE = 0x16;
const PLAIN = 0x50;
/** How long the first bytes may take, in milliseconds. */
const FIRST_BYTES_MS = 10_000;
/** Callbacks that are waited for at most. */
const MOST_EXPECTED = 64;

/** What a listener is made of. */
export interface ListenerOptions {
  /** 0: any that is free. */
  readonly port: number;
  readonly limits?: AddressLimitOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** May this address come in at all? */
  readonly allows: (address: string) => boolean;
  /** A TLS hello: the first bytes are put back. Resolves when the proof was right. @throws if it was not, and ends the connection */
  readonly accept: (socket: Socket, address: string) => Promise<void>;
  /** A second connection of a channel; the first bytes are put back. */
  readonly plain: (socket: Socket) => void;
}

/** A giver that was asked to call. */
interface ExpectedCall {
  readonly nonce: Uint8Array;
  readonly onCall: (socket: Socket, address: string) => void;
}

/** See above. */
export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #limits: AddressLimits;
  readonly #sockets = new Set<Socket>();
  readonly #expected = new Set<ExpectedCall>();
  #server: Server | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#limits = new AddressLimits(options.clock, options.limits);
  }

  /** The port that it listens on; undefined: it does not. */
  get port(): number | undefined {
    const address = this.#server?.address();
    return typeof address === "object" ? address?.port : undefined;
  }

  /** For people and tests. */
  get counts(): AddressLimits["counts"] {
    return this.#limits.counts;
  }

  /**
   * Listens; on another port if the wanted one is taken.
   *
   * @throws NetworkError CONNECT_FAILED if there is none at all
   */
  async start(): Promise<void> {
    const { port, logger } = this.#options;
    try {
      this.#server = await this.#listen(port);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cannotListen(port, error);
      logger.warn({ port }, `Port ${port} for peers is taken; another one is used.`);
      this.#server = await this.#listen(0).catch((cause: unknown) => {
        throw cannotListen(0, cause);
      });
    }
  }

  async #listen(port: number): Promise<Server> {
    try {
      return await this.#listenOn(port, "::");
    } catch (error) {
      // No IPv6 on this machine.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
      return await this.#listenOn(port, "0.0.0.0");
    }
  }

  #listenOn(port: number, host: string): Promise<Server> {
    const server = createServer({ allowHalfOpen: false, noDelay: true }, (socket) => this.#come(socket));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host, backlog: 128 }, () => {
        server.off("error", reject);
        // Such as no more descriptors: those who come later are served again.
        server.on("error", (error) => this.#options.logger.warn({ error }, "The port for peers has a problem."));
        // It alone does not keep the process alive.
        server.unref();
        resolve(server);
      });
    });
  }

  /**
   * Lets a giver call back: a connection that begins with "R" and proves that it knows this number is handed over, once.
   *
   * @returns ends it
   */
  expect(nonce: Uint8Array, onCall: (socket: Socket, address: string) => void): () => void {
    const call: ExpectedCall = { nonce, onCall };
    if (this.#expected.size < MOST_EXPECTED) this.#expected.add(call);
    return () => void this.#expected.delete(call);
  }

  #come(socket: Socket): void {
    const address = (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
    const ticket = this.#options.allows(address) ? this.#limits.enter(address) : undefined;
    if (ticket === undefined) {
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(socket);
    // Whoever takes it over listens for errors itself; until then nobody needs to know.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      ticket.closed();
    });
    this.#readFirst(socket, (first) => this.#sort(socket, address, ticket, first), ticket);
  }

  /** Waits for the first byte, or the 33 of a callback, and puts them back where they are others' to read. */
  #readFirst(socket: Socket, use: (first: Buffer) => void, ticket: Ticket): void {
    const cancel = this.#options.clock.timer(FIRST_BYTES_MS, () => {
      ticket.failed();
      socket.destroy();
    });
    socket.once("close", cancel);
    let first: Buffer = Buffer.alloc(0);
    const look = () => {
      const more: Buffer | null = socket.read();
      if (more === null) return;
      first = first.length === 0 ? more : Buffer.concat([first, more]);
      if (first[0] === REVERSE && first.length < 1 + CALL_BYTES) return;
      socket.off("readable", look);
      socket.off("close", cancel);
      cancel();
      use(first);
    };
    socket.on("readable", look);
  }

  #sort(socket: Socket, address: string, ticket: Ticket, first: Buffer): void {
    const { accept, plain, logger } = this.#options;
    const kind = first[0];
    if (kind === TLS_HANDSHAKE) {
      socket.unshift(first);
      accept(socket, address).then(ticket.proved, (error: unknown) => {
        logger.debug({ address, error }, "A caller was not let in.");
        ticket.failed();
      });
      return;
    }
    if (kind === PLAIN) {
      socket.unshift(first);
      this.#watchPlain(socket, ticket);
      plain(socket);
      return;
    }
    const call = kind === REVERSE ? this.#expectedBy(first.subarray(1, 1 + CALL_BYTES)) : undefined;
    if (call === undefined) {
      ticket.failed();
      socket.destroy();
      return;
    }
    this.#expected.delete(call);
    if (first.length > 1 + CALL_BYTES) socket.unshift(first.subarray(1 + CALL_BYTES));
    ticket.proved();
    call.onCall(socket, address);
  }

  /** Where its token is right, chunks are sent; where it is not, it is closed, and counts as a wrong proof. */
  #watchPlain(socket: Socket, ticket: Ticket): void {
    const cancel = this.#options.clock.timer(FIRST_BYTES_MS, ticket.passed);
    socket.prependOnceListener("close", () => {
      cancel();
      if (socket.bytesWritten > 0) ticket.passed();
      else ticket.failed();
    });
  }

  #expectedBy(call: Uint8Array): ExpectedCall | undefined {
    return [...this.#expected].find(({ nonce }) => isCallTo(nonce, call));
  }

  /** Closes the port and every connection that came in by it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#expected.clear();
    const closed = server && new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function cannotListen(port: number, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return failure("CONNECT_FAILED", `No port for peers could be opened (p2p.port is ${port}): ${why}`, { cause });
}
