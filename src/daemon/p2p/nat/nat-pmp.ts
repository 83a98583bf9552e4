/**
 * Ports by NAT-PMP (RFC 6886), which Apple's and many other routers speak. Small enough to be written here: the clients in
 * the registry take answers from anybody, throw at short ones, and share one fixed port with every other program.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Clock } from "../../core/ports/runtime.ts";
import { defaultGateway } from "./gateway.ts";
import { type MappedPort, MappingError, type PortMapper, requirePorts } from "./port-mapper.ts";

const PORT = 5351;

/** Milliseconds after which a question is repeated (RFC 6886 §3.1, but given up after two seconds: a router is near). */
const WAITS_MS = [250, 500, 1250];

const DEFAULT_LIFETIME = 1200;

const EXTERNAL_ADDRESS = 0;
const MAP_TCP = 2;

/** RFC 6886 §3.5. */
const RESULTS: Readonly<Record<number, string>> = {
  1: "it speaks another version",
  2: "it is not allowed",
  3: "the router has no connection itself",
  4: "it has no port left",
  5: "it does not know the question",
};

/** Opens ports by NAT-PMP. */
export class NatPmp implements PortMapper {
  readonly name = "nat-pmp";
  readonly #clock: Clock;
  readonly #gateway: () => Promise<string | undefined>;
  readonly #port: number;
  readonly #mapped = new Map<number, number>();
  /** A router has answered at some time. */
  #heard = false;
  #problem: string | undefined;

  /** @param options - `gateway`: default that of the default route; `port`: default 5351 */
  constructor(options: {
    readonly clock: Clock;
    readonly gateway?: () => Promise<string | undefined>;
    readonly port?: number;
  }) {
    this.#clock = options.clock;
    this.#gateway = options.gateway ?? defaultGateway;
    this.#port = options.port ?? PORT;
  }

  /** Why the last {@link mapPort} answered false. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Opens a TCP port for twenty minutes, and until then again when it is called again; closed at disposal.
   *
   * @param external - default: the same
   * @returns false if it cannot be, or another external port than this was opened; {@link problem} says why
   */
  async mapPort(internal: number, external: number = internal): Promise<boolean> {
    try {
      const mapped = await this.map(internal, external, DEFAULT_LIFETIME, AbortSignal.timeout(10_000));
      this.#mapped.set(mapped.externalPort, internal);
      this.#problem = undefined;
      return true;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      return false;
    }
  }

  async map(internalPort: number, externalPort: number, lifetime: number, signal: AbortSignal): Promise<MappedPort> {
    requirePorts(internalPort, externalPort);
    const answer = await this.#ask(mapping(internalPort, externalPort, lifetime), 16, signal);
    if (answer.readUInt16BE(8) !== internalPort) throw new MappingError("refused", "the router mapped another port");
    // The router chooses another where the one that is wanted is taken (§3.3).
    const mapped = { externalPort: answer.readUInt16BE(10), lifetime: answer.readUInt32BE(12) };
    if (mapped.externalPort === 0 || mapped.lifetime === 0)
      throw new MappingError("refused", "the router says yes, and maps nothing");
    return mapped;
  }

  async unmap(internalPort: number, _externalPort: number, signal: AbortSignal): Promise<void> {
    // A router that never said a word has nothing to remove, and would be waited for.
    if (!this.#heard) return;
    // Port and lifetime of 0: away with what leads to the internal port (§3.4).
    await this.#ask(mapping(internalPort, 0, 0), 16, signal);
  }

  async externalAddress(signal: AbortSignal): Promise<string> {
    const answer = await this.#ask(Buffer.from([0, EXTERNAL_ADDRESS]), 12, signal);
    return answer.subarray(8, 12).join(".");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const mapped = [...this.#mapped];
    this.#mapped.clear();
    const signal = AbortSignal.timeout(2000);
    await Promise.allSettled(mapped.map(([external, internal]) => this.unmap(internal, external, signal)));
  }

  /** Asks the router. @param length - bytes of a right answer. @throws MappingError; the signal's reason */
  async #ask(question: Buffer, length: number, signal: AbortSignal): Promise<Buffer> {
    const gateway = await this.#gateway();
    if (gateway === undefined) throw new MappingError("absent", "there is no default route, so no router to ask");
    signal.throwIfAborted();
    const socket = createSocket("udp4");
    try {
      // Connected: the system hands on what comes from the router, and says that nobody listens there.
      socket.connect(this.#port, gateway);
      await once(socket, "connect", { signal });
      return await this.#exchange(socket, question, length, signal);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof MappingError) throw cause;
      throw new MappingError("absent", `the router ${gateway} does not speak NAT-PMP`, { cause });
    } finally {
      socket.on("error", () => undefined);
      socket.close();
    }
  }

  #exchange(socket: Socket, question: Buffer, length: number, signal: AbortSignal): Promise<Buffer> {
    const opcode = question[1] ?? 0;
    return new Promise((resolve, reject) => {
      let cancel = () => {};
      const settle = (act: () => void) => {
        cancel();
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onAbort = () => settle(() => reject(signal.reason));
      const attempt = (index: number): void => {
        const wait = WAITS_MS[index];
        if (wait === undefined) {
          settle(() => reject(new Error("no answer")));
          return;
        }
        socket.send(question, () => undefined);
        cancel = this.#clock.timer(wait, () => attempt(index + 1));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      socket.on("error", (error) => settle(() => reject(error)));
      socket.on("message", (answer) => {
        if (answer.length < 4 || answer[0] !== 0 || answer[1] !== opcode + 128) return;
        this.#heard = true;
        const result = answer.readUInt16BE(2);
        if (result !== 0) {
          const why = RESULTS[result] ?? `result ${result}`;
          return settle(() => reject(new MappingError("refused", `the router refused a port by NAT-PMP: ${why}`)));
        }
        if (answer.length < length) return;
        if (opcode === MAP_TCP && answer.readUInt16BE(8) !== question.readUInt16BE(4)) return;
        settle(() => resolve(answer));
      });
      attempt(0);
    });
  }
}

/** RFC 6886 §3.3. */
function mapping(internalPort: number, externalPort: number, lifetime: number): Buffer {
  const question = Buffer.alloc(12);
  question[1] = MAP_TCP;
  question.writeUInt16BE(internalPort, 4);
  question.writeUInt16BE(externalPort, 6);
  question.writeUInt32BE(lifetime, 8);
  return question;
}
