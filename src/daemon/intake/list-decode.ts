/**
 * From the bytes of a dropped list to the bytes of its text: gzip is recognised by its first bytes (RFC 1952 §2.3.1) and
 * unpacked as it is read, within bounds, so that a few kilobytes cannot become a terabyte of work. UTF-16 and UTF-32 are
 * recognised by their byte order mark and refused as a whole: read as UTF-8, every line would be refused one by one.
 */
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { failure } from "../core/errors.ts";

/** Unpacked bytes that need no justification. */
const FREE_BYTES = 64 * 1024 * 1024;

/** Beyond that, how many times larger than its gzip a list may be. Lists of similar URLs reach about 30. */
const LARGEST_RATIO = 100;

/**
 * The text's bytes.
 *
 * @throws DownloadError LIST_NOT_TEXT for UTF-16, UTF-32 and damaged gzip, LIST_TOO_LARGE for gzip that unpacks to far
 *   too much; what came before is good. What the source throws is passed on.
 */
export async function* listText(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const [head, bytes] = await peek(source, 4);
  if (!isGzip(head)) return yield* bytes;
  const [, text] = await peek(gunzip(bytes), 4);
  yield* text;
}

async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let packed = 0;
  let unpacked = 0;
  let sourceError: unknown;
  async function* counted() {
    try {
      for await (const chunk of source) {
        packed += chunk.length;
        yield chunk;
      }
    } catch (error) {
      sourceError = error;
      throw error;
    }
  }
  const input = Readable.from(counted(), { objectMode: false });
  const gunzipper = createGunzip();
  input.on("error", (error) => gunzipper.destroy(error));
  try {
    for await (const chunk of input.pipe(gunzipper) as AsyncIterable<Uint8Array>) {
      unpacked += chunk.length;
      if (unpacked > Math.max(FREE_BYTES, packed * LARGEST_RATIO))
        throw failure("LIST_TOO_LARGE", `${packed} bytes of gzip unpack to more than ${unpacked} bytes`);
      yield chunk;
    }
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    const code = (error as NodeJS.ErrnoException).code;
    if (!code?.startsWith("Z_")) throw error;
    const what = code === "Z_BUF_ERROR" ? "ends too early" : "is damaged";
    throw failure("LIST_NOT_TEXT", `the gzip ${what} after ${unpacked} unpacked bytes`, { cause: error });
  } finally {
    input.destroy();
    gunzipper.destroy();
  }
}

/** The first `count` bytes (fewer if there are no more), and the whole as it was; that throws if it is UTF-16. */
export async function peek(
  source: AsyncIterable<Uint8Array>,
  count: number,
): Promise<[head: Uint8Array, bytes: AsyncGenerator<Uint8Array, void>]> {
  const iterator = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < count) {
    const next = await iterator.next();
    if (next.done) break;
    first.push(next.value);
    length += next.value.length;
  }
  const head = Buffer.concat(first).subarray(0, count);
  async function* whole() {
    try {
      refuseWide(head);
      yield* first;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return [head, whole()];
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 8;
}

/** Refuses the byte order marks of UTF-16 and UTF-32; that of UTF-32LE begins like that of UTF-16LE. */
function refuseWide(head: Uint8Array): void {
  const wide = head[0] === 0xff && head[1] === 0xfe ? "LE" : head[0] === 0xfe && head[1] === 0xff ? "BE" : undefined;
  const wider = head[0] === 0 && head[1] === 0 && head[2] === 0xfe && head[3] === 0xff;
  if (wide === undefined && !wider) return;
  throw failure("LIST_NOT_TEXT", `the list is ${wider ? "UTF-32BE" : `UTF-16${wide} (or UTF-32)`}, not UTF-8`);
}
