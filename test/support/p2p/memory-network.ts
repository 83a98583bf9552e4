/** A network in memory: what is published can be called. */
import type { Channel, PeerNetwork, Servable } from "../../../src/daemon/p2p/types.ts";
import { type MemoryChannels, memoryChannels, peerIdOf } from "./memory-channels.ts";
import { Taking } from "./taking.ts";

interface Publication {
  readonly servable: Servable;
  readonly give: (channel: Channel) => void;
}

/** Publishes shares, by public id. */
export class MemoryNetwork implements Pick<PeerNetwork, "publish"> {
  readonly published = new Map<string, Publication>();
  /** Publishing fails with it. */
  error: Error | undefined;

  async publish(servable: Servable, give: (channel: Channel) => void): Promise<AsyncDisposable> {
    if (this.error) throw this.error;
    const { publicId } = servable.keys;
    this.published.set(publicId, { servable, give });
    return { [Symbol.asyncDispose]: async () => void this.published.delete(publicId) };
  }

  /** Becomes a taker of a share. @throws Error if it is not published */
  call(publicId: string, word = "taker", options: { keep?: boolean; strict?: boolean } = {}): Call {
    const publication = this.published.get(publicId);
    if (!publication) throw new Error(`${publicId} is not published`);
    const pair = memoryChannels({ publicId, takerId: peerIdOf(word), strict: options.strict ?? true });
    const peer = new Taking(pair.taker, options);
    publication.give(pair.giver);
    return { peer, pair };
  }
}

interface Call {
  readonly peer: Taking;
  readonly pair: MemoryChannels;
}
