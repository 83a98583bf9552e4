/**
 * Signals between peers of a test, by memory: what is said is there at once, or after a delay, as strict as the contract
 * allows. Peers of several processes share one by {@link serveSignalling} and {@link ParentSignalling}.
 */
import type { ChildProcess } from "node:child_process";
import type { Presence, ShareKeys, Signalling } from "../../../src/daemon/p2p/types.ts";

/** Bytes of a message. */
const LONGEST_MESSAGE = 700;

/** See above. */
export class MemorySignalling implements Signalling {
  readonly #delayMs: number;
  /** By share, then peer. */
  readonly #present = new Map<string, Map<string, () => Presence>>();
  readonly #watchers = new Map<string, Set<(presence: Presence) => void>>();
  readonly #messages = new Map<string, Uint8Array>();
  readonly #receivers = new Map<string, Set<(message: Uint8Array) => void>>();
  /** Messages that were sent: from, to, bytes. */
  readonly sent: { readonly from: string; readonly to: string; readonly bytes: number }[] = [];

  /** @param delayMs - of every message and presence */
  constructor(delayMs = 0) {
    this.#delayMs = delayMs;
  }

  announce(keys: ShareKeys, self: () => Presence): AsyncDisposable {
    const { peerId } = self();
    const peers = of(this.#present, keys.publicId, () => new Map<string, () => Presence>());
    peers.set(peerId, self);
    this.#later(() => {
      for (const watcher of this.#watchers.get(keys.publicId) ?? []) watcher(self());
    });
    return {
      [Symbol.asyncDispose]: async () => {
        if (peers.get(peerId) === self) peers.delete(peerId);
      },
    };
  }

  watch(keys: ShareKeys, self: string, onPresence: (presence: Presence) => void, signal: AbortSignal): void {
    const watcher = (presence: Presence) => {
      if (presence.peerId !== self && !signal.aborted) onPresence(presence);
    };
    const watchers = of(this.#watchers, keys.publicId, () => new Set<typeof watcher>());
    watchers.add(watcher);
    signal.addEventListener("abort", () => watchers.delete(watcher), { once: true });
    this.#later(() => {
      for (const present of this.#present.get(keys.publicId)?.values() ?? []) watcher(present());
    });
  }

  async send(keys: ShareKeys, from: string, to: string, message: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (message.length > LONGEST_MESSAGE) throw new RangeError(`${message.length} bytes are too many`);
    const name = `${keys.publicId} ${from} ${to}`;
    const kept = Uint8Array.from(message);
    this.#messages.set(name, kept);
    this.sent.push({ from, to, bytes: kept.length });
    this.#later(() => {
      // Only the last one is kept.
      if (this.#messages.get(name) !== kept) return;
      for (const receiver of this.#receivers.get(name) ?? []) receiver(Uint8Array.from(kept));
    });
  }

  receive(
    keys: ShareKeys,
    from: string,
    to: string,
    onMessage: (message: Uint8Array) => void,
    signal: AbortSignal,
  ): void {
    const name = `${keys.publicId} ${from} ${to}`;
    const receiver = (message: Uint8Array) => {
      if (!signal.aborted) onMessage(message);
    };
    const receivers = of(this.#receivers, name, () => new Set<typeof receiver>());
    receivers.add(receiver);
    signal.addEventListener("abort", () => receivers.delete(receiver), { once: true });
    const kept = this.#messages.get(name);
    if (kept) this.#later(() => this.#messages.get(name) === kept && receiver(Uint8Array.from(kept)));
  }

  #later(action: () => void): void {
    if (this.#delayMs === 0) setImmediate(action);
    else setTimeout(action, this.#delayMs);
  }
}

function of<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** What goes between a process and the one that started it. */
type SignalMessage =
  | { readonly signal: "announce"; readonly id: number; readonly publicId: string; readonly presence: Presence }
  | { readonly signal: "end"; readonly id: number }
  | { readonly signal: "watch"; readonly id: number; readonly publicId: string; readonly self: string }
  | {
      readonly signal: "send";
      readonly publicId: string;
      readonly from: string;
      readonly to: string;
      readonly text: string;
    }
  | {
      readonly signal: "receive";
      readonly id: number;
      readonly publicId: string;
      readonly from: string;
      readonly to: string;
    }
  | { readonly signal: "presence"; readonly id: number; readonly presence: Presence }
  | { readonly signal: "message"; readonly id: number; readonly text: string };

const keysOf = (publicId: string) => ({ publicId }) as ShareKeys;

/** Lets a child process, started with an IPC channel, use a hub's signalling. */
export function serveSignalling(hub: MemorySignalling, child: ChildProcess): void {
  const ends = new Map<number, () => void>();
  child.once("exit", () => {
    for (const end of ends.values()) end();
  });
  // It may end at any moment: with a callback that is no error of this process.
  const say = (message: SignalMessage) => child.connected && child.send(message, () => undefined);
  const ending = (id: number): AbortSignal => {
    const controller = new AbortController();
    ends.set(id, () => controller.abort());
    return controller.signal;
  };
  child.on("message", (message: SignalMessage) => {
    switch (message.signal) {
      case "announce": {
        const held = hub.announce(keysOf(message.publicId), () => message.presence);
        ends.set(message.id, () => void held[Symbol.asyncDispose]());
        break;
      }
      case "end":
        ends.get(message.id)?.();
        ends.delete(message.id);
        break;
      case "watch": {
        const { id, publicId, self } = message;
        hub.watch(keysOf(publicId), self, (presence) => say({ signal: "presence", id, presence }), ending(id));
        break;
      }
      case "send": {
        const { publicId, from, to, text } = message;
        void hub.send(keysOf(publicId), from, to, Buffer.from(text, "base64"), new AbortController().signal);
        break;
      }
      case "receive": {
        const { id, publicId, from, to } = message;
        const onMessage = (bytes: Uint8Array) =>
          say({ signal: "message", id, text: Buffer.from(bytes).toString("base64") });
        hub.receive(keysOf(publicId), from, to, onMessage, ending(id));
        break;
      }
      default:
    }
  });
}

/** How often a presence is looked at for changes, in milliseconds. */
const REFRESH_MS = 200;

/** In a child process: the signalling of its parent. */
export class ParentSignalling implements Signalling {
  #ids = 0;
  readonly #presences = new Map<number, (presence: Presence) => void>();
  readonly #messages = new Map<number, (message: Uint8Array) => void>();

  constructor() {
    process.on("message", (message: SignalMessage) => {
      if (message.signal === "presence") this.#presences.get(message.id)?.(message.presence);
      if (message.signal === "message") this.#messages.get(message.id)?.(Buffer.from(message.text, "base64"));
    });
  }

  announce(keys: ShareKeys, self: () => Presence): AsyncDisposable {
    let last = "";
    let id = 0;
    const look = () => {
      const presence = self();
      const text = JSON.stringify({ ...presence, time: 0 });
      if (text === last) return;
      last = text;
      if (id > 0) this.#say({ signal: "end", id });
      id = this.#next();
      this.#say({ signal: "announce", id, publicId: keys.publicId, presence });
    };
    look();
    const timer = setInterval(look, REFRESH_MS);
    return {
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer);
        this.#say({ signal: "end", id });
      },
    };
  }

  watch(keys: ShareKeys, self: string, onPresence: (presence: Presence) => void, signal: AbortSignal): void {
    const id = this.#next();
    this.#presences.set(id, onPresence);
    this.#say({ signal: "watch", id, publicId: keys.publicId, self });
    this.#endWith(id, signal);
  }

  async send(keys: ShareKeys, from: string, to: string, message: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const text = Buffer.from(message).toString("base64");
    this.#say({ signal: "send", publicId: keys.publicId, from, to, text });
  }

  receive(
    keys: ShareKeys,
    from: string,
    to: string,
    onMessage: (message: Uint8Array) => void,
    signal: AbortSignal,
  ): void {
    const id = this.#next();
    this.#messages.set(id, onMessage);
    this.#say({ signal: "receive", id, publicId: keys.publicId, from, to });
    this.#endWith(id, signal);
  }

  #next(): number {
    this.#ids += 1;
    return this.#ids;
  }

  #endWith(id: number, signal: AbortSignal): void {
    const end = () => {
      this.#presences.delete(id);
      this.#messages.delete(id);
      this.#say({ signal: "end", id });
    };
    signal.addEventListener("abort", end, { once: true });
  }

  #say(message: SignalMessage): void {
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }
}
