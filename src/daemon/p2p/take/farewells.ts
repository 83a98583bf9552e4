/**
 * Who of those that gave a share has said that it has ended. One word of it proves little: whoever took part under the same
 * code can say so. When everybody who was here has said it, and nobody else comes, it is believed.
 */
import type { DownloadError } from "../../core/errors.ts";

/** Peers that are remembered. */
const MOST = 1000;

/** See above. */
export class Farewells {
  /** Were here, and may come back. */
  readonly #others = new Set<string>();
  readonly #said = new Set<string>();
  #word: DownloadError | undefined;

  /** A peer is here. */
  came(peerId: string): void {
    if (this.#others.size < MOST) this.#others.add(peerId);
  }

  /** It has gone, and why. @param unwanted - it is not to come back: what it says counts for nothing */
  went(peerId: string, reason: DownloadError, unwanted: boolean): void {
    const said = reason.code === "SHARE_ENDED" && !unwanted;
    if (said || unwanted) this.#others.delete(peerId);
    if (!said) return;
    if (this.#said.size < MOST) this.#said.add(peerId);
    this.#word = reason;
  }

  /** Whether a peer has said so: it is of no use to call it again. */
  has(peerId: string): boolean {
    return this.#said.has(peerId);
  }

  /** What the last one has said, if all have said so. */
  get word(): DownloadError | undefined {
    return this.#others.size === 0 ? this.#word : undefined;
  }
}
