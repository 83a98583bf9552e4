/** Documents by their URLs, as sources that remember what they were asked. */
import type { SourceFactory } from "../../src/daemon/core/ports/sources.ts";

/** A document, with the media type that it is served as. */
export type Served = string | Uint8Array | { readonly body: string | Uint8Array; readonly type?: string };

/** A request that came. */
interface Asked {
  readonly url: string;
  readonly namedBy?: string;
  readonly remote?: true;
  readonly headers: ReadonlyArray<readonly [string, string]>;
}

/** Serves documents; what is not among them fails. */
export function servedDocuments(documents: Readonly<Record<string, Served>>) {
  const asked: Asked[] = [];
  const sources: SourceFactory = {
    http: (url, { namedBy, remote, headers = [] }) => ({
      id: url,
      open: ({ end }) => {
        asked.push({ url, headers, ...(namedBy !== undefined && { namedBy }), ...(remote && { remote }) });
        const found = documents[url];
        if (found === undefined) return Promise.reject(new Error(`404: ${url}`));
        const { body, type } =
          typeof found === "string" || found instanceof Uint8Array ? { body: found, type: undefined } : found;
        const bytes = Buffer.from(body);
        return Promise.resolve({
          start: 0,
          ...(end !== undefined && { end }),
          resource: {
            finalUrl: url,
            ranges: false,
            size: bytes.length,
            ...(type !== undefined && { contentType: type }),
          },
          pipe: async (sink) => sink(bytes),
          cancel: () => undefined,
        });
      },
    }),
  };
  return { asked, sources };
}
