/** A network in memory: takers meet the givers that the test has put there, again and again, as long as they want some. */
import { randomBytes } from "node:crypto";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { PeerPath } from "../../../src/daemon/core/peers.ts";
import type { Channel, ChannelTaker, PeerNetwork, Search, Servable } from "../../../src/daemon/p2p/types.ts";
import { type MemoryChannels, memoryChannels } from "./memory-channels.ts";

/** A peer that gives. */
export interface FakeGiver {
  readonly peerId: string;
  readonly address?: string;
  readonly path?: PeerPath;
  /** It gives in the clear to who takes that. */
  readonly clear?: boolean;
  /** Takes the giver's end of a channel. */
  give(channel: Channel, ends: MemoryChannels): void;
  /** Connections that it takes; default: any number, one at a time. */
  readonly most?: number;
}

/** How often takers are looked after, in milliseconds. */
const LOOK_MS = 1;

/** A {@link PeerNetwork} of givers in memory. */
export class FakeNetwork implements PeerNetwork {
  readonly givers: FakeGiver[] = [];
  readonly takers = new Set<ChannelTaker>();
  readonly published = new Set<Servable>();
  /** Channels that were made, by giver. */
  readonly met = new Map<FakeGiver, number>();
  /** Ends of channels in the takers' hands. */
  readonly open = new Map<FakeGiver, Channel>();
  problem: DownloadError | undefined;
  readonly #gives = new Map<Servable, (channel: Channel) => void>();

  async publish(servable: Servable, give: (channel: Channel) => void): Promise<AsyncDisposable> {
    this.published.add(servable);
    this.#gives.set(servable, give);
    return {
      [Symbol.asyncDispose]: async () => {
        this.published.delete(servable);
        this.#gives.delete(servable);
      },
    };
  }

  /** Another peer fetches what is published. @returns the taker's end */
  fetchFrom(servable: Servable): MemoryChannels {
    const ends = memoryChannels({ publicId: servable.keys.publicId, takerId: randomBytes(32).toString("hex") });
    this.#gives.get(servable)?.(ends.giver);
    return ends;
  }

  async seek(taker: ChannelTaker): Promise<Search> {
    this.takers.add(taker);
    const timer = setInterval(() => this.#look(taker), LOOK_MS);
    this.#look(taker);
    return {
      look: () => this.#look(taker),
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer);
        this.takers.delete(taker);
      },
    };
  }

  #look(taker: ChannelTaker): void {
    if (this.problem) taker.problem(this.problem);
    for (const giver of this.givers) {
      if (taker.wanted() <= 0) return;
      const met = this.met.get(giver) ?? 0;
      if (this.open.get(giver)?.closed === false || taker.isBanned(giver.peerId) || met >= (giver.most ?? 1e9))
        continue;
      this.met.set(giver, met + 1);
      const ends = memoryChannels({ publicId: taker.keys.publicId, giverId: giver.peerId });
      const { address: remoteAddress = "192.168.7.7", path = "lan", clear = false } = giver;
      for (const end of [ends.taker, ends.giver]) Object.assign(end, { inClear: clear && taker.plain });
      Object.assign(ends.taker, { remoteAddress, path });
      this.open.set(giver, ends.taker);
      giver.give(ends.giver, ends);
      taker.take(ends.taker);
    }
  }
}
