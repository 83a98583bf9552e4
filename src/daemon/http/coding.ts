/**
 * Content codings (RFC 9110 §8.4). Identity is what is asked for; an origin that codes all the same sends one stream of
 * unknown length, which is decoded here as it comes. The coding's own end is checked as the framing's is: a body that stops
 * before it was cut, and one that goes on behind it is not what it says.
 */
import { PassThrough, type Transform, type Writable } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  type Zlib,
  type ZlibOptions,
} from "node:zlib";
import { DownloadError, failure } from "../core/errors.ts";
import type { ByteSink, HttpResponse } from "../core/ports/http.ts";
import type { ResourceInfo } from "../core/session.ts";

/** Codings of one body, one over the other, that are gone along with. More is no honest origin. */
const MOST_CODINGS = 2;

/** Bytes that a decoder takes, at most, until something comes out again. */
const MOST_FOR_NOTHING = 16 * 1024 * 1024;

/**
 * How many times longer what one decoder hands to another may be than what it was fed, and by how many bytes more: deflate
 * itself stays below, and what only costs work is held back by no disk.
 */
const MOST_TIMES = 1100;
const MOST_MORE = 1024 * 1024;

/** A stream of node:zlib; `bytesWritten` are those that it took. */
type Decoder = Transform & Zlib;

/** Bytes that a decoder hands on at a time, at most. */
const CHUNK: ZlibOptions = { chunkSize: 64 * 1024 };

/** Log2 of the window that a sender may ask memory for (RFC 9659 §3). */
const ZSTD = { chunkSize: 64 * 1024, params: { [constants.ZSTD_d_windowLogMax]: 23 } };

/** What decodes a coding. @param first - the first byte of the body */
const DECODERS: Readonly<Record<string, (first: number) => Decoder>> = {
  gzip: () => createGunzip(CHUNK),
  "x-gzip": () => createGunzip(CHUNK),
  // Meant is zlib's form; many send the bare one (§8.4.1.2). No encoder begins that with the low bits of a zlib header.
  deflate: (first) => ((first & 0x0f) === 8 ? createInflate(CHUNK) : createInflateRaw(CHUNK)),
  br: () => createBrotliDecompress({ chunkSize: 64 * 1024 }),
  zstd: () => createZstdDecompress(ZSTD),
};

/** Files that are themselves of a coding's format: servers tell the format of the file as if it were a coding. */
const FILES: Readonly<Record<string, { readonly types: RegExp; readonly names: RegExp }>> = {
  gzip: { types: /^application\/((x-)?gzip|(x-)?tar\+gzip|x-gtar-compressed|x-tgz)$/, names: /\.(t?gz|taz)$/ },
  compress: { types: /^application\/x-compress(ed)?$/, names: /\.z$/ },
  bzip2: { types: /^application\/(x-)?bzip2?$/, names: /\.(t?bz2?|tbz2)$/ },
  xz: { types: /^application\/x-xz$/, names: /\.t?xz$/ },
  br: { types: /^application\/(x-)?brotli$/, names: /\.br$/ },
  zstd: { types: /^application\/(x-)?zstd$/, names: /\.t?zst$/ },
};

/** Reads a Content-Encoding field. @returns lower-case, in the order in which they were applied, without identity */
export function parseCodings(value: string | undefined): string[] {
  const codings = value?.split(",").map((coding) => coding.trim().toLowerCase()) ?? [];
  return codings.filter((coding) => coding !== "" && coding !== "identity");
}

/**
 * True if the coding only tells what kind of file it is, so that the bytes are stored as they come: what browsers do too
 * when a .tar.gz is saved.
 */
export function isCodedFile(codings: readonly string[], resource: Omit<ResourceInfo, "ranges" | "size">): boolean {
  const [coding = "", ...more] = codings;
  const file = FILES[coding.replace(/^x-/, "")];
  if (file === undefined || more.length > 0) return false;
  const type = resource.contentType?.split(";")[0]?.trim().toLowerCase() ?? "";
  const name = resource.filename ?? new URL(resource.finalUrl).pathname;
  return file.types.test(type) || file.names.test(name.toLowerCase());
}

/** @throws ResourceError CONTENT_CODING_UNKNOWN */
export function checkCodings(codings: readonly string[], { url, headers }: HttpResponse): void {
  const unknown = codings.find((coding) => !Object.hasOwn(DECODERS, coding));
  if (unknown === undefined && codings.length <= MOST_CODINGS) return;
  const { host } = new URL(url);
  const what = unknown === undefined ? `${codings.length} times over` : `in "${unknown}", which is not known here`;
  throw failure("CONTENT_CODING_UNKNOWN", `${host} sent the file coded ${what}, although it was asked for as it is`, {
    metadata: { host, content_encoding: headers.get("content-encoding") ?? "" },
  });
}

/**
 * Hands the decoded body to `sink`, as HttpResponse.pipe does; what the sink does not take holds the sender back.
 *
 * @param codings - checked by {@link checkCodings}; none: the body is handed on as it comes
 * @throws NetworkError TRUNCATED if the coding has not come to its end; PROTOCOL_ERROR if it is broken, or more follows
 */
export async function pipeDecoded(response: HttpResponse, codings: readonly string[], sink: ByteSink): Promise<void> {
  // An empty body holds nothing that could be decoded, and is complete.
  if (codings.length === 0 || response.headers.get("content-length") === "0") return response.pipe(sink);
  const { host } = new URL(response.url);
  const made: Transform[] = [];
  let pieces = received(response, made);
  for (const [at, coding] of [...codings.entries()].toReversed())
    pieces = decode(pieces, { coding, host, last: at === 0 }, made);
  try {
    for await (const piece of pieces) await sink(piece);
  } finally {
    for (const stream of made) stream.destroy();
    response.cancel();
  }
}

/** The body as it comes, by pull. */
async function* received(response: HttpResponse, made: Transform[]): AsyncGenerator<Buffer> {
  const buffer = new PassThrough();
  made.push(buffer);
  let broken: { readonly reason: unknown } | undefined;
  response
    .pipe((bytes) => write(buffer, Buffer.from(bytes)))
    .then(
      () => buffer.end(),
      (reason: unknown) => {
        broken = { reason };
        buffer.destroy();
      },
    );
  try {
    for await (const piece of buffer) yield piece;
  } catch (error) {
    throw broken === undefined ? error : broken.reason;
  }
}

async function* decode(
  coded: AsyncGenerator<Buffer>,
  { coding, host, last }: { readonly coding: string; readonly host: string; readonly last: boolean },
  made: Transform[],
): AsyncGenerator<Buffer> {
  let next = await coded.next();
  const decoder = DECODERS[coding]?.(next.done ? 0 : (next.value[0] ?? 0));
  if (decoder === undefined) throw failure("INTERNAL", `there is no decoder of ${coding}`);
  made.push(decoder);
  const metadata = { host, content_encoding: coding };
  let fed = 0;
  let forNothing = 0;
  let decoded = 0;
  let broken: { readonly reason: unknown } | undefined;
  const feed = async (): Promise<void> => {
    for (; !next.done; next = await coded.next()) {
      fed += next.value.length;
      forNothing += next.value.length;
      if (forNothing > MOST_FOR_NOTHING)
        throw failure("PROTOCOL_ERROR", `${host} sent ${forNothing} bytes coded in ${coding} of which nothing comes`, {
          metadata,
        });
      await write(decoder, next.value);
    }
    decoder.end();
  };
  feed().catch((reason: unknown) => {
    broken = { reason };
    decoder.destroy();
  });
  try {
    for await (const piece of decoder) {
      forNothing = 0;
      decoded += piece.length;
      if (!last && decoded > fed * MOST_TIMES + MOST_MORE)
        throw failure("PROTOCOL_ERROR", `${host} sent what ${coding} makes more than ${MOST_TIMES} times longer`, {
          metadata,
        });
      yield piece;
    }
  } catch (error) {
    if (error instanceof DownloadError) throw error;
    if (broken !== undefined) throw (broken as { readonly reason: unknown }).reason;
    const cause = error as NodeJS.ErrnoException;
    throw cause.code === "Z_BUF_ERROR"
      ? failure("TRUNCATED", `${host} sent a body coded in ${coding} that ends early`, { cause, metadata })
      : failure("PROTOCOL_ERROR", `${host} sent a body coded in ${coding} that is broken: ${cause.message}`, {
          cause,
          metadata,
        });
  }
  // A decoder that meets bytes behind its end just ends, and does not take them.
  if (decoder.bytesWritten < fed)
    throw failure("PROTOCOL_ERROR", `${host} sent more bytes behind the end of a body coded in ${coding}`, {
      metadata,
    });
}

function write(to: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
