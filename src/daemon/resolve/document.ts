/** Small documents that say something about a file: fetched like files, within bounds. */
import { failure } from "../core/errors.ts";
import { ownHeaders } from "../core/own-headers.ts";
import type { Candidate } from "../core/plan.ts";
import type { ChunkSource, SourceFactory } from "../core/ports/sources.ts";
import type { DownloadRequest } from "../core/session.ts";

/** A document. */
export interface Document {
  readonly bytes: Buffer;
  /** After redirects. */
  readonly url: string;
  readonly contentType?: string;
}

/** Looks at the first bytes of a document: a few hundred, or all that there are. Throws to have no more of it. */
export type Look = (beginning: Buffer) => void;

/** Bytes after which a beginning is looked at: byte order mark, white space and a first tag fit. */
const BEGINNING = 512;

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
   * @param look - at its beginning; what it throws ends the transfer
   * @throws what the source throws; NetworkError PROTOCOL_ERROR if it is longer
   */
  async fetch(
    url: string,
    request: DownloadRequest,
    most: number,
    signal: AbortSignal,
    namedBy?: string,
    look?: Look,
  ): Promise<Document> {
    const { options } = request;
    const { timeout } = options;
    const named = namedBy ?? options.namedBy;
    const source = this.#sources.http(url, {
      headers: headersFor(url, request),
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(named !== undefined && { namedBy: named }),
      ...(options.remote && { remote: true }),
    });
    const stream = await source.open({ start: 0, signal });
    if (look === undefined && (stream.resource.size ?? 0) > most) {
      stream.cancel();
      throw tooLong(source.id, most);
    }
    const pieces: Buffer[] = [];
    let length = 0;
    let unseen = look;
    await stream.pipe((bytes) => {
      length += bytes.length;
      if (length > most) throw tooLong(source.id, most);
      pieces.push(Buffer.from(bytes));
      if (!unseen || length < BEGINNING) return;
      unseen(Buffer.concat(pieces));
      unseen = undefined;
      if ((stream.resource.size ?? 0) > most) throw tooLong(source.id, most);
    });
    const all = Buffer.concat(pieces);
    unseen?.(all);
    const { finalUrl, contentType } = stream.resource;
    return { bytes: all, url: finalUrl, ...(contentType !== undefined && { contentType }) };
  }

  /** A range of a resource; undefined if what answers is something else. @throws what the source throws */
  async range(
    url: string,
    request: DownloadRequest,
    { start, end }: { readonly start: number; readonly end: number },
    signal: AbortSignal,
    namedBy?: string,
  ): Promise<Buffer | undefined> {
    const source = this.#source(url, request, namedBy);
    const stream = await source.open({ start, end, signal });
    if (stream.start !== start || (stream.end !== undefined && stream.end !== end)) {
      stream.cancel();
      return undefined;
    }
    const pieces: Buffer[] = [];
    let length = 0;
    await stream.pipe((bytes) => {
      length += bytes.length;
      if (length > end - start) throw tooLong(source.id, end - start);
      pieces.push(Buffer.from(bytes));
    });
    return length === end - start ? Buffer.concat(pieces) : undefined;
  }

  #source(url: string, request: DownloadRequest, namedBy: string | undefined): ChunkSource {
    const { timeout, remote } = request.options;
    return this.#sources.http(url, {
      headers: headersFor(url, request),
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(namedBy !== undefined && { namedBy }),
      ...(remote && { remote: true }),
    });
  }
}

/** The request's header fields and its URL's user, for a URL of its own origin; none for any other one. */
export function headersFor(url: string, { url: asked, options }: DownloadRequest): Candidate["headers"] {
  return ownHeaders(url, asked, options.headers);
}

function tooLong(id: string, most: number): Error {
  return failure("PROTOCOL_ERROR", `${id} is longer than the ${most} bytes that such a document may have`, {
    retryable: false,
  });
}
