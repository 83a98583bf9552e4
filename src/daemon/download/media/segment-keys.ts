/** Keys of encrypted segments: each is fetched once, however many segments it opens. */
import { failure } from "../../core/errors.ts";
import type { ByteSink } from "../../core/ports/http.ts";
import type { ChunkSource } from "../../core/ports/sources.ts";

/** AES-128: bytes of a key (RFC 8216 §4.3.2.4). */
const KEY_BYTES = 16;

/** Fetches keys, and keeps them while a download runs. They are never written down. */
export class SegmentKeys {
  readonly #source: (url: string) => ChunkSource;
  readonly #keys = new Map<string, Promise<Buffer>>();

  /** @param source - makes the source of a key's URL */
  constructor(source: (url: string) => ChunkSource) {
    this.#source = source;
  }

  /** @throws ResourceError MEDIA_INVALID if what comes is no key; what the source throws */
  get(url: string, signal: AbortSignal): Promise<Buffer> {
    const known = this.#keys.get(url);
    if (known !== undefined) return known;
    const asked = this.#fetch(this.#source(url), signal);
    this.#keys.set(url, asked);
    // Another attempt may have more luck.
    asked.catch(() => this.#keys.delete(url));
    return asked;
  }

  async #fetch(source: ChunkSource, signal: AbortSignal): Promise<Buffer> {
    const stream = await source.open({ start: 0, signal });
    const pieces: Buffer[] = [];
    let length = 0;
    const take: ByteSink = (bytes) => {
      length += bytes.length;
      if (length > KEY_BYTES) throw notAKey(source.id, `more than ${KEY_BYTES}`);
      pieces.push(Buffer.from(bytes));
    };
    await stream.pipe(take);
    if (length !== KEY_BYTES) throw notAKey(source.id, String(length));
    return Buffer.concat(pieces);
  }
}

const notAKey = (id: string, bytes: string) =>
  failure("MEDIA_INVALID", `the key of the segments is not one: ${id} has ${bytes} bytes, a key has ${KEY_BYTES}`, {
    metadata: { key: id },
  });
