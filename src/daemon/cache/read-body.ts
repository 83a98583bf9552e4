/**
 * Reads the body of an answer into memory, up to a limit and no byte further, whatever length it announces and however it is
 * coded. Identity is asked for; a server that codes all the same is decoded, under the same limit.
 */
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, zstdDecompress } from "node:zlib";
import { failure } from "../core/errors.ts";
import type { HttpResponse } from "../core/ports/http.ts";

const DECODERS = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
} as const;

/**
 * The whole body, decoded.
 *
 * @throws DownloadError CACHE_TOO_LARGE (the rest is not read), CONTENT_CODING_UNKNOWN, PROTOCOL_ERROR for a broken coding,
 *   and what {@link HttpResponse.pipe} rejects with
 */
export async function readBody(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const { host } = new URL(response.url);
  const announced = Number(response.headers.get("content-length") ?? "0");
  const coding = (response.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (coding !== "identity" && !isKnown(coding)) {
    response.cancel();
    throw failure("CONTENT_CODING_UNKNOWN", `${host} sent a document coded as "${coding.slice(0, 40)}", unasked`, {
      metadata: { host },
    });
  }
  if (announced > maxBytes) {
    response.cancel();
    throw tooLarge(host, `of ${announced} bytes`, maxBytes);
  }
  const pieces: Buffer[] = [];
  let size = 0;
  await response.pipe((bytes) => {
    size += bytes.length;
    if (size > maxBytes) throw tooLarge(host, "that goes on and on", maxBytes);
    pieces.push(Buffer.from(bytes));
  });
  const body = Buffer.concat(pieces, size);
  if (coding === "identity" || !isKnown(coding) || size === 0) return body;
  try {
    return await DECODERS[coding](body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw tooLarge(host, "that unpacks to more", maxBytes);
    throw failure("PROTOCOL_ERROR", `${host} sent a document whose ${coding} coding is broken`, {
      cause,
      metadata: { host },
    });
  }
}

function isKnown(coding: string): coding is keyof typeof DECODERS {
  return Object.hasOwn(DECODERS, coding);
}

function tooLarge(host: string, what: string, maxBytes: number): Error {
  return failure("CACHE_TOO_LARGE", `${host} sent a document ${what}; at most ${maxBytes} bytes are taken`, {
    metadata: { host, max_bytes: String(maxBytes) },
  });
}
