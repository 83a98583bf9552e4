/** Small proxies on loopback: real ones, which take credentials and connect onwards, and hostile ones. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, request } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { selfSigned } from "./certificate.ts";

/** A proxy that runs. `await using` ends it, with all of its connections. */
export interface TestProxy extends AsyncDisposable {
  readonly port: number;
  /** What it was asked for: "GET http://…", "CONNECT host:port", "name host:port" or "address host:port" (SOCKS5). */
  readonly asked: readonly string[];
  /** Fields of the requests to an HTTP proxy. */
  readonly fields: readonly IncomingMessage["headers"][];
}

/** How a proxy behaves. */
export interface TestProxyOptions {
  /** "user:password" that it wants. */
  readonly credentials?: string;
  /** Where names lead, in place of themselves. */
  readonly resolve?: (host: string) => string;
}

/** A proxy for absolute URLs and CONNECT; over TLS if wanted. */
export function httpProxy(options: TestProxyOptions & { readonly tls?: boolean } = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const fields: IncomingMessage["headers"][] = [];
  const { credentials, resolve = (host: string) => host } = options;
  const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
  const see = (incoming: IncomingMessage): boolean => {
    asked.push(`${incoming.method} ${incoming.url}`);
    fields.push(incoming.headers);
    return wanted === undefined || incoming.headers["proxy-authorization"] === wanted;
  };
  const forward: RequestListener = (incoming, outgoing) => {
    if (!see(incoming)) {
      outgoing.writeHead(407, { "proxy-authenticate": "Basic" }).end();
      return;
    }
    const url = new URL(incoming.url ?? "");
    const { "proxy-authorization": _mine, ...headers } = incoming.headers;
    const onward = request({ host: resolve(url.hostname), port: url.port, path: url.pathname + url.search, headers });
    onward.on("response", (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.writeHead(502).end());
    onward.end();
  };
  const server = options.tls ? createHttpsServer(selfSigned(), forward) : createHttpServer(forward);
  server.on("connect", (incoming: IncomingMessage, socket: Duplex) => {
    socket.on("error", () => undefined);
    if (!see(incoming)) {
      socket.end("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(incoming.url ?? "") ?? [];
    join(socket, connect(Number(port), resolve(host)), () => socket.write("HTTP/1.1 200 Go on\r\nVia: test\r\n\r\n"));
  });
  return running(server, asked, fields);
}

/** A SOCKS5 proxy. */
export function socksProxy({ credentials, resolve = (host) => host }: TestProxyOptions = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    const read = reader(socket);
    const serve = async (): Promise<void> => {
      const [, count = 0] = await read(2);
      const methods = [...(await read(count))];
      const method = credentials === undefined ? 0 : 2;
      if (!methods.includes(method)) return void socket.end(Buffer.from([5, 0xff]));
      socket.write(Buffer.from([5, method]));
      if (credentials !== undefined) {
        const [, userLength = 0] = await read(2);
        const user = (await read(userLength)).toString();
        const [passwordLength = 0] = await read(1);
        const password = (await read(passwordLength)).toString();
        const right = `${user}:${password}` === credentials;
        if (!right) return void socket.end(Buffer.from([1, 1]));
        socket.write(Buffer.from([1, 0]));
      }
      const [, , , kind] = await read(4);
      const host =
        kind === 1 ? (await read(4)).join(".") : kind === 3 ? (await read((await read(1))[0] ?? 0)).toString() : "::1";
      if (kind === 4) await read(16);
      const port = (await read(2)).readUInt16BE();
      asked.push(`${kind === 3 ? "name" : "address"} ${host}:${port}`);
      const onward = connect(port, resolve(host));
      const refuse = (): void => void socket.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]));
      onward.once("error", refuse);
      join(socket, onward, () => socket.write(Buffer.from([5, 0, 0, 3, 1, 0x61, 0, 0])));
    };
    serve().catch(() => socket.destroy());
  });
  return running(server, asked, []);
}

/** A proxy that does `behave` with each connection, and nothing else. */
export function hostileProxy(behave: (socket: Socket) => void): Promise<TestProxy> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    behave(socket);
  });
  return running(server, [], []);
}

/** Carries bytes both ways once the onward connection stands. */
function join(near: Duplex, far: Socket, ready: () => void): void {
  far.once("connect", () => {
    ready();
    near.pipe(far);
    far.pipe(near);
  });
  far.on("error", () => near.destroy());
  far.on("close", () => near.destroy());
  near.on("close", () => far.destroy());
}

/** Reads exact numbers of bytes, and no more. */
function reader(socket: Socket): (count: number) => Promise<Buffer> {
  return async (count) => {
    for (;;) {
      const bytes = count === 0 ? Buffer.alloc(0) : (socket.read(count) as Buffer | null);
      if (bytes !== null) return bytes;
      await once(socket, "readable", { signal: AbortSignal.timeout(5000) });
    }
  };
}

async function running(server: Server, asked: readonly string[], fields: TestProxy["fields"]): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    fields,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
