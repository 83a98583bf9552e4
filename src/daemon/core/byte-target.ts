/** Fills a {@link ByteTarget} from pieces that came in somebody else's memory. */
import type { ByteSink, ByteTarget } from "./ports/http.ts";

/** The sink that copies what it gets into the target. */
export function copyInto(target: ByteTarget): ByteSink {
  return (bytes) => {
    let held: Promise<void> | undefined;
    try {
      for (let from = 0; from < bytes.length; ) {
        const space = target.space();
        const count = Math.min(space.length, bytes.length - from);
        // `set` goes byte by byte where one of both is shared memory and they are not aligned alike: twenty times as long.
        Buffer.from(space.buffer, space.byteOffset, count).fill(bytes.subarray(from, from + count));
        from += count;
        // The piece is here as a whole: only the next one is held back.
        const now = target.filled(count) || undefined;
        held = held && now ? Promise.all([held, now]).then(() => undefined) : (now ?? held);
      }
    } catch (error) {
      // Nobody waits any more for what held it back before.
      held?.catch(() => undefined);
      throw error;
    }
    return held;
  };
}
