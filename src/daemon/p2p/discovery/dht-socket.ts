/**
 * The socket of the DHT: what the library sends and reads goes through here. Datagrams of the wrong form, to and from
 * addresses that may not be called, and floods go no further. And it asks questions of its own, for items: the library
 * would walk through the whole network for each one, and hides what the nodes answered to a put.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import type { Clock } from "../../core/ports.ts";
import { type BencodedMap, type Encodable, encode } from "./bencode.ts";
import type { EndpointFilter } from "./endpoint-filter.ts";
import { LONGEST_PACKET, type Packet, readPacket } from "./krpc.ts";

/** Milliseconds until an answer counts as lost. */
const ANSWER_MS = 2000;

/** Queries of strangers a second: each may cost a signature. */
const QUERIES_PER_SECOND = 400;

/** Own questions that may be on their way. */
const MOST_ASKED = 32;

/** What a node answered to a question. */
export type Answer = { readonly body: BencodedMap } | { readonly code: number };

/** Counts since it was opened. */
export interface PacketCounts {
  readonly sent: number;
  readonly received: number;
  /** Of the wrong form, from where nothing is taken, or too many. */
  readonly dropped: number;
}

interface Question {
  readonly host: string;
  readonly port: number;
  settle(answer: Answer | undefined): void;
}

/** Looks like a `dgram.Socket` to the library: `message`, `error`, `listening`, `close`. */
export class DhtSocket extends EventEmitter {
  readonly #socket: Socket = createSocket("udp4");
  readonly #filter: EndpointFilter;
  readonly #clock: Clock;
  readonly #questions = new Map<number, Question>();
  readonly #queue: (() => void)[] = [];
  #transaction = Math.floor(Math.random() * 2 ** 31);
  #queries = { second: 0, count: 0 };
  #sent = 0;
  #received = 0;
  #dropped = 0;
  #closed = false;

  constructor(filter: EndpointFilter, clock: Clock) {
    super();
    this.#filter = filter;
    this.#clock = clock;
    this.#socket.on("message", (bytes, from) => this.#onMessage(bytes, from));
    this.#socket.on("error", (error) => this.emit("error", error));
    this.#socket.on("listening", () => this.emit("listening"));
    this.#socket.on("close", () => this.emit("close"));
  }

  get counts(): PacketCounts {
    return { sent: this.#sent, received: this.#received, dropped: this.#dropped };
  }

  bind(port: number, address: string, onListening: () => void): void {
    this.#socket.bind(port, address, onListening);
  }

  address(): { readonly address: string; readonly port: number } {
    return this.#socket.address();
  }

  send(
    bytes: Uint8Array,
    offset: number,
    length: number,
    port: number,
    host: string,
    done: () => void = () => {},
  ): void {
    if (this.#closed || length > LONGEST_PACKET || !this.#filter.allows(host, port)) done();
    else {
      this.#sent++;
      this.#socket.send(bytes, offset, length, port, host, done);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const question of this.#questions.values()) question.settle(undefined);
    for (const next of this.#queue.splice(0)) next();
    this.#socket.close();
  }

  /**
   * Asks a node. @returns its values, or the code of its error; undefined if nothing came in time. Never rejects
   *
   * @param args - with our node id as `id`
   */
  async ask(
    to: { readonly host: string; readonly port: number },
    query: string,
    args: { readonly [key: string]: Encodable },
  ): Promise<Answer | undefined> {
    while (this.#questions.size >= MOST_ASKED && !this.#closed)
      await new Promise<void>((resolve) => void this.#queue.push(resolve));
    if (this.#closed || !this.#filter.allows(to.host, to.port)) return undefined;
    this.#transaction = (this.#transaction + 1) % 2 ** 31;
    const transaction = this.#transaction;
    // The library's transactions have two bytes: these cannot be taken for its own.
    const t = Buffer.alloc(4);
    t.writeUInt32BE(transaction);
    const bytes = encode({ a: args, q: query, t, y: "q" });
    return new Promise((resolve) => {
      const cancel = this.#clock.timer(ANSWER_MS, () => settle(undefined));
      const settle = (answer: Answer | undefined): void => {
        cancel();
        this.#questions.delete(transaction);
        this.#queue.shift()?.();
        resolve(answer);
      };
      this.#questions.set(transaction, { host: to.host, port: to.port, settle });
      this.send(bytes, 0, bytes.length, to.port, to.host);
    });
  }

  #onMessage(bytes: Buffer, from: RemoteInfo): void {
    this.#received++;
    const packet = this.#filter.allows(from.address, from.port) ? readPacket(bytes) : undefined;
    if (packet === undefined || (packet.kind === "query" && this.#isFlood())) {
      this.#dropped++;
      return;
    }
    if (packet.kind !== "query" && packet.t.length === 4) this.#onAnswer(packet, from);
    else
      try {
        this.emit("message", bytes, from);
      } catch {
        // Something that the library did not expect: that is the packet's fault, and no reason to die.
        this.#dropped++;
      }
  }

  #onAnswer(packet: Packet, from: RemoteInfo): void {
    const question = this.#questions.get(packet.t.readUInt32BE(0));
    if (question === undefined || question.host !== from.address || question.port !== from.port) {
      this.#dropped++;
      return;
    }
    question.settle(packet.body === undefined ? { code: packet.code } : { body: packet.body });
  }

  #isFlood(): boolean {
    const second = Math.floor(this.#clock.monotonic() / 1000);
    if (second !== this.#queries.second) this.#queries = { second, count: 0 };
    return ++this.#queries.count > QUERIES_PER_SECOND;
  }
}
