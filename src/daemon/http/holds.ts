/**
 * Hosts that asked to be left alone, and until when (Retry-After, RFC 9110 §10.2.3): for everyone, and beyond the end of the
 * process. What is kept is a time of the day, so that a daemon that was not running waits no longer for it.
 */
import { ERRORS, type ErrorCode } from "../../shared/errors.ts";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";

/** The space of the database that is used. */
const SPACE = "holds";

/** Hosts that are remembered at most: the latest. */
const MOST_HOSTS = 4096;

/** What holds work with. */
export interface HoldsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent: they end with the process. */
  readonly store?: KeyValue;
}

interface Hold {
  /** On the monotonic clock, in milliseconds. */
  readonly until: number;
  readonly error: Pick<DownloadError, "code" | "message" | "metadata">;
}

/** The holds of all hosts. A host is a name with its port, as in `URL.host`. */
export class Holds implements Startable {
  readonly #parts: HoldsParts;
  readonly #longestMs: number;
  readonly #hosts = new Map<string, Hold>();
  #writing: Promise<void> = Promise.resolve();

  /** @param longestMs - no host is left alone for longer, whatever it asks for */
  constructor(longestMs: number, parts: HoldsParts) {
    this.#longestMs = longestMs;
    this.#parts = parts;
  }

  /** Takes up those of an earlier process, and forgets those that are over, or too many. */
  async start(): Promise<void> {
    const { clock, store } = this.#parts;
    const over: string[] = [];
    for await (const [host, text] of store?.entries(SPACE) ?? []) {
      const kept = parse(text);
      // A clock that was put back must not make the wait longer than it was.
      const left = Math.min((kept?.until ?? 0) - clock.now(), this.#longestMs);
      if (kept && left > 0 && this.#hosts.size < MOST_HOSTS)
        this.#hosts.set(host, { until: clock.monotonic() + left, error: kept.error });
      else over.push(host);
    }
    for (const host of over) this.#write({ type: "del", space: SPACE, key: host });
    await this.#writing;
  }

  /** Remembers what a host answered, if it named a time. A shorter time does not cut a longer one. */
  set(host: string, error: DownloadError): void {
    const { clock } = this.#parts;
    const wait = Math.min(error.retryAfterMs ?? 0, this.#longestMs);
    if (wait <= 0) return;
    const until = clock.monotonic() + wait;
    if ((this.#hosts.get(host)?.until ?? 0) >= until) return;
    const { code, message, metadata } = error;
    this.#hosts.delete(host);
    this.#hosts.set(host, { until, error: { code, message, metadata } });
    const value = JSON.stringify({ until: clock.now() + wait, code, message, metadata });
    this.#write({ type: "put", space: SPACE, key: host, value });
    const [oldest] = this.#hosts.keys();
    if (this.#hosts.size > MOST_HOSTS && oldest !== undefined) this.#forget(oldest);
  }

  /**
   * Throws what the host answered last, while its time runs.
   *
   * @throws DownloadError with `held: "true"` in its metadata, since the host was not asked again, and the time that is left
   */
  check(host: string): void {
    const hold = this.#hosts.get(host);
    if (hold === undefined) return;
    const left = hold.until - this.#parts.clock.monotonic();
    // A timer may fire a millisecond early: whoever waited for it has waited.
    if (left > 1) {
      const { code, message, metadata } = hold.error;
      throw failure(code, message, { metadata: { ...metadata, held: "true" }, retryAfterMs: left, retryable: true });
    }
    this.#forget(host);
  }

  /** Resolves when everything is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  #forget(host: string): void {
    this.#hosts.delete(host);
    this.#write({ type: "del", space: SPACE, key: host });
  }

  #write(write: Parameters<KeyValue["write"]>[0][number]): void {
    const { store, logger } = this.#parts;
    if (store === undefined) return;
    this.#writing = Promise.all([this.#writing, store.write([write])]).then(
      () => undefined,
      (error: unknown) => {
        // At worst a host is asked too early, after a restart.
        logger.warn(
          { host: write.key, err: asDownloadError(error) },
          "how long a host wants to be left alone is not recorded",
        );
      },
    );
  }
}

/** What was written by {@link Holds.set}; undefined if it is not that. */
function parse(text: string): { until: number; error: Hold["error"] } | undefined {
  try {
    const { until, code, message, metadata } = JSON.parse(text) as Record<string, unknown>;
    if (typeof until !== "number" || typeof message !== "string" || typeof code !== "string") return undefined;
    if (!Object.hasOwn(ERRORS, code) || typeof metadata !== "object" || metadata === null) return undefined;
    const strings = Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === "string");
    return { until, error: { code: code as ErrorCode, message, metadata: Object.fromEntries(strings) } };
  } catch {
    return undefined;
  }
}
