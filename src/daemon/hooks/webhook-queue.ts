/** Messages that wait to be delivered, in the database: a queue for each receiver, in the order of the events. */
import { createHash, randomUUID } from "node:crypto";
import type { KeyValue, Write } from "../core/ports/key-value.ts";

const SPACE = "webhook";

/** Messages that may wait for one receiver. */
const MOST_WAITING = 100_000;

/** A message on its way. */
export interface Message {
  readonly key: string;
  /** Of the message, the same at every try. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly body: string;
}

/** One receiver's queue. */
export class WebhookQueue {
  readonly #store: KeyValue;
  readonly #prefix: string;
  #count = 0;
  #added = 0;

  /** @param receiver - what it is known by, such as its URL; only its digest is written down */
  constructor(store: KeyValue, receiver: string) {
    this.#store = store;
    this.#prefix = `${createHash("sha256").update(receiver).digest("hex").slice(0, 32)}!`;
  }

  /** Counts what an earlier process left. */
  async start(): Promise<void> {
    for await (const _ of this.#store.entries(SPACE, this.#range())) this.#count++;
  }

  /** Messages that wait. */
  get size(): number {
    return this.#count;
  }

  /** What has to be written to put a message at the end; nothing if too many wait. */
  add(body: string, now: number): readonly Write[] {
    if (this.#count >= MOST_WAITING) return [];
    this.#count++;
    const id = randomUUID();
    const place = `${String(Math.max(0, now)).padStart(15, "0")}!${String(this.#added++).padStart(9, "0")}`;
    return [
      {
        type: "put",
        space: SPACE,
        key: `${this.#prefix}${place}!${id}`,
        value: JSON.stringify({ id, at: now, body }),
      },
    ];
  }

  /** The oldest messages. */
  async head(limit: number): Promise<Message[]> {
    const found: Message[] = [];
    for await (const [key, value] of this.#store.entries(SPACE, { ...this.#range(), limit })) {
      const message = parse(key, value);
      if (message) found.push(message);
      else await this.remove(key);
    }
    return found;
  }

  /** A message is delivered, or given up. */
  async remove(key: string): Promise<void> {
    await this.#store.write([{ type: "del", space: SPACE, key }]);
    this.#count = Math.max(0, this.#count - 1);
  }

  /** Removes what waits for receivers that are none any more. @returns how many messages */
  static async removeOthers(store: KeyValue, queues: readonly WebhookQueue[]): Promise<number> {
    const writes: Write[] = [];
    for await (const [key] of store.entries(SPACE))
      if (!queues.some((queue) => key.startsWith(queue.#prefix))) writes.push({ type: "del", space: SPACE, key });
    if (writes.length > 0) await store.write(writes);
    return writes.length;
  }

  #range() {
    return { gte: this.#prefix, lt: `${this.#prefix.slice(0, -1)}"` };
  }
}

/** The database may have been damaged: what is no message is none. */
function parse(key: string, value: string): Message | undefined {
  try {
    const { id, at, body } = JSON.parse(value) as Record<string, unknown>;
    if (typeof id !== "string" || typeof at !== "number" || typeof body !== "string") return undefined;
    return { key, id, at, body };
  } catch {
    return undefined;
  }
}
