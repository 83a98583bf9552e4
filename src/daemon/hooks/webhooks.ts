/**
 * Webhooks: signed POST requests that tell others what became of downloads. A message is written down in the same batch as
 * the change that it tells of, and kept until it was delivered: each is delivered at least once, whatever happens to either
 * side in between.
 */
import type { SessionEvent } from "../core/events.ts";
import type { WebhookEvent } from "../core/hooks.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { HttpClient } from "../core/ports/http.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Outbox, SessionStore } from "../core/ports/sessions.ts";
import { WebhookDelivery } from "./webhook-delivery.ts";
import { webhookBody, webhookEvent } from "./webhook-message.ts";
import { WebhookQueue } from "./webhook-queue.ts";

/** A receiver. */
export interface Webhook {
  readonly url: string;
  readonly secret: string;
  readonly events: readonly WebhookEvent[];
}

/** What webhooks work with. */
export interface WebhooksInit {
  readonly webhooks: readonly Webhook[];
  readonly sessions: Pick<SessionStore, "subscribe"> & Outbox;
  readonly store: KeyValue;
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Receiver {
  readonly events: ReadonlySet<WebhookEvent>;
  readonly queue: WebhookQueue;
  readonly delivery: WebhookDelivery;
  full: boolean;
}

/** All receivers. Disposal breaks off what is under way; it goes on at the next start. */
export class Webhooks implements Startable {
  readonly #init: WebhooksInit;
  readonly #receivers: readonly Receiver[];
  readonly #stop = new AbortController();
  readonly #ends: (() => void)[] = [];
  #running: Promise<unknown> = Promise.resolve();

  constructor(init: WebhooksInit) {
    this.#init = init;
    this.#receivers = init.webhooks.map(({ url, secret, events }, index) => {
      // The same URL may be there twice, with other events or another secret.
      const twins = init.webhooks.slice(0, index).filter((other) => other.url === url).length;
      const queue = new WebhookQueue(init.store, `${url}\n${twins}`);
      const { client, clock, logger } = init;
      const delivery = new WebhookDelivery({ url, secret, queue, client, clock, logger });
      return { events: new Set(events), queue, delivery, full: false };
    });
  }

  /** Goes on with what an earlier process left. @throws DownloadError of the store */
  async start(): Promise<void> {
    const { sessions, store, logger } = this.#init;
    const queues = this.#receivers.map(({ queue }) => queue);
    const removed = await WebhookQueue.removeOthers(store, queues);
    if (removed > 0) logger.warn({ messages: removed }, "messages for webhooks that are gone were dropped");
    if (queues.length === 0) return;
    await Promise.all(queues.map((queue) => queue.start()));
    this.#ends.push(
      sessions.alongside((events) => events.flatMap((event) => this.#messagesOf(event))),
      // What was put into the batch can be read from now on.
      sessions.subscribe(({ event }) => {
        if (webhookEvent(event) !== undefined) for (const { delivery } of this.#receivers) delivery.wake();
      }),
    );
    this.#running = Promise.all(this.#receivers.map(({ delivery }) => delivery.run(this.#stop.signal)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) end();
    this.#stop.abort();
    await this.#running;
  }

  #messagesOf(event: SessionEvent): readonly Write[] {
    const name = webhookEvent(event);
    if (name === undefined) return [];
    const now = this.#init.clock.now();
    let body: string | undefined;
    return this.#receivers.flatMap((receiver) => {
      if (!receiver.events.has(name)) return [];
      body ??= webhookBody(name, event.session, now);
      const writes = receiver.queue.add(body, now);
      if (writes.length === 0 && !receiver.full)
        this.#init.logger.error({}, `${receiver.queue.size} messages wait for a webhook already: more are left out`);
      receiver.full = writes.length === 0;
      return writes;
    });
  }
}
