/**
 * A URL as a source of bytes. Whatever the origin answers is either proved to be the bytes that were asked for, of the
 * version that was expected, or refused: nothing here guesses.
 */
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type {
  ByteSink,
  ChunkSource,
  Clock,
  HttpClient,
  HttpResponse,
  RangeRequest,
  RangeStream,
  SourceFactory,
} from "../core/ports.ts";
import type { ResourceInfo } from "../core/session.ts";
import { dispositionName } from "./content-disposition.ts";
import { formatRange, parseContentRange } from "./range.ts";
import { statusError } from "./status.ts";
import { contradiction, strongValidator, unproved, type Version } from "./validators.ts";

/** More for the requests of a source. */
export interface HttpSourceOptions {
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  /** Milliseconds without a byte. */
  readonly timeoutMs?: number;
}

/** What sources work with. */
export interface HttpSourceParts {
  readonly client: HttpClient;
  readonly clock: Clock;
}

/** Makes sources of HTTP URLs. */
export class HttpSourceFactory implements SourceFactory {
  readonly #parts: HttpSourceParts;

  constructor(parts: HttpSourceParts) {
    this.#parts = parts;
  }

  http(url: string, options: HttpSourceOptions): ChunkSource {
    return new HttpSource(url, options, this.#parts);
  }
}

/** An HTTP origin as a {@link ChunkSource}. */
class HttpSource implements ChunkSource {
  readonly id: string;
  readonly #url: string;
  readonly #options: HttpSourceOptions;
  readonly #client: HttpClient;
  readonly #clock: Clock;

  constructor(url: string, options: HttpSourceOptions, parts: HttpSourceParts) {
    this.id = redactUrl(url);
    this.#url = url;
    this.#options = options;
    this.#client = parts.client;
    this.#clock = parts.clock;
  }

  async open(request: RangeRequest): Promise<RangeStream> {
    const ranged = await this.#get(request, true);
    try {
      const stream = this.#read(ranged, request);
      if (stream !== undefined) return stream;
    } catch (error) {
      ranged.cancel();
      throw error;
    }
    // The range was what the origin could not stand: the whole of it, once.
    ranged.cancel();
    const whole = await this.#get(request, false);
    try {
      if (whole.status === 200) return this.#readWhole(whole, request);
      throw whole.status === 206
        ? invalid(whole, "unasked", "a part, although the whole was asked for")
        : this.#refusal(whole);
    } catch (error) {
      whole.cancel();
      throw error;
    }
  }

  #get({ start, end, expected, signal }: RangeRequest, ranged: boolean): Promise<HttpResponse> {
    // Which bytes are wanted is decided here, not by the caller's fields.
    const headers = (this.#options.headers ?? []).filter(([name]) => !/^(if-)?range$/i.test(name));
    if (ranged) {
      headers.push(["Range", formatRange(start, end)]);
      if (expected?.strongValidator !== undefined) headers.push(["If-Range", expected.strongValidator]);
    }
    const { timeoutMs } = this.#options;
    return this.#client.request({ url: this.#url, headers, ...(timeoutMs !== undefined && { timeoutMs }) }, signal);
  }

  /** @returns undefined if the same has to be asked for without a range */
  #read(response: HttpResponse, request: RangeRequest): RangeStream | undefined {
    switch (response.status) {
      case 206:
        return this.#readPart(response, request);
      case 200:
        return this.#readWhole(response, request);
      case 416:
        return this.#readUnsatisfied(response, request);
      default:
        throw this.#refusal(response);
    }
  }

  #readPart(response: HttpResponse, { start, end, expected }: RangeRequest): RangeStream | undefined {
    const { headers } = response;
    if (/^multipart\/byteranges\b/i.test(headers.get("content-type") ?? ""))
      throw invalid(response, "multipart", "several parts, although one range was asked for");
    const field = headers.get("content-range");
    const range = field === undefined ? undefined : parseContentRange(field);
    const total = range?.kind === "range" ? (range.total ?? expected?.size) : undefined;
    const resource = describe(response, total, true);
    if (expected) refuseOther(response, expected, { ...resource, part: true });
    if (range?.kind !== "range")
      throw invalid(
        response,
        "content_range",
        `a part with the Content-Range "${field ?? "(none)"}", which is not valid`,
      );
    if (range.start !== start || (end !== undefined && range.end > end))
      throw invalid(
        response,
        "content_range",
        `bytes ${range.start}–${range.end - 1}, although ${formatRange(start, end)} was asked for`,
      );
    if (expected?.size !== undefined && (range.total ?? expected.size) !== expected.size)
      throw invalid(response, "total", `a part of ${range.total} bytes; the whole had ${expected.size} before`);
    if (expected?.size !== undefined && range.end > expected.size)
      throw invalid(response, "content_range", `bytes up to ${range.end - 1}; the whole had ${expected.size} before`);
    const doubt = expected && unproved(expected, resource);
    if (doubt !== undefined) throw invalid(response, "validator", doubt);
    const length = contentLength(headers);
    if (length !== undefined && length !== range.end - range.start)
      throw invalid(response, "length", `${length} bytes for a range of ${range.end - range.start}`);
    if (resource.contentEncoding !== undefined) {
      // Ranges of a coded body cannot be put together: one stream, from the start.
      if (expected || start !== 0)
        throw invalid(response, "content_encoding", `a part coded in ${resource.contentEncoding}`);
      return undefined;
    }
    if (!expected && start === 0) {
      // A part of nobody knows how much, or a part where all was asked for: neither may pass for the whole.
      if (total === undefined || (end === undefined && range.end < total)) return undefined;
    }
    if (total === undefined) throw invalid(response, "total_unknown", "a part of a whole whose size nobody knows");
    return stream(response, range.start, range.end, resource, length === undefined);
  }

  #readWhole(response: HttpResponse, { start, expected }: RangeRequest): RangeStream {
    const length = contentLength(response.headers);
    const resource = describe(response, length, false);
    if (expected) refuseOther(response, expected, { ...resource, part: false });
    if (start !== 0)
      throw invalid(response, "range_ignored", `the whole, although bytes from ${start} on were asked for`);
    return stream(response, 0, resource.size, resource, false);
  }

  #readUnsatisfied(response: HttpResponse, { expected }: RangeRequest): RangeStream | undefined {
    const range = parseContentRange(response.headers.get("content-range") ?? "");
    const total = range?.kind === "unsatisfied" ? range.total : undefined;
    if (expected?.size !== undefined && total !== undefined && expected.size !== total)
      throw changed(response, `its size was ${expected.size} and is now ${total}`);
    if (total === 0 || (expected?.size === 0 && total === undefined)) {
      const resource = describe(response, 0, false, true);
      response.cancel();
      return empty(resource);
    }
    if (expected && total !== undefined) throw changed(response, "it no longer has the range that was asked for");
    if (expected) throw invalid(response, "unsatisfiable", "that the range does not exist (HTTP 416)");
    return undefined;
  }

  #refusal(response: HttpResponse): Error {
    return statusError(response, this.#clock.now());
  }
}

/** What an answer says about the resource behind it. `errorBody`: its media type and name are those of a message. */
function describe(response: HttpResponse, size: number | undefined, ranges: boolean, errorBody = false): ResourceInfo {
  const { headers } = response;
  const coding = headers.get("content-encoding")?.trim().toLowerCase();
  const contentEncoding = coding === undefined || coding === "" || coding === "identity" ? undefined : coding;
  const etag = headers.get("etag")?.trim();
  const lastModified = headers.get("last-modified")?.trim();
  const validator = strongValidator(headers);
  const contentType = errorBody ? undefined : headers.get("content-type");
  const filename = errorBody ? undefined : dispositionName(headers.get("content-disposition"));
  return {
    finalUrl: response.url,
    ...(size !== undefined && contentEncoding === undefined && { size }),
    ranges: ranges && contentEncoding === undefined,
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { lastModified }),
    ...(validator !== undefined && { strongValidator: validator }),
    ...(contentType !== undefined && { contentType }),
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(filename !== undefined && { filename }),
  };
}

/** @throws ResourceError RESOURCE_CHANGED */
function refuseOther(response: HttpResponse, expected: ResourceInfo, found: Version): void {
  const why = contradiction(expected, found);
  if (why !== undefined) throw changed(response, why);
}

function changed(response: HttpResponse, why: string): Error {
  const { host } = new URL(response.url);
  return failure("RESOURCE_CHANGED", `${host} has another version now: ${why}`, { metadata: { host } });
}

function invalid(response: HttpResponse, reason: string, what: string): Error {
  const { host } = new URL(response.url);
  return failure("RANGE_INVALID", `${host} sent ${what}`, { metadata: { host, reason } });
}

function contentLength(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get("content-length");
  return text !== undefined && /^\d{1,15}$/.test(text) && !headers.has("transfer-encoding") ? Number(text) : undefined;
}

/** @param counted - the framing does not vouch for the number of bytes: count them */
function stream(
  response: HttpResponse,
  start: number,
  end: number | undefined,
  resource: ResourceInfo,
  counted: boolean,
): RangeStream {
  return {
    start,
    ...(end !== undefined && { end }),
    resource,
    pipe:
      counted && end !== undefined ? (sink) => pipeCounted(response, end - start, sink) : (sink) => response.pipe(sink),
    cancel: () => response.cancel(),
  };
}

async function pipeCounted(response: HttpResponse, length: number, sink: ByteSink): Promise<void> {
  const { host } = new URL(response.url);
  let received = 0;
  await response.pipe((bytes) => {
    received += bytes.length;
    if (received > length)
      throw failure("PROTOCOL_ERROR", `${host} sent more than the ${length} bytes of its range`, {
        metadata: { host },
      });
    return sink(bytes);
  });
  if (received < length)
    throw failure("TRUNCATED", `the answer of ${host} ended early, after ${received} of ${length} bytes`, {
      metadata: { host },
    });
}

function empty(resource: ResourceInfo): RangeStream {
  return { start: 0, end: 0, resource, pipe: () => Promise.resolve(), cancel: () => undefined };
}
