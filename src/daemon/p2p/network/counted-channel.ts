/** A channel whose payload is counted, and whose end is told to who keeps the list of peers as well as to who uses it. */
import type { DownloadError } from "../../core/errors.ts";
import type { PeerPath, PeerState } from "../../core/peers.ts";
import { type Channel, type ChannelHandlers, FRAME, type FrameType } from "../types.ts";

/** Bytes of an id before the bytes of a chunk. */
const ID_BYTES = 4;

/** See above. */
export class CountedChannel implements Channel {
  readonly #inner: Channel;
  readonly #onClosed: () => void;
  #sent = 0;
  #received = 0;
  #told = false;

  /** @param onClosed - called once, when it has ended, whoever ended it */
  constructor(inner: Channel, onClosed: () => void) {
    this.#inner = inner;
    this.#onClosed = onClosed;
  }

  get publicId(): string {
    return this.#inner.publicId;
  }
  get peerId(): string {
    return this.#inner.peerId;
  }
  get publicKey(): Uint8Array {
    return this.#inner.publicKey;
  }
  get path(): PeerPath {
    return this.#inner.path;
  }
  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }
  get suite(): string {
    return this.#inner.suite;
  }
  get mayBePlain(): boolean {
    return this.#inner.mayBePlain;
  }
  get inClear(): boolean {
    return this.#inner.inClear;
  }
  get closed(): boolean {
    return this.#inner.closed;
  }

  start(handlers: ChannelHandlers): void {
    this.#inner.start({
      frame: (type, payload) => handlers.frame(type, payload),
      data: (id, bytes) => {
        this.#received += bytes.length;
        handlers.data(id, bytes);
      },
      closed: (reason) => {
        this.ended();
        handlers.closed(reason);
      },
    });
  }

  send(type: FrameType, ...parts: readonly Uint8Array[]): Promise<void> | undefined {
    if (type === FRAME.data) {
      for (const part of parts) this.#sent += part.length;
      this.#sent -= ID_BYTES;
    }
    return this.#inner.send(type, ...parts);
  }

  sendData(id: Uint8Array, bytes: Uint8Array, free: () => void): Promise<void> | undefined {
    this.#sent += bytes.length;
    return this.#inner.sendData(id, bytes, free);
  }

  close(reason?: DownloadError): void {
    this.#inner.close(reason);
    this.ended();
  }

  /** The stream beneath has ended, or the channel. */
  ended(): void {
    if (this.#told) return;
    this.#told = true;
    this.#onClosed();
  }

  /** For people. */
  state(direction: "up" | "down", since: number): PeerState {
    const { peerId, path, remoteAddress: address, suite, publicId: shareId } = this.#inner;
    return {
      peerId,
      path,
      address,
      suite,
      shareId,
      direction,
      sentBytes: this.#sent,
      receivedBytes: this.#received,
      since,
    };
  }
}
