/**
 * Thumbnails by URL: fetched under the network policy of whoever named them, checked to be images that can be shown without
 * harm (image-check.ts), and kept and revalidated as RFC 9111 has it (answer-cache.ts).
 */
import type { HttpResponse } from "../core/ports/http.ts";
import { AnswerCache } from "./answer-cache.ts";
import type { AnswerCacheParts, Taken } from "./answer-kind.ts";
import { type AskOptions, askFor } from "./ask.ts";
import { type CheckedImage, checkImage, checkStatedType } from "./image-check.ts";
import { readBody } from "./read-body.ts";

/** How a thumbnail is asked for. */
export interface GetThumbnailOptions extends AskOptions {
  /** Of this caller; others who wait for the same are not disturbed. */
  readonly signal?: AbortSignal;
}

/** An image. */
export interface Thumbnail extends CheckedImage {
  readonly bytes: Uint8Array;
  /** Bytes. */
  readonly size: number;
}

/** The cache of thumbnails. Disposal calls off what is being fetched. */
export class ThumbnailCache implements AsyncDisposable {
  readonly #answers: AnswerCache;

  constructor(parts: AnswerCacheParts) {
    const accept = "image/avif, image/webp, image/*;q=0.8, */*;q=0.1";
    this.#answers = new AnswerCache(parts, { kind: "thumbnail", accept, take: takeImage });
  }

  /**
   * The image of a URL, from the cache if it still holds, else from its origin.
   *
   * @throws ResourceError NOT_AN_IMAGE, IMAGE_TOO_LARGE, HTTP_*; DownloadError CACHE_TOO_LARGE (the rest is not read),
   *   INVALID_ARGUMENT, INVALID_URL, UNSUPPORTED_SCHEME; NetworkError
   */
  async getThumbnail(url: string, options: GetThumbnailOptions = {}): Promise<Thumbnail> {
    const { signal, ...who } = options;
    const { answer, body } = await this.#answers.get(askFor(url, who), signal);
    return { ...(answer.found as unknown as CheckedImage), bytes: body, size: body.length };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#answers[Symbol.asyncDispose]();
  }
}

async function takeImage(response: HttpResponse, maxBytes: number): Promise<Taken> {
  const { host } = new URL(response.url);
  try {
    checkStatedType(response.headers.get("content-type"), host);
  } catch (error) {
    response.cancel();
    throw error;
  }
  const body = await readBody(response, maxBytes);
  return { body, found: { ...(await checkImage(body, host)) } };
}
