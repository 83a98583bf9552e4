/** A network that finds its givers at known ports of this machine, over real sockets, TLS and proofs. */
import type { EncryptionManager } from "../../../src/daemon/p2p/channel/encryption.ts";
import type { ChannelTaker, PeerNetwork, Search } from "../../../src/daemon/p2p/types.ts";
import { take } from "../peer-pair.ts";

/** Milliseconds between calls. */
const AGAIN_MS = 20;

/** Calls each port, again when that channel has ended. Nothing is published. */
export class SocketNetwork implements PeerNetwork {
  readonly ports: number[];
  readonly #encryption: EncryptionManager;

  constructor(encryption: EncryptionManager, ports: readonly number[]) {
    this.#encryption = encryption;
    this.ports = [...ports];
  }

  async publish(): Promise<AsyncDisposable> {
    return { [Symbol.asyncDispose]: async () => undefined };
  }

  async seek(taker: ChannelTaker): Promise<Search> {
    const stop = new AbortController();
    const open = new Map<number, { readonly closed: boolean } | "calling">();
    const look = (): void => {
      for (const port of this.ports) {
        const here = open.get(port);
        if (here === "calling" || here?.closed === false || taker.wanted() <= 0) continue;
        open.set(port, "calling");
        take(this.#encryption, port, taker.keys, { signal: stop.signal, plain: taker.plain }).then(
          (channel) => {
            open.set(port, channel);
            if (stop.signal.aborted || taker.isBanned(channel.peerId)) channel.close();
            else taker.take(channel);
          },
          () => open.delete(port),
        );
      }
    };
    const timer = setInterval(look, AGAIN_MS);
    look();
    return {
      look,
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer);
        stop.abort(new Error("nothing is sought any more"));
      },
    };
  }
}
