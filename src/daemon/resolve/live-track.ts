/** Waits for what is new in the playlist or manifest of a live stream: asks again and again, and notices when it has ended. */
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Segment } from "../core/resolved.ts";

/** What a look brought. */
interface LiveLook {
  readonly found: readonly Segment[];
  readonly ended: boolean;
  /** Seconds after which there may be more. */
  readonly period: number;
}

/** What a live track is followed with. */
export interface LiveInit {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Seconds after which there may be more than there was when the track was opened. */
  readonly period: number;
  look(signal: AbortSignal): Promise<LiveLook>;
}

/** Seconds in which nothing new comes before a stream counts as ended; at least ten periods. */
const PATIENCE = 60;

/** Waits for segments. */
export class LiveTrack {
  readonly #init: LiveInit;
  #periodMs: number;
  #ended = false;
  /** Monotonic: when it was last asked for, and last had something new. */
  #asked: number;
  #changed: number;
  #unchanged = false;

  constructor(init: LiveInit) {
    this.#init = init;
    this.#periodMs = bounded(init.period);
    this.#asked = this.#changed = init.clock.monotonic();
  }

  /**
   * What has come since; undefined if the stream has ended: it says so, or has not changed for long.
   *
   * @throws DownloadError if it could not be read for so long; the signal's reason
   */
  async more(signal: AbortSignal): Promise<readonly Segment[] | undefined> {
    const { clock, logger } = this.#init;
    while (!this.#ended) {
      // RFC 8216 §6.3.4: a period after the last time, half of one if nothing had changed.
      const wait = this.#unchanged ? this.#periodMs / 2 : this.#periodMs;
      await clock.sleep(Math.max(0, this.#asked + wait - clock.monotonic()), signal);
      this.#asked = clock.monotonic();
      const late = this.#asked - this.#changed > Math.max(PATIENCE * 1000, 10 * this.#periodMs);
      let look: LiveLook;
      try {
        look = await this.#init.look(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (late) return this.#gone(error);
        logger.info({ error: String(error) }, "the live stream could not be looked at; asking again");
        this.#unchanged = true;
        continue;
      }
      this.#periodMs = bounded(look.period);
      this.#ended = look.ended;
      this.#unchanged = look.found.length === 0;
      if (look.found.length > 0) {
        this.#changed = this.#asked;
        return look.found;
      }
      if (!late || this.#ended) continue;
      logger.warn({}, "the live stream has not changed for long: it counts as ended");
      this.#ended = true;
    }
    return undefined;
  }

  /** Many origins take a playlist away when its stream is over. */
  #gone(error: unknown): undefined {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "HTTP_NOT_FOUND" && code !== "HTTP_GONE") throw error;
    this.#init.logger.warn({}, "the live stream's playlist is gone: it counts as ended");
    this.#ended = true;
    return undefined;
  }
}

/** Milliseconds. Whatever a playlist says, nobody is asked more than twice a second, or left alone for ten minutes. */
function bounded(seconds: number): number {
  return Math.min(600, Math.max(1, seconds)) * 1000;
}
