/** Publishes shares on the network, and goes on trying where that fails; what is withdrawn is given to nobody any more. */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Seeder } from "../give/seeder.ts";
import type { PeerNetwork } from "../types.ts";
import type { ShareContent } from "./share-content.ts";

/** Milliseconds after which a share is published again that could not be. */
const AGAIN_MS = 30_000;

/** What it needs. */
export interface SharePublisherParts {
  readonly network: Pick<PeerNetwork, "publish">;
  readonly seeder: Pick<Seeder, "serve">;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Published {
  publication?: AsyncDisposable;
  problem?: DownloadError;
  cancelAgain?: () => void;
}

/**
 * What the peers of a share are told when it ends. Who merely gives on what he has fetched says nothing of the share: whoever
 * shared it may give it as before.
 */
export function lastWord({ record }: Pick<ShareContent, "record">, why: string): DownloadError {
  if (record.fetched) return failure("PEER_REFUSED", "it is not given on from here any more");
  return failure("SHARE_ENDED", why);
}

/** The shares that can be reached, or are to be. */
export class SharePublisher {
  readonly #parts: SharePublisherParts;
  readonly #published = new Map<ShareContent, Published>();

  constructor(parts: SharePublisherParts) {
    this.#parts = parts;
  }

  /** Publishes a share. @returns why that could not be done now; it is tried again */
  async publish(content: ShareContent): Promise<DownloadError | undefined> {
    const { network, seeder, clock, logger } = this.#parts;
    const published: Published = {};
    this.#published.set(content, published);
    const wanted = (): boolean => this.#published.get(content) === published;
    try {
      published.publication = await network.publish(content, (channel) => {
        if (content.isOver) channel.close(lastWord(content, "the share has ended: its time is over"));
        else if (!wanted()) channel.close(failure("PEER_REFUSED", "it is not given here any more"));
        else if (content.hasRoomFor(channel.peerId)) seeder.serve(channel, content);
        else channel.close(failure("PEER_BUSY", "others are fetching what may still be fetched of the share"));
      });
      // It was withdrawn meanwhile.
      if (!wanted()) await published.publication[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      const problem = asDownloadError(error);
      logger.warn({ share: content.record.id, error: problem.message }, "a share cannot be reached by others");
      published.problem = problem;
      if (wanted()) published.cancelAgain = clock.timer(AGAIN_MS, () => void this.publish(content));
      return problem;
    }
  }

  /** Why a share cannot be reached now. */
  problem(content: ShareContent): string | undefined {
    return this.#published.get(content)?.problem?.message;
  }

  /** Nobody gets to it any more. */
  async withdraw(content: ShareContent): Promise<void> {
    const published = this.#published.get(content);
    this.#published.delete(content);
    published?.cancelAgain?.();
    try {
      await published?.publication?.[Symbol.asyncDispose]();
    } catch (error) {
      const { message } = asDownloadError(error);
      this.#parts.logger.warn(
        { share: content.record.id, error: message },
        "a share was not withdrawn as it should be",
      );
    }
  }
}
