/**
 * A connection to a TURN server over TCP or TLS: requests with their answers, proved by the password in both directions as
 * soon as the server has said what to prove it with (RFC 8489 §9.2), and indications. An answer without a right proof, or to
 * nothing that was asked, counts as none; what is no TURN ends the connection.
 */
import { randomBytes } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { resolveHost } from "../resolve-host.ts";
import { TurnFrames } from "./turn-frames.ts";
import { decodeTurn, encodeTurn, type TurnAttributes, type TurnMessage, turnKey } from "./turn-message.ts";
import type { TurnAccount, TurnPlace } from "./turn-url.ts";

/** Milliseconds for connecting, and for an answer. */
const CONNECT_MS = 5000;
const ANSWER_MS = 5000;

/** How often a request is asked: without a proof, with it, and once more with another nonce. */
const ATTEMPTS = 3;

/** Bytes that may wait to leave: what comes after them is dropped, as datagrams are. */
const MOST_WAITING = 128 * 1024;

/** What a connection is made of. */
export interface TurnConnectionInit {
  readonly place: TurnPlace;
  readonly account: TurnAccount;
  readonly clock: Clock;
  /** An indication of the server; only valid during the call. */
  readonly onIndication: (message: TurnMessage) => void;
  /** It has ended, and why; called once, unless it was ended from here. */
  readonly onEnd: (error: DownloadError) => void;
}

interface Question {
  readonly settle: (answer: TurnMessage) => void;
  readonly fail: (error: DownloadError) => void;
}

/** A connection that is open. */
export class TurnConnection implements Disposable {
  readonly #init: TurnConnectionInit;
  readonly #socket: Socket;
  readonly #frames = new TurnFrames();
  readonly #questions = new Map<string, Question>();
  #proof: { readonly realm: string; readonly key: Buffer; nonce: Buffer } | undefined;
  #ended: DownloadError | undefined;

  private constructor(init: TurnConnectionInit, socket: Socket) {
    this.#init = init;
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", (cause) => this.#end(this.#broken(`is gone: ${cause.message}`, cause)));
    socket.on("close", () => this.#end(this.#broken("has closed the connection")));
  }

  /** @throws NetworkError CONNECT_FAILED, TIMED_OUT; the signal's reason */
  static async open(init: TurnConnectionInit, signal: AbortSignal): Promise<TurnConnection> {
    const { account, place } = init;
    const found = await resolveHost(place.host, { signal }).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw failure("CONNECT_FAILED", `${account.url} cannot be reached: its name is not known`, { cause });
    });
    return TurnConnection.#connect(init, found[0] ?? place.host, signal);
  }

  static #connect(init: TurnConnectionInit, address: string, signal: AbortSignal): Promise<TurnConnection> {
    const { place, account, clock } = init;
    const { host, port } = place;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const socket = place.tls
        ? connectTls({ host: address, port, ...(isIP(host) === 0 && { servername: host }) })
        : connectTcp({ host: address, port });
      const stop = () => {
        cancel();
        signal.removeEventListener("abort", onAbort);
        socket.off("error", onError);
      };
      const fail = (error: unknown) => {
        stop();
        // What else it has to say is of no interest.
        socket.on("error", () => undefined);
        socket.destroy();
        reject(error);
      };
      const onAbort = () => fail(signal.reason);
      const onError = (cause: Error) =>
        fail(
          failure(
            "CONNECT_FAILED",
            `${account.url} cannot be reached: ${cause.message || asDownloadError(cause).message}`,
            { cause },
          ),
        );
      const cancel = clock.timer(CONNECT_MS, () =>
        fail(failure("TIMED_OUT", `${account.url} cannot be reached: no answer for ${CONNECT_MS / 1000} s`)),
      );
      signal.addEventListener("abort", onAbort, { once: true });
      socket.on("error", onError);
      socket.once(place.tls ? "secureConnect" : "connect", () => {
        stop();
        socket.setNoDelay(true);
        resolve(new TurnConnection(init, socket));
      });
    });
  }

  /** Asks. @returns a success that is proved @throws NetworkError that says what the server said */
  async request(method: number, attributes: TurnAttributes): Promise<TurnMessage> {
    const { url } = this.#init.account;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const answer = await this.#ask(method, attributes);
      if (answer.kind === "success") return answer;
      const { errorCode = 0, realm, nonce } = answer;
      if (errorCode === 401 && this.#proof === undefined && realm !== undefined && nonce) this.#learn(realm, nonce);
      else if (errorCode === 438 && this.#proof !== undefined && nonce) this.#proof.nonce = nonce;
      else
        throw failure("CONNECT_FAILED", `${url} refuses: ${reasonOf(errorCode)}`, {
          metadata: { turn: String(errorCode) },
        });
    }
    throw failure("PROTOCOL_ERROR", `${url} wants another nonce again and again`);
  }

  /** Says something that is not answered, and may be lost. @returns false: it was dropped */
  indicate(method: number, attributes: TurnAttributes): boolean {
    if (this.#ended !== undefined || this.#socket.writableLength > MOST_WAITING) return false;
    const head = { kind: "indication", method, transactionId: randomBytes(12) } as const;
    this.#socket.write(encodeTurn({ ...head, ...attributes }));
    return true;
  }

  /** Says something last, without waiting, and ends it. */
  close(method: number, attributes: TurnAttributes): void {
    if (this.#ended !== undefined) return;
    const head = { kind: "request", method, transactionId: randomBytes(12) } as const;
    this.#ended = failure("CANCELLED", "the relay is not needed any more");
    this.#socket.end(this.#write(head, attributes));
    const cancel = this.#init.clock.timer(ANSWER_MS, () => this.#socket.destroy());
    this.#socket.once("close", cancel);
    this.#fail(this.#ended);
  }

  /** Ends it at once. */
  [Symbol.dispose](): void {
    this.#ended ??= failure("CANCELLED", "the relay is not needed any more");
    this.#socket.destroy();
    this.#fail(this.#ended);
  }

  #ask(method: number, attributes: TurnAttributes): Promise<TurnMessage> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const transactionId = randomBytes(12);
      const name = transactionId.toString("hex");
      const late = () => failure("TIMED_OUT", `${this.#init.account.url} has not answered for ${ANSWER_MS / 1000} s`);
      const cancel = this.#init.clock.timer(ANSWER_MS, () => this.#questions.get(name)?.fail(late()));
      const stop = () => {
        cancel();
        this.#questions.delete(name);
      };
      this.#questions.set(name, {
        settle: (answer) => {
          stop();
          resolve(answer);
        },
        fail: (error) => {
          stop();
          reject(error);
        },
      });
      this.#socket.write(this.#write({ kind: "request", method, transactionId }, attributes));
    });
  }

  #write(head: Pick<TurnMessage, "kind" | "method" | "transactionId">, attributes: TurnAttributes): Buffer {
    if (this.#proof === undefined) return encodeTurn({ ...head, ...attributes });
    const { realm, nonce, key } = this.#proof;
    return encodeTurn({ ...head, ...attributes, username: this.#init.account.username ?? "", realm, nonce }, key);
  }

  #learn(realm: string, nonce: Buffer): void {
    const { username = "", credential = "" } = this.#init.account;
    this.#proof = { realm, nonce, key: turnKey(username, realm, credential) };
  }

  #take(bytes: Buffer): void {
    if (this.#ended !== undefined) return;
    const messages = this.#frames.push(bytes);
    if (messages === undefined) this.#end(this.#broken("does not speak TURN over TCP"));
    else this.#read(messages);
  }

  #read(messages: readonly Buffer[]): void {
    for (const one of messages) {
      const message = decodeTurn(one, this.#proof?.key);
      if (message?.kind === "indication") this.#init.onIndication(message);
      else if (message?.kind === "success" || message?.kind === "error") this.#answer(message);
    }
  }

  #answer(message: TurnMessage): void {
    const question = this.#questions.get(Buffer.from(message.transactionId).toString("hex"));
    // A success has to be proved, where a proof was asked for; of an error the server may not be able to (401, 438).
    if (message.kind === "error" || message.proved || this.#proof === undefined) question?.settle(message);
  }

  #broken(what: string, cause?: unknown): DownloadError {
    return failure("CONNECT_FAILED", `${this.#init.account.url} ${what}`, { cause });
  }

  #end(error: DownloadError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#socket.destroy();
    this.#fail(error);
    this.#init.onEnd(error);
  }

  #fail(error: DownloadError): void {
    for (const question of [...this.#questions.values()]) question.fail(error);
  }
}

/** What a code means (RFC 8656 §19, RFC 8489 §14.8), for people. */
function reasonOf(code: number): string {
  switch (code) {
    case 300:
      return "it names another server (300)";
    case 401:
      return "username and credential are not right (401)";
    case 403:
      return "it is not allowed (403)";
    case 437:
      return "it has lost the allocation (437)";
    case 442:
      return "it does not relay UDP (442)";
    case 486:
      return "this user has as many allocations as he may have (486)";
    case 508:
      return "it has no room (508)";
    default:
      return `error ${code}`;
  }
}
