/**
 * The ground of the catalogue: a small HTTP server on loopback that answers as RFC 9110 wants it, and lets a fault change
 * what it must. Faults answer through node:http, or write raw bytes where node:http would not let them lie.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";

/** What an origin serves. */
export interface Resource {
  readonly bytes: Buffer;
  /** With quotes. */
  readonly etag: string;
  readonly lastModified: string;
}

/** A request as an origin saw it. */
interface SeenRequest {
  /** Counts from 1. */
  readonly number: number;
  readonly method: string;
  readonly path: string;
  /** Which of the two addresses was asked: the one of {@link Origin.base}, or the one of {@link Origin.elsewhere}. */
  readonly at: "here" | "elsewhere";
  readonly headers: IncomingMessage["headers"];
  /** The Range field, with `end` exclusive and cut to the resource. */
  readonly range: { readonly start: number; readonly end: number } | undefined;
}

/** What an origin remembers from one request to the next. */
interface OriginState {
  /** May be replaced: what later calls serve. */
  resource: Resource;
  /** Counts from 1; a test that ends a download and goes on with it counts it up in between. */
  run: number;
}

/** One request that a fault answers. */
export interface Call {
  readonly seen: SeenRequest;
  readonly response: ServerResponse;
  readonly state: OriginState;
  /** The origin's own base URL, without a slash at the end. */
  readonly base: string;
  /** Another origin's base URL: another port, where the same fault answers. */
  readonly elsewhere: string;
  /** Answers as it should be. `changed` overrides fields; undefined takes one away. */
  answer(changed?: Readonly<Record<string, string | undefined>>): void;
  /** Answers with a status, fields and a body as they are given. */
  send(status: number, fields: OutgoingHttpHeaders, body?: Buffer | string): void;
  /** Writes bytes to the socket, unseen by node:http, and then closes it: cleanly, or with a reset. */
  raw(bytes: Buffer | string, end?: "close" | "reset" | "keep"): void;
}

/** An origin that runs. `await using` ends it, with all of its connections. */
export interface Origin extends AsyncDisposable {
  /** The URL to ask for. */
  readonly url: string;
  /** Scheme, host and port. */
  readonly base: string;
  /** The same server at another port: for those who ask, another origin. */
  readonly elsewhere: string;
  readonly resource: Resource;
  readonly state: OriginState;
  /** Every version that was served, or was ready to be. */
  readonly versions: readonly Resource[];
  readonly requests: readonly SeenRequest[];
  /** Resolves with the first request for which `matches` is true, now or later. */
  seen(matches: (request: SeenRequest) => boolean): Promise<SeenRequest>;
}

/** A resource of these bytes, last changed long ago. */
export function resourceOf(bytes: Buffer, version = "1"): Resource {
  return { bytes, etag: `"v${version}"`, lastModified: "Mon, 06 Jan 2020 10:00:00 GMT" };
}

/** Starts an origin. @param path - the path of {@link Origin.url} */
export async function serve(resource: Resource, answer: (call: Call) => void, path = "/file.bin"): Promise<Origin> {
  const requests: SeenRequest[] = [];
  const watchers = new Set<() => void>();
  const versions: Resource[] = [];
  const state = versioned(resource, versions);
  const bases = { here: "", elsewhere: "" };
  const servers = (["here", "elsewhere"] as const).map((at) => {
    const server = createServer((request, response) => {
      const seen = see(request, requests.length + 1, state.resource.bytes.length, at);
      requests.push(seen);
      // A client that breaks off is no error of the origin.
      response.on("error", () => undefined);
      answer(callOf(seen, response, state, bases));
      for (const watcher of watchers) watcher();
    });
    server.listen(0, "127.0.0.1");
    return { at, server };
  });
  for (const { at, server } of servers) {
    if (!server.listening) await once(server, "listening");
    const address = server.address();
    bases[at] = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  }
  return {
    url: bases.here + path,
    base: bases.here,
    elsewhere: bases.elsewhere,
    resource,
    state,
    versions,
    requests,
    seen: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const found = requests.find(matches);
          if (!found) return;
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      for (const { server } of servers) {
        server.close();
        server.closeAllConnections();
        await once(server, "close");
      }
    },
  };
}

/** A state that writes down every version that it is given. */
function versioned(first: Resource, versions: Resource[]): OriginState {
  versions.push(first);
  return {
    run: 1,
    get resource() {
      return versions.at(-1) ?? first;
    },
    set resource(next) {
      if (next !== versions.at(-1)) versions.push(next);
    },
  };
}

function see(request: IncomingMessage, number: number, size: number, at: SeenRequest["at"]): SeenRequest {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const end = last ? Math.min(Number(last) + 1, size) : size;
  return {
    number,
    method: request.method ?? "",
    path: request.url ?? "",
    at,
    headers: request.headers,
    range: first === undefined ? undefined : { start: Number(first), end },
  };
}

function callOf(
  seen: SeenRequest,
  response: ServerResponse,
  state: OriginState,
  bases: Readonly<Record<SeenRequest["at"], string>>,
): Call {
  const send: Call["send"] = (status, fields, body = "") => {
    const all = Object.entries({ "content-length": Buffer.byteLength(body), ...fields });
    response.writeHead(status, Object.fromEntries(all.filter(([, value]) => value !== undefined)));
    response.end(seen.method === "HEAD" ? undefined : body);
  };
  return {
    seen,
    response,
    state,
    base: bases.here,
    elsewhere: bases.elsewhere,
    send,
    answer(changed = {}) {
      const { bytes, etag, lastModified } = state.resource;
      const fields: Record<string, string | undefined> = {
        etag,
        "last-modified": lastModified,
        "accept-ranges": "bytes",
      };
      const condition = seen.headers["if-range"];
      const { range } = seen;
      let status = 200;
      let body: Buffer = bytes;
      if (range && (condition === undefined || condition === etag || condition === lastModified)) {
        const satisfiable = range.start < range.end;
        status = satisfiable ? 206 : 416;
        body = satisfiable ? bytes.subarray(range.start, range.end) : Buffer.alloc(0);
        fields["content-range"] = satisfiable
          ? `bytes ${range.start}-${range.end - 1}/${bytes.length}`
          : `bytes */${bytes.length}`;
      }
      const all = { ...fields, ...changed };
      send(status, Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)), body);
    },
    raw(bytes, end = "close") {
      const { socket } = response;
      if (!socket) return;
      if (end === "keep") socket.write(bytes);
      else if (end === "close") socket.end(bytes);
      else socket.write(bytes, () => socket.resetAndDestroy());
    },
  };
}
