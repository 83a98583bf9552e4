/**
 * Delivers one receiver's messages, one after the other, until each was taken: what fails is sent again with growing pauses,
 * across restarts too. Nothing else waits for it.
 */
import { asDownloadError } from "../core/errors.ts";
import type { HttpClient } from "../core/ports/http.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { signedHeaders } from "./webhook-message.ts";
import type { Message, WebhookQueue } from "./webhook-queue.ts";

/** Milliseconds without a byte, and for a whole try. */
const SILENCE_MS = 10_000;
const WHOLE_MS = 30_000;

/** Milliseconds before the second try; doubled each time, up to the longest. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** A message older than this is not tried again: three days. */
const LONGEST_AGE_MS = 3 * 86_400_000;

/** Tries of a message that the receiver itself refuses; those behind it shall not wait for ever. */
const MOST_REFUSALS = 5;

/** Messages that are read at once. */
const READ_AT_ONCE = 50;

/** What a delivery works with. */
export interface DeliveryInit {
  readonly url: string;
  readonly secret: string;
  readonly queue: WebhookQueue;
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One receiver. */
export class WebhookDelivery {
  readonly #init: DeliveryInit;
  /** For the log: the rest of the URL may be a secret. */
  readonly #host: string;
  #news = Promise.withResolvers<void>();
  #failures = 0;

  constructor(init: DeliveryInit) {
    this.#init = init;
    this.#host = URL.parse(init.url)?.host ?? "";
  }

  /** There may be messages. */
  wake(): void {
    this.#news.resolve();
  }

  /** Delivers until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue, clock, logger } = this.#init;
    const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    while (!signal.aborted) {
      this.#news = Promise.withResolvers();
      try {
        const messages = await queue.head(READ_AT_ONCE);
        if (messages.length === 0) await Promise.race([this.#news.promise, ended]);
        for (const message of messages) if (!(await this.#deliver(message, signal))) return;
      } catch (error) {
        logger.error({ err: error, host: this.#host }, "the queue of a webhook could not be read or written");
        await clock.sleep(FIRST_PAUSE_MS, signal).catch(() => undefined);
      }
    }
  }

  /** Sends a message until it is taken or given up. @returns false if the end came before */
  async #deliver(message: Message, signal: AbortSignal): Promise<boolean> {
    const { queue, clock, logger } = this.#init;
    for (let refusals = 0; ; ) {
      if (signal.aborted) return false;
      const { problem, refused, retryAfterMs } = await this.#send(message, signal);
      if (problem === undefined) {
        if (this.#failures > 0) logger.info({ host: this.#host }, `the webhook at ${this.#host} takes messages again`);
        this.#failures = 0;
        await queue.remove(message.key);
        return true;
      }
      if (signal.aborted) return false;
      this.#failures++;
      if (refused) refusals++;
      const why = { host: this.#host, message: message.id, failures: this.#failures };
      if (refusals >= MOST_REFUSALS || clock.now() - message.at > LONGEST_AGE_MS) {
        logger.error(why, `a message for the webhook at ${this.#host} was given up: ${problem}`);
        await queue.remove(message.key);
        return true;
      }
      const text = `the webhook at ${this.#host} ${problem}; trying again`;
      if (this.#failures === 1) logger.warn(why, text);
      else logger.debug(why, text);
      await clock.sleep(pause(this.#failures, retryAfterMs), signal).catch(() => undefined);
    }
  }

  /** One try. */
  async #send(
    { id, body }: Message,
    signal: AbortSignal,
  ): Promise<{ problem?: string; refused?: boolean; retryAfterMs?: number | undefined }> {
    const { url, secret, client, clock } = this.#init;
    const limit = new AbortController();
    const stopLimit = clock.timer(WHOLE_MS, () => limit.abort(new Error(`gave no answer within ${WHOLE_MS / 1000} s`)));
    try {
      const headers = signedHeaders(secret, id, body, clock.now());
      const request = { url, method: "POST", body, headers, follow: false, timeoutMs: SILENCE_MS } as const;
      const answer = await client.request(request, AbortSignal.any([signal, limit.signal]));
      answer.cancel();
      const { status } = answer;
      if (status >= 200 && status < 300) return {};
      const passing = status === 408 || status === 425 || status === 429;
      return { problem: `answers with HTTP ${status}`, refused: status < 500 && !passing };
    } catch (error) {
      const { message, retryAfterMs } = asDownloadError(error);
      return { problem: `cannot be told: ${message}`, retryAfterMs };
    } finally {
      stopLimit();
    }
  }
}

/** Milliseconds before the next try: the receiver's own wish, or half to all of a span that doubles. */
function pause(failures: number, retryAfterMs: number | undefined): number {
  const span = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
  const own = span * (0.5 + Math.random() / 2);
  return retryAfterMs === undefined ? own : Math.min(Math.max(own, retryAfterMs), 6 * LONGEST_PAUSE_MS);
}
