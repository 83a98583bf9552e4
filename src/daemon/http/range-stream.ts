/** An open range over an answer, with its bytes counted where the framing of the answer does not. */
import { failure } from "../core/errors.ts";
import type { ByteSink, HttpResponse } from "../core/ports/http.ts";
import type { RangeStream } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";

/**
 * The body of an answer as a range.
 *
 * @param counted - the framing does not vouch for the number of bytes: count them
 */
export function rangeStream(
  response: HttpResponse,
  start: number,
  end: number | undefined,
  resource: ResourceInfo,
  counted: boolean,
): RangeStream {
  const open = { start, ...(end !== undefined && { end }), resource, cancel: () => response.cancel() };
  if (counted && end !== undefined) return { ...open, pipe: (sink) => pipeCounted(response, end - start, sink) };
  const { receive } = response;
  return {
    ...open,
    pipe: (sink) => response.pipe(sink),
    ...(receive && { receive: (target) => receive.call(response, target) }),
  };
}

async function pipeCounted(response: HttpResponse, length: number, sink: ByteSink): Promise<void> {
  const { host } = new URL(response.url);
  let received = 0;
  await response.pipe((bytes) => {
    received += bytes.length;
    if (received > length)
      throw failure("PROTOCOL_ERROR", `${host} sent more than the ${length} bytes that it has to`, {
        metadata: { host },
      });
    return sink(bytes);
  });
  if (received < length)
    throw failure("TRUNCATED", `the answer of ${host} ended early, after ${received} of ${length} bytes`, {
      metadata: { host },
    });
}
