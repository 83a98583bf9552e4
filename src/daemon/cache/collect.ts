/**
 * A body in one piece. Whoever asks for a cached body gets it whole, so each fits into memory; and only a whole one has a
 * digest, by which it is known whether the same is there already.
 */
import { hash } from "node:crypto";
import { failure } from "../core/errors.ts";

/** From here on a digest is made in the thread pool: on the main thread everybody would wait for it. */
const LARGE = 256 * 1024;

/**
 * Reads a body to its end, or until it is too long; then it is read no further.
 * @param what - for the message, such as "a thumbnail"
 * @throws DownloadError CACHE_TOO_LARGE; the signal's reason; what the body threw
 */
export async function collect(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  maxBytes: number,
  what: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const check = (size: number): void => {
    if (size > maxBytes)
      throw failure("CACHE_TOO_LARGE", `${what} of more than ${maxBytes} bytes is not kept in the cache`, {
        metadata: { max_bytes: String(maxBytes) },
      });
  };
  if (body instanceof Uint8Array) {
    check(body.length);
    return body;
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of until(body, signal)) {
    size += piece.length;
    check(size);
    // A copy: senders use their memory again.
    pieces.push(Uint8Array.from(piece));
  }
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, size);
}

/** The same pieces, but nothing more once the signal aborts, even if the sender is silent then. */
async function* until(body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  if (signal === undefined) return yield* body;
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => undefined);
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const pieces = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([pieces.next(), aborted.promise]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not waited for: a silent sender may never answer.
    void pieces.return?.()?.catch(() => undefined);
  }
}

/** SHA-256, base64. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  if (bytes.length < LARGE) return hash("sha256", bytes, "base64");
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)).toString("base64");
}
