/**
 * Questions and answers of STUN over UDP, several at once on one local port (RFC 8489 §6.2.1). An answer counts only from
 * where it was expected, with the transaction id of a question that is open: nobody else can have seen the 96 bits.
 */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import type { Clock } from "../../core/ports/runtime.ts";
import { BINDING, decodeStun, encodeStun, type StunMessage } from "./stun-message.ts";
import type { StunAddress } from "./stun-wire.ts";

/** Milliseconds after which a question is repeated; after the last it has failed. Doubled as in RFC 8489, ended sooner. */
export const PATIENT: readonly number[] = [250, 500, 1000, 2000];

/** Where no answer is what is expected (RFC 5780 §4.4), and an answer before has come: fewer waits. */
export const BRISK: readonly number[] = [250, 500, 750];

/** A question. */
export interface StunQuestion {
  /** Asks for the answer from elsewhere. */
  readonly change?: NonNullable<StunMessage["change"]>;
  /** From where the answer comes; default: from who is asked. */
  readonly from?: StunAddress;
  /** Default {@link PATIENT}. */
  readonly waits?: readonly number[];
}

/** An answer: the address is known, or there is an error code. */
export type StunAnswer = Pick<StunMessage, "mapped" | "origin" | "other" | "errorCode">;

/** One local UDP port. */
export class StunSocket implements Disposable {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #open = new Map<string, { readonly from: StunAddress; readonly answer: (message: StunMessage) => void }>();

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.on("message", (bytes, { address, port }) => this.#take(bytes, address, port));
    // Errors come through the callbacks of send; others, such as of the interface, end in a question without an answer.
    socket.on("error", () => undefined);
  }

  /**
   * Takes a port.
   *
   * @param localPort - 0: any
   * @throws the system's error, such as EADDRINUSE
   */
  static async open(family: 4 | 6, localPort: number, clock: Clock): Promise<StunSocket> {
    const socket = createSocket({ type: family === 6 ? "udp6" : "udp4", ipv6Only: family === 6 });
    socket.bind(localPort);
    try {
      await once(socket, "listening");
    } catch (error) {
      socket.close();
      throw error;
    }
    return new StunSocket(socket, clock);
  }

  /** The local port. */
  get port(): number {
    return this.#socket.address().port;
  }

  /** Asks. @returns undefined if no answer came, or nothing can be sent there. @throws the signal's reason */
  ask(server: StunAddress, question: StunQuestion, signal: AbortSignal): Promise<StunAnswer | undefined> {
    const transactionId = randomBytes(12);
    const { change, from = server, waits = PATIENT } = question;
    const base = { kind: "request", method: BINDING, transactionId, fingerprint: true } as const;
    const bytes = encodeStun({ ...base, ...(change && { change }) });
    const key = transactionId.toString("hex");
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      let cancel = () => {};
      const settle = (answer?: StunAnswer) => {
        cancel();
        this.#open.delete(key);
        signal.removeEventListener("abort", onAbort);
        resolve(answer);
      };
      const onAbort = () => {
        settle();
        reject(signal.reason);
      };
      const attempt = (index: number) => {
        const wait = waits[index];
        if (wait === undefined) return settle();
        try {
          this.#socket.send(bytes, server.port, server.address, () => undefined);
        } catch {
          // The socket was closed meanwhile.
          return settle();
        }
        cancel = this.#clock.timer(wait, () => attempt(index + 1));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#open.set(key, { from, answer: settle });
      attempt(0);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #take(bytes: Buffer, address: string, port: number): void {
    const message = decodeStun(bytes);
    if (message === undefined) return;
    const open = this.#open.get(Buffer.from(message.transactionId).toString("hex"));
    if (open === undefined || open.from.address !== address || open.from.port !== port) return;
    if (isUsable(message)) open.answer(message);
  }
}

/** An answer that can be used: an error, or an address; nothing in it is essential and not understood. */
export function isUsable({ kind, method, mapped, errorCode, unknown }: StunMessage): boolean {
  if (method !== BINDING || unknown.length > 0) return false;
  return kind === "error" ? errorCode !== undefined : kind === "success" && mapped !== undefined;
}

/** 4 or 6. */
export function familyOf(address: string): 4 | 6 {
  return isIPv6(address) ? 6 : 4;
}
