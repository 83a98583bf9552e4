/** Origins in memory: documents by their URLs, with a note of what was asked for, and who had named it. */
import { failure } from "../../src/daemon/core/errors.ts";
import type { SourceFactory } from "../../src/daemon/core/ports/sources.ts";

/** A document, or what answers instead of one. */
export type Served =
  | string
  | Uint8Array
  | { readonly body: string | Uint8Array; readonly type?: string; readonly url?: string }
  | Error;

/** What was asked for. */
export interface Asked {
  readonly url: string;
  readonly namedBy: string | undefined;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly start: number;
  readonly end: number | undefined;
}

/** Serves documents; a function is called at each request. What is not there is answered with 404. */
export function documentSources(documents: Readonly<Record<string, Served | (() => Served)>>): {
  readonly sources: SourceFactory;
  readonly asked: Asked[];
} {
  const asked: Asked[] = [];
  const sources: SourceFactory = {
    http: (url, { namedBy, headers = [] }) => ({
      id: url,
      open: async ({ start, end }) => {
        asked.push({ url, namedBy, headers, start, end });
        const found = documents[url];
        const served = typeof found === "function" ? found() : found;
        if (served === undefined) throw failure("HTTP_NOT_FOUND", `${url} is not there`);
        if (served instanceof Error) throw served;
        const answer = typeof served === "string" || served instanceof Uint8Array ? { body: served } : served;
        const bytes = Buffer.from(answer.body);
        const part = bytes.subarray(start, end);
        return {
          start,
          resource: {
            finalUrl: answer.url ?? url,
            ranges: true,
            size: bytes.length,
            ...(answer.type !== undefined && { contentType: answer.type }),
          },
          pipe: async (sink) => {
            for (let at = 0; at < part.length; at += 4096) await sink(part.subarray(at, at + 4096));
          },
          cancel: () => undefined,
        };
      },
    }),
  };
  return { sources, asked };
}
