/**
 * By which way the packets of the DHT go. UDP is what nodes speak; where nobody answers, since a network lets none of it
 * through, a TURN server passes packets on, if there is one. It is looked now and then whether UDP is there again: the relay
 * costs its owner something. Who wants to be seen by relays alone uses one from the start, and never UDP.
 */
import { asDownloadError } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Relay, RelayEvents } from "../nat/turn-relay.ts";
import type { DhtSocket } from "./dht-socket.ts";

/** Milliseconds without an answer after which UDP counts as blocked: at the start, and after it has worked. */
const BLOCKED_MS = 2000;
const LOST_MS = 30_000;

/** Milliseconds between two looks at that. */
const FIRST_LOOK_MS = 200;
const LOOK_MS = 5000;

/** Milliseconds after which another relay is looked for where one was lost. */
const PAUSE_MS = 1000;

/** Milliseconds until a relay that cannot be had is tried again: doubled each time, up to the longest. */
const RETRY_MS = 5000;
const LONGEST_RETRY_MS = 5 * 60_000;

/** Milliseconds between two looks whether UDP is there again, doubled in the same way. */
const PROBE_MS = 60_000;
const LONGEST_PROBE_MS = 15 * 60_000;

/** Nodes that are asked for it. */
const PROBED = 4;

/** Relays that may be used. */
export interface DhtRelays {
  /** Nothing goes by UDP. */
  readonly only: boolean;
  /** @throws NetworkError; the signal's reason */
  open(events: RelayEvents, signal: AbortSignal): Promise<Relay>;
}

/** What a route is made of. */
export interface DhtRouteInit {
  readonly socket: DhtSocket;
  readonly relays: DhtRelays;
  /** Nodes that have answered lately. */
  readonly nodes: () => readonly { readonly host: string; readonly port: number }[];
  readonly nodeId: Buffer;
  /** Packets go by another way from now on. */
  readonly onSwitch: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** See above. */
export class DhtRoute implements Disposable {
  readonly #init: DhtRouteInit;
  readonly #ended = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  #problem: string | undefined;

  constructor(init: DhtRouteInit) {
    this.#init = init;
  }

  /** For people; undefined: by UDP, and nothing is to be said. */
  get state(): string | undefined {
    const { relay } = this.#init.socket;
    if (relay) return `by the relay of ${relay.name}`;
    return this.#problem === undefined ? undefined : `no relay (${this.#problem})`;
  }

  /** Resolves as soon as packets get through by one way or the other, or a relay has failed. Never rejects. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Packets go by a relay. */
  get isOpen(): boolean {
    return this.#init.socket.relay !== undefined;
  }

  start(): void {
    void this.#run(this.#ended.signal);
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#settled.resolve();
    const { socket } = this.#init;
    socket.relay?.[Symbol.dispose]();
    socket.relay = undefined;
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { relays, clock, logger } = this.#init;
    let pause = RETRY_MS;
    while (!signal.aborted)
      try {
        if (!relays.only) await this.#silence(signal);
        await this.#divert(signal);
        pause = RETRY_MS;
        await clock.sleep(PAUSE_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = asDownloadError(error).message;
        this.#settled.resolve();
        logger.debug({ err: error }, "the DHT has no relay");
        await clock.sleep(pause * (0.9 + 0.2 * Math.random()), signal).catch(() => undefined);
        pause = Math.min(2 * pause, LONGEST_RETRY_MS);
      }
  }

  /** Waits until UDP does not get through. @throws the signal's reason */
  async #silence(signal: AbortSignal): Promise<void> {
    const { socket, clock } = this.#init;
    for (;;) {
      const { ms, heard } = socket.silence;
      if (heard) {
        this.#problem = undefined;
        this.#settled.resolve();
      }
      if (ms >= (heard ? LOST_MS : BLOCKED_MS)) return;
      await clock.sleep(heard ? LOOK_MS : FIRST_LOOK_MS, signal);
    }
  }

  /** Goes by a relay until it is lost, or UDP is there again. @throws NetworkError; the signal's reason */
  async #divert(signal: AbortSignal): Promise<void> {
    const { socket, relays, clock, logger, onSwitch } = this.#init;
    const lost = Promise.withResolvers<void>();
    const done = new AbortController();
    const relay = await relays.open(
      {
        onDatagram: (bytes, from) => socket.receive(bytes, from),
        onEnd: (error) => {
          this.#problem = error.message;
          lost.resolve();
        },
      },
      signal,
    );
    try {
      signal.throwIfAborted();
      // It may have been waited for long enough that UDP has answered.
      if (!relays.only && socket.silence.ms === 0 && socket.silence.heard) return;
      socket.relay = relay;
      this.#problem = undefined;
      this.#settled.resolve();
      logger.info({ relay: relay.name }, "the DHT is asked by way of a relay");
      onSwitch();
      const until = AbortSignal.any([signal, done.signal]);
      await Promise.race([lost.promise, relays.only ? forever(until) : this.#udp(until, clock)]);
    } finally {
      done.abort();
      socket.relay = undefined;
      relay[Symbol.dispose]();
    }
    logger.info({ relay: relay.name, problem: this.#problem }, "the DHT is not asked by way of the relay any more");
    onSwitch();
  }

  /** Waits until UDP gets through. @throws the signal's reason */
  async #udp(signal: AbortSignal, clock: Clock): Promise<void> {
    const { socket, nodes, nodeId } = this.#init;
    for (let pause = PROBE_MS; ; pause = Math.min(2 * pause, LONGEST_PROBE_MS)) {
      await clock.sleep(pause * (0.9 + 0.2 * Math.random()), signal);
      const some = nodes().slice(0, PROBED);
      const answers = await Promise.all(some.map((node) => socket.ask(node, "ping", { id: nodeId }, true)));
      if (answers.some((answer) => answer !== undefined)) return;
    }
  }
}

/** @throws the signal's reason */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
