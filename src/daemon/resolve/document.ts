/** Small documents that say something about a file: fetched like files, within bounds. */
import { failure } from "../core/errors.ts";
import type { SourceFactory } from "../core/ports.ts";
import type { DownloadRequest } from "../core/session.ts";

/** A document. */
export interface Document {
  readonly bytes: Buffer;
  /** After redirects. */
  readonly url: string;
}

/** Fetches documents. */
export class Documents {
  readonly #sources: SourceFactory;

  constructor(sources: SourceFactory) {
    this.#sources = sources;
  }

  /**
   * A document. The request's header fields go along to its own origin only.
   *
   * @param most - bytes that it may have
   * @param namedBy - what named it, if no person did
   * @throws what the source throws; NetworkError PROTOCOL_ERROR if it is longer
   */
  async fetch(
    url: string,
    { url: asked, options }: DownloadRequest,
    most: number,
    signal: AbortSignal,
    namedBy?: string,
  ): Promise<Document> {
    const { timeout } = options;
    const source = this.#sources.http(url, {
      headers: sameOrigin(url, asked) ? (options.headers ?? []) : [],
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(namedBy !== undefined && { namedBy }),
      ...(options.remote && { remote: true }),
    });
    const stream = await source.open({ start: 0, signal });
    if ((stream.resource.size ?? 0) > most) {
      stream.cancel();
      throw tooLong(source.id, most);
    }
    const pieces: Buffer[] = [];
    let length = 0;
    await stream.pipe((bytes) => {
      length += bytes.length;
      if (length > most) throw tooLong(source.id, most);
      pieces.push(Buffer.from(bytes));
    });
    return { bytes: Buffer.concat(pieces), url: stream.resource.finalUrl };
  }
}

/** True if what is for one URL's origin may be sent to the other. */
export function sameOrigin(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}

function tooLong(id: string, most: number): Error {
  return failure("PROTOCOL_ERROR", `${id} is longer than the ${most} bytes that such a document may have`, {
    retryable: false,
  });
}
