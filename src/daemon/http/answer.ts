/**
 * Reads an origin's answer to a range: the bytes that were asked for, of the version that was expected, or an error. What
 * could be right, but is not proved, is asked for in another manner or refused.
 */
import { failure } from "../core/errors.ts";
import type { HttpResponse } from "../core/ports/http.ts";
import type { RangeRequest, RangeStream } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";
import { statusError } from "../core/status-error.ts";
import { checkCodings, isCodedFile, parseCodings, pipeDecoded } from "./coding.ts";
import { dispositionName } from "./content-disposition.ts";
import { originDigests } from "./digest-fields.ts";
import { allLinks, duplicateLinks } from "./link-field.ts";
import { formatRange, parseContentRange } from "./range.ts";
import { rangeStream } from "./range-stream.ts";
import { contradiction, isEntityTag, strongValidator, unproved, type Version } from "./validators.ts";

/**
 * How a range is asked for: under If-Range where there is a strong validator; under If-Match, where If-Range has just been
 * answered by the whole of that very version, or is known to be; or not as a range at all.
 */
export type Manner = "if-range" | "if-match-instead" | "if-match" | "whole";

/** Media types of pages that are made for people to look at. */
const PAGES: ReadonlySet<string> = new Set(["text/html", "application/xhtml+xml"]);

/**
 * @param now - milliseconds since the epoch, for a Retry-After that is a date
 * @returns the range, or the manner in which it has to be asked for next: one further down the list of {@link Manner}
 * @throws ResourceError RESOURCE_CHANGED, CONTENT_TYPE_CHANGED, RANGE_INVALID, HTTP_*; NetworkError PROTOCOL_ERROR
 */
export function readAnswer(
  response: HttpResponse,
  request: RangeRequest,
  manner: Manner,
  now: number,
): RangeStream | Manner {
  switch (response.status) {
    case 206:
      if (manner === "whole") throw invalid(response, "unasked", "a part, although the whole was asked for");
      return readPart(response, request);
    case 200:
      return readWhole(response, request, manner);
    case 416:
      if (manner === "whole") throw statusError(response, now);
      return readUnsatisfied(response, request);
    case 412:
      if (manner === "if-match") throw changed(response, "it no longer has the ETag of before");
  }
  const refusal = statusError(response, now);
  // The origin has just given the whole under this very ETag: it is If-Match that it cannot stand either.
  const denied = manner === "if-match-instead" && response.status >= 400 && !refusal.retryable;
  throw denied ? ignored(response, request) : refusal;
}

function readPart(response: HttpResponse, { start, end, expected }: RangeRequest): RangeStream | Manner {
  const { headers } = response;
  if (/^multipart\/byteranges\b/i.test(headers.get("content-type") ?? ""))
    throw invalid(response, "multipart", "several parts, although one range was asked for");
  const field = headers.get("content-range");
  const range = field === undefined ? undefined : parseContentRange(field);
  const total = range?.kind === "range" ? (range.total ?? expected?.size) : undefined;
  const complete = range?.kind === "range" && range.start === 0 && range.end === total;
  const resource = describe(response, { size: total, ranges: true, complete });
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
    return "whole";
  }
  if (!expected && start === 0) {
    // A part of nobody knows how much, or a part where all was asked for: neither may pass for the whole.
    if (total === undefined || (end === undefined && range.end < total)) return "whole";
  }
  if (total === undefined) throw invalid(response, "total_unknown", "a part of a whole whose size nobody knows");
  return rangeStream(response, range.start, range.end, resource, length === undefined);
}

function readWhole(response: HttpResponse, request: RangeRequest, manner: Manner): RangeStream | Manner {
  const { start, end, expected } = request;
  const length = contentLength(response.headers);
  if (isPartAfterAll(response, length)) {
    if (manner !== "whole" && !expected && start === 0) return "whole";
    throw invalid(response, "content_range", "a part under the status of the whole (200)");
  }
  const resource = describe(response, { size: length, ranges: false, complete: true });
  if (expected) {
    refusePage(response, expected, resource);
    refuseOther(response, expected, { ...resource, part: false });
    if (expected.contentEncoding !== resource.contentEncoding)
      throw invalid(response, "content_encoding", "the file in another coding than before");
    const partWanted = start !== 0 || (end !== undefined && end < (expected.size ?? Number.POSITIVE_INFINITY));
    // The version is the same, so that If-Range had no reason to fail: the origin cannot stand it.
    if (partWanted && manner === "if-range" && isEntityTag(expected.strongValidator)) return "if-match-instead";
  }
  if (start !== 0) throw ignored(response, request);
  const codings = parseCodings(resource.contentEncoding);
  if (codings.length === 0 || isCodedFile(codings, resource)) {
    // Where the framing does not tell the length, the version does.
    const size = resource.size ?? expected?.size;
    return rangeStream(response, 0, size, { ...resource, ...(size !== undefined && { size }) }, length === undefined);
  }
  checkCodings(codings, response);
  return {
    start,
    resource,
    pipe: (sink) => pipeDecoded(response, codings, sink),
    cancel: () => response.cancel(),
  };
}

/** True for a Content-Range that is not the whole: it has no meaning in a 200, but it tells what the body is. */
function isPartAfterAll({ headers }: HttpResponse, length: number | undefined): boolean {
  const field = headers.get("content-range");
  if (field === undefined) return false;
  const range = parseContentRange(field);
  return (
    range?.kind !== "range" || range.start !== 0 || range.end !== range.total || range.end !== (length ?? range.end)
  );
}

function readUnsatisfied(response: HttpResponse, { expected }: RangeRequest): Manner {
  // An empty resource has no range either; asked for as a whole it says so itself.
  if (!expected) return "whole";
  const range = parseContentRange(response.headers.get("content-range") ?? "");
  const total = range?.kind === "unsatisfied" ? range.total : undefined;
  if (expected.size !== undefined && total !== undefined && expected.size !== total)
    throw changed(response, `its size was ${expected.size} and is now ${total}`);
  throw invalid(response, "unsatisfiable", "that the range does not exist (HTTP 416)");
}

function ignored(response: HttpResponse, { start, end }: RangeRequest): Error {
  return invalid(response, "range_ignored", `no range, although ${formatRange(start, end)} was asked for`);
}

/** What an answer says about the resource behind it. */
function describe(
  response: HttpResponse,
  {
    size,
    ranges,
    complete,
  }: { readonly size: number | undefined; readonly ranges: boolean; readonly complete: boolean },
): ResourceInfo {
  const { headers } = response;
  const codings = parseCodings(headers.get("content-encoding"));
  const etag = headers.get("etag")?.trim();
  const lastModified = headers.get("last-modified")?.trim();
  const validator = strongValidator(headers);
  const contentType = headers.get("content-type");
  const filename = dispositionName(headers.get("content-disposition"));
  const told = {
    finalUrl: response.url,
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { lastModified }),
    ...(validator !== undefined && { strongValidator: validator }),
    ...(contentType !== undefined && { contentType }),
    ...(codings.length > 0 && { contentEncoding: codings.join(", ") }),
    ...(filename !== undefined && { filename }),
  };
  // Of a coded body neither length nor digest says anything about the file, unless the coded body is the file.
  const asIs = codings.length === 0 || isCodedFile(codings, told);
  const digests = asIs ? originDigests(headers, complete) : [];
  const mirrors = duplicateLinks(allLinks(response), response.url);
  return {
    ...told,
    ...(size !== undefined && asIs && { size }),
    ranges: ranges && codings.length === 0,
    ...(digests.length > 0 && { digests }),
    ...(mirrors.length > 0 && { mirrors }),
  };
}

/**
 * A page where a file was is no new version of it, but what an origin shows to somebody whom it does not know any more.
 *
 * @throws ResourceError CONTENT_TYPE_CHANGED
 */
function refusePage(response: HttpResponse, expected: ResourceInfo, found: ResourceInfo): void {
  const before = mediaType(expected);
  const now = mediaType(found);
  if (now === undefined || !PAGES.has(now) || (before !== undefined && PAGES.has(before))) return;
  if (isEntityTag(expected.strongValidator) && found.etag === expected.strongValidator) return;
  const { host } = new URL(response.url);
  const type = before ?? "a file without a type";
  throw failure("CONTENT_TYPE_CHANGED", `${host} sent ${now} in place of ${type}: a page, perhaps a login`, {
    metadata: { host, found: now, ...(before !== undefined && { expected: before }) },
  });
}

function mediaType({ contentType }: ResourceInfo): string | undefined {
  return contentType?.split(";")[0]?.trim().toLowerCase();
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
