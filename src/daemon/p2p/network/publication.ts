/**
 * A share that peers may come for: who is let in once the code is proved, and who is in. A peer counts once, however many
 * connections it makes; while it decides between two paths it has both for a moment, and of two that stay, the older one is
 * of a peer that has lost it.
 */
import { DownloadError, failure } from "../../core/errors.ts";
import type { PeerState } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { Admission } from "../channel/encryption.ts";
import type { Channel, PeerStream, Servable, ShareKeys } from "../types.ts";
import { CountedChannel } from "./counted-channel.ts";

/** Connections of one peer, while it chooses. */
const MOST_OF_A_PEER = 4;
/** How long a peer may have several, in milliseconds. */
const CHOOSING_MS = 5000;
/** Admitted, and not handed over: forgotten after this long, in milliseconds. */
const ADMITTED_MS = 15_000;
/** Not that the share has ended: the daemon may only be about to start anew. Of that whoever keeps the share tells. */
const NOT_HERE = "it is not given here any more";

interface Taken {
  readonly channel: CountedChannel;
  readonly since: number;
}

/** How one is made. */
export interface PublicationOptions {
  readonly servable: Servable;
  readonly give: (channel: Channel) => void;
  readonly clock: Clock;
  /** Why a peer is not let in whatever the share says: it is banned, or we ourselves. */
  readonly refuses: (peerId: string) => DownloadError | undefined;
}

/** See above. */
export class Publication implements Admission, Disposable {
  readonly #options: PublicationOptions;
  readonly #taken = new Set<Taken>();
  /** Admitted peers whose channel is about to come: when that was. */
  readonly #coming = new Map<string, number>();
  readonly #refusals = new WeakSet<DownloadError>();
  #ended = false;

  constructor(options: PublicationOptions) {
    this.#options = options;
  }

  get keys(): ShareKeys {
    return this.#options.servable.keys;
  }

  get encryption(): boolean {
    return this.#options.servable.encryption;
  }

  /** Connected peers, for people. */
  get peers(): PeerState[] {
    return [...this.#taken].map(({ channel, since }) => channel.state("up", since));
  }

  /** Whether this is why a peer was not let in that had proved the code: he is not to be blamed for asking. */
  hasRefused(error: unknown): boolean {
    return error instanceof DownloadError && this.#refusals.has(error);
  }

  admit(peerId: string): DownloadError | undefined {
    const refusal = this.#refusal(peerId);
    if (refusal) this.#refusals.add(refusal);
    else this.#coming.set(peerId, this.#options.clock.monotonic());
    return refusal;
  }

  #refusal(peerId: string): DownloadError | undefined {
    const { servable, clock, refuses } = this.#options;
    if (this.#ended) return failure("PEER_REFUSED", NOT_HERE);
    const refused = refuses(peerId);
    if (refused) return refused;
    const now = clock.monotonic();
    for (const [peer, since] of this.#coming) if (now - since > ADMITTED_MS) this.#coming.delete(peer);
    const own = [...this.#taken].filter(({ channel }) => channel.peerId === peerId).length;
    if (own >= MOST_OF_A_PEER) return failure("PEER_REFUSED", `you have ${own} connections for this share already`);
    const inside = new Set([...this.#coming.keys(), ...[...this.#taken].map(({ channel }) => channel.peerId)]);
    if (!inside.has(peerId) && inside.size >= servable.maxPeers)
      return failure(
        "PEER_BUSY",
        `${inside.size === 1 ? "somebody else fetches" : `${inside.size} others fetch`} it now, and no more may at once; try again later`,
        {
          retryAfterMs: 30_000,
        },
      );
    return undefined;
  }

  /** A channel that was admitted. */
  take(inner: Channel, peer: PeerStream): void {
    const { clock, give } = this.#options;
    this.#coming.delete(inner.peerId);
    if (this.#ended) {
      inner.close(failure("PEER_REFUSED", NOT_HERE));
      return;
    }
    const channel = new CountedChannel(inner, () => void this.#taken.delete(taken));
    const taken: Taken = { channel, since: clock.now() };
    this.#taken.add(taken);
    peer.stream.once("close", () => channel.ended());
    clock.timer(CHOOSING_MS, () => this.#thinOut(channel.peerId));
    give(channel);
  }

  #thinOut(peerId: string): void {
    const own = [...this.#taken].filter(({ channel }) => channel.peerId === peerId);
    for (const { channel } of own.slice(0, -1)) channel.close();
  }

  /** Nobody is let in any more, and who is in is told. */
  [Symbol.dispose](): void {
    this.#ended = true;
    for (const { channel } of [...this.#taken]) channel.close(failure("PEER_REFUSED", NOT_HERE));
  }
}
