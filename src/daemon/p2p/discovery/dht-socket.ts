/**
 * The socket of the DHT: what the library sends and reads goes through here, by UDP or, where that does not get through, by a
 * relay. Datagrams of the wrong form, to and from addresses that may not be called, and floods go no further. And it asks
 * questions of its own, for items: the library would walk through the whole network for each one, and hides what the nodes
 * answered to a put.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import type { Clock } from "../../core/ports/runtime.ts";
import { type BencodedMap, type Encodable, encode } from "./bencode.ts";
import type { EndpointFilter } from "./endpoint-filter.ts";
import { asReadOnly, LONGEST_PACKET, type Packet, readPacket } from "./krpc.ts";

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

/** Carries packets in place of UDP; see nat/turn-relay.ts. */
export interface PacketRelay extends Disposable {
  /** For people. */
  readonly name: string;
  send(bytes: Uint8Array, to: { readonly address: string; readonly port: number }): void;
}

interface Question {
  readonly host: string;
  readonly port: number;
  settle(answer: Answer | undefined): void;
}

/** Looks like a `dgram.Socket` to the library: `message`, `error`, `listening`, `close`. */
export class DhtSocket extends EventEmitter {
  /** Undefined: nothing goes by UDP, ever. */
  readonly #socket: Socket | undefined;
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
  #relay: PacketRelay | undefined;
  /** When the first packet went out by UDP that nothing has come after, by the monotonic clock. */
  #askedAt: number | undefined;
  #heard = false;

  /** @param udp - false: packets go by a relay, or not at all */
  constructor(filter: EndpointFilter, clock: Clock, udp: boolean) {
    super();
    this.#filter = filter;
    this.#clock = clock;
    if (!udp) return;
    this.#socket = createSocket("udp4");
    this.#socket.on("message", (bytes, from) => this.#onMessage(bytes, from, true));
    this.#socket.on("error", (error) => this.emit("error", error));
    this.#socket.on("listening", () => this.emit("listening"));
    this.#socket.on("close", () => this.emit("close"));
  }

  /** By what packets go now; undefined: UDP. */
  get relay(): PacketRelay | undefined {
    return this.#relay;
  }

  /** From now on packets go by this. Others cannot reach us there, so we answer no questions (BEP 43). */
  set relay(relay: PacketRelay | undefined) {
    this.#relay = relay;
    this.#askedAt = undefined;
    this.#heard = false;
  }

  /** For how many milliseconds packets have gone out by UDP without an answer, and if there was one ever before. */
  get silence(): { readonly ms: number; readonly heard: boolean } {
    return { ms: this.#askedAt === undefined ? 0 : this.#clock.monotonic() - this.#askedAt, heard: this.#heard };
  }

  get counts(): PacketCounts {
    return { sent: this.#sent, received: this.#received, dropped: this.#dropped };
  }

  bind(port: number, address: string, onListening: () => void): void {
    if (this.#socket) this.#socket.bind(port, address, onListening);
    else
      queueMicrotask(() => {
        this.emit("listening");
        onListening();
      });
  }

  /** Port 0: nobody can send us anything by UDP. */
  address(): { readonly address: string; readonly port: number } {
    return this.#socket?.address() ?? { address: "0.0.0.0", port: 0 };
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
    else this.#send(bytes.subarray(offset, offset + length), host, port, this.#relay, done);
  }

  /** A packet of the relay has come. */
  receive(bytes: Buffer, { address, port }: { readonly address: string; readonly port: number }): void {
    this.#onMessage(bytes, { address, port, family: "IPv4", size: bytes.length }, false);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const question of this.#questions.values()) question.settle(undefined);
    for (const next of this.#queue.splice(0)) next();
    if (this.#socket) this.#socket.close();
    else queueMicrotask(() => this.emit("close"));
  }

  /**
   * Asks a node. @returns its values, or the code of its error; undefined if nothing came in time. Never rejects
   *
   * @param args - with our node id as `id`
   * @param byUdp - whatever the others go by
   */
  async ask(
    to: { readonly host: string; readonly port: number },
    query: string,
    args: { readonly [key: string]: Encodable },
    byUdp = false,
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
      if (bytes.length <= LONGEST_PACKET) this.#send(bytes, to.host, to.port, byUdp ? undefined : this.#relay);
    });
  }

  #send(bytes: Uint8Array, host: string, port: number, relay: PacketRelay | undefined, done?: () => void): void {
    this.#sent++;
    if (relay) {
      relay.send(asReadOnly(bytes), { address: host, port });
      done?.();
    } else if (this.#socket) {
      this.#askedAt ??= this.#clock.monotonic();
      this.#socket.send(bytes, port, host, () => done?.());
    } else done?.();
  }

  #onMessage(bytes: Buffer, from: RemoteInfo, byUdp: boolean): void {
    this.#received++;
    const packet = this.#filter.allows(from.address, from.port) ? readPacket(bytes) : undefined;
    const isQuery = packet?.kind === "query";
    if (packet === undefined || (isQuery && (this.#relay !== undefined || this.#isFlood()))) {
      this.#dropped++;
      return;
    }
    if (byUdp && !isQuery) {
      this.#heard = true;
      this.#askedAt = undefined;
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
