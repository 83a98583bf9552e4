/**
 * The gRPC server: one for callers over the Unix socket, whose rights are the file's, and one for callers over TCP, who
 * show a token and reach less. They share nothing but the ports behind them, so no call can take the wrong way.
 */
import { readFile } from "node:fs/promises";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { AudioServiceDefinition, AudioServiceService } from "../../gen/snatch/v1/audio_service.ts";
import { CacheServiceDefinition, CacheServiceService } from "../../gen/snatch/v1/cache_service.ts";
import { DaemonServiceDefinition, DaemonServiceService } from "../../gen/snatch/v1/daemon_service.ts";
import { DownloadServiceDefinition, DownloadServiceService } from "../../gen/snatch/v1/download_service.ts";
import { FeedServiceDefinition, FeedServiceService } from "../../gen/snatch/v1/feed_service.ts";
import { ReceiptServiceDefinition, ReceiptServiceService } from "../../gen/snatch/v1/receipt_service.ts";
import { ResolveServiceDefinition, ResolveServiceService } from "../../gen/snatch/v1/resolve_service.ts";
import { SessionServiceDefinition, SessionServiceService } from "../../gen/snatch/v1/session_service.ts";
import { ShareServiceDefinition, ShareServiceService } from "../../gen/snatch/v1/share_service.ts";
import { WatchFolderServiceDefinition, WatchFolderServiceService } from "../../gen/snatch/v1/watch_folder_service.ts";
import { type Address, formatAddress } from "../../shared/address.ts";
import type { Environment } from "../../shared/paths.ts";
import { failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import { audioService } from "./audio-service.ts";
import { loadToken, requireToken } from "./auth.ts";
import { cacheService } from "./cache-service.ts";
import { Calls, tolerant } from "./calls.ts";
import { daemonService } from "./daemon-service.ts";
import type { RpcPorts } from "./deps.ts";
import { downloadService } from "./download-service.ts";
import { feedService } from "./feed-service.ts";
import { addReflection, LazyHealth } from "./lazy.ts";
import { inheritedDescriptors, listenInherited, listenTcp, listenUnix } from "./listeners.ts";
import { once } from "./once.ts";
import { receiptService } from "./receipt-service.ts";
import { resolveService } from "./resolve-service.ts";
import { sessionService } from "./session-service.ts";
import { shareService } from "./share-service.ts";
import { LOCAL, type Reach, remote } from "./targets.ts";
import { watchFolderService } from "./watch-folder-service.ts";

/** Where the server listens, and for whom. */
export interface RpcOptions {
  /** The daemon's own Unix socket; absolute. */
  readonly socketPath: string;
  /** Further addresses. TCP wants a token, and TLS unless it is loopback. */
  readonly listen: readonly Address[];
  /** Holds the bearer token; made if it does not exist. Read only if there is a TCP address. */
  readonly tokenFile: string;
  /** PEM files; both or none. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** Folders that callers over TCP may have files written to: the download folder and allowed_dirs. Asked each time. */
  allowedDirs(): readonly string[];
  /** Where the service manager says which sockets it passes. */
  readonly environment: Environment;
  /** How long disposal waits for calls under way, in milliseconds; default 3000. */
  readonly drainMs?: number;
}

const MIB = 1024 * 1024;
const DRAIN_MS = 3000;

/** Messages of 4 MiB hold 1 MiB of a list, or thousands of requests. Dead peers are found out within 80 seconds. */
const LIMITS: ServerOptions = {
  "grpc.max_receive_message_length": 4 * MIB,
  "grpc.max_send_message_length": 32 * MIB,
  "grpc.max_concurrent_streams": 1000,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.enable_channelz": 0,
};

const SERVICES = [
  DownloadServiceDefinition,
  SessionServiceDefinition,
  ReceiptServiceDefinition,
  AudioServiceDefinition,
  ResolveServiceDefinition,
  WatchFolderServiceDefinition,
  CacheServiceDefinition,
  FeedServiceDefinition,
  ShareServiceDefinition,
  DaemonServiceDefinition,
];

/** Serves the contract of proto/snatch/v1, health and reflection. */
export class RpcServer implements Startable {
  readonly #ports: RpcPorts;
  readonly #options: RpcOptions;
  readonly #calls: Calls;
  readonly #health = new LazyHealth(SERVICES.map(({ fullName }) => fullName));
  readonly #servers: Server[] = [];
  readonly #sockets: NetServer[] = [];
  readonly #connections = new Set<Socket>();
  readonly #addresses: string[] = [];
  readonly #endReflection: (() => void)[] = [];
  #drained: Promise<void> | undefined;

  constructor(ports: RpcPorts, options: RpcOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#calls = new Calls(ports.logger);
  }

  /**
   * Listens. What is wrong with the configuration is found before anything listens.
   *
   * @throws DownloadError CONFIG_INVALID (an address, the token, TLS), ALREADY_RUNNING (someone answers on the socket)
   */
  async start(): Promise<void> {
    try {
      await this.#listen();
    } catch (error) {
      await this.drain(0);
      throw error;
    }
  }

  /** Where it listens, the Unix socket first: "unix:/path", "127.0.0.1:7633". */
  addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Streams that are open: watchers, followers, lists on their way in. */
  get openStreams(): number {
    return this.#calls.streamCount;
  }

  /**
   * Ends: health says NOT_SERVING, nothing new is taken, streams end with SHUTTING_DOWN, calls under way get
   * `deadlineMs` to finish; then the connections are closed. May be called more than once.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#drained ??= this.#drain(deadlineMs);
    return this.#drained;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(this.#options.drainMs ?? DRAIN_MS);
  }

  async #listen(): Promise<void> {
    const { socketPath, listen, environment, allowedDirs } = this.#options;
    const credentials = await this.#credentials();
    const local = once(() => this.#injector(LOCAL, ServerCredentials.createInsecure(), {}));
    const network = once(async () => {
      const interceptors = [requireToken(await loadToken(this.#options.tokenFile), this.#ports.logger)];
      return this.#injector(remote(allowedDirs), credentials ?? ServerCredentials.createInsecure(), { interceptors });
    });
    const tcp = listen.filter((address) => address.kind === "tcp");
    for (const { host, port, loopback } of tcp)
      if (!loopback && credentials === undefined) throw needsTls(`${host}:${port}`);
    if (tcp.length > 0) await network();

    const given = new Set<string>();
    for (const fd of inheritedDescriptors(environment, process.pid)) {
      const socket = this.#socket();
      const address = await listenInherited(socket.server, fd);
      if (address.kind === "tcp" && !address.loopback && credentials === undefined)
        throw needsTls(formatAddress(address));
      socket.accept(await (address.kind === "unix" ? local() : network()));
      const path = address.kind === "unix" ? address.path || socketPath : undefined;
      if (path !== undefined) given.add(path);
      this.#addresses.push(path === undefined ? formatAddress(address) : `unix:${path}`);
    }
    const paths = [socketPath, ...listen.filter((address) => address.kind === "unix").map(({ path }) => path)];
    for (const path of new Set(paths)) {
      if (given.has(path)) continue;
      const socket = this.#socket();
      socket.accept(await local());
      await listenUnix(socket.server, path);
      this.#addresses.push(`unix:${path}`);
    }
    for (const { host, port } of tcp) {
      const socket = this.#socket();
      socket.accept(await network());
      const bound = await listenTcp(socket.server, host, port);
      // A name such as "localhost" is only as local as what it resolves to.
      if (bound.kind === "tcp" && !bound.loopback && credentials === undefined) throw needsTls(formatAddress(bound));
      this.#addresses.push(formatAddress(bound));
    }
    this.#addresses.sort((a, b) => Number(b.startsWith("unix:")) - Number(a.startsWith("unix:")));
  }

  /** A socket that is not yet listening. Connections wait until it is known for whom they are. */
  #socket(): { server: NetServer; accept(injector: ConnectionInjector): void } {
    const accepted = Promise.withResolvers<ConnectionInjector>();
    const server = createServer({ noDelay: true }, (connection: Socket) => {
      this.#connections.add(connection);
      connection.on("error", () => connection.destroy());
      connection.on("close", () => this.#connections.delete(connection));
      void accepted.promise.then((injector) => injector.injectConnection(connection));
    });
    server.on("error", (error) => this.#ports.logger.error({ err: error }, "a listening socket failed"));
    this.#sockets.push(server);
    return { server, accept: accepted.resolve };
  }

  #injector(reach: Reach, credentials: ServerCredentials, options: ServerOptions): ConnectionInjector {
    const server = new Server({ ...LIMITS, ...options });
    const add = (service: unknown, implementation: UntypedServiceImplementation) =>
      server.addService(tolerant(service as ServiceDefinition<UntypedServiceImplementation>), implementation);
    add(DownloadServiceService, downloadService(this.#ports, this.#calls, reach));
    add(SessionServiceService, sessionService(this.#ports, this.#calls, reach));
    add(ReceiptServiceService, receiptService(this.#ports, this.#calls, reach));
    add(AudioServiceService, audioService(this.#ports, this.#calls, reach));
    add(ResolveServiceService, resolveService(this.#ports, this.#calls, reach));
    add(WatchFolderServiceService, watchFolderService(this.#ports, this.#calls, reach));
    add(CacheServiceService, cacheService(this.#ports, this.#calls, reach));
    add(FeedServiceService, feedService(this.#ports, this.#calls, reach));
    add(ShareServiceService, shareService(this.#ports, this.#calls, reach));
    add(DaemonServiceService, daemonService(this.#ports, this.#calls, reach));
    this.#health.addTo(server);
    this.#endReflection.push(addReflection(server));
    this.#servers.push(server);
    return server.createConnectionInjector(credentials);
  }

  async #credentials(): Promise<ServerCredentials | undefined> {
    const { tlsCert, tlsKey } = this.#options;
    if (tlsCert === undefined && tlsKey === undefined) return undefined;
    if (tlsCert === undefined || tlsKey === undefined)
      throw failure("CONFIG_INVALID", "tls_cert and tls_key belong together; only one of them is set");
    try {
      const [cert_chain, private_key] = await Promise.all([readFile(tlsCert), readFile(tlsKey)]);
      return ServerCredentials.createSsl(null, [{ cert_chain, private_key }], false);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw failure("CONFIG_INVALID", `tls_cert, tls_key: ${why}`, { cause: error });
    }
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#health.stop();
    this.#calls.drain();
    for (const end of this.#endReflection) end();
    for (const server of this.#servers) server.tryShutdown(() => {});
    // grpc-js does not wait for calls under way, but their connections close when the last of them has ended.
    const closed = Promise.all(
      this.#sockets.map(
        (socket) => new Promise<void>((resolve) => (socket.listening ? socket.close(() => resolve()) : resolve())),
      ),
    );
    const timeout = new AbortController();
    await Promise.race([
      closed.then(() => timeout.abort()),
      this.#ports.clock.sleep(deadlineMs, timeout.signal).catch(() => {}),
    ]);
    for (const connection of this.#connections) connection.destroy();
    for (const server of this.#servers) server.forceShutdown();
    await closed;
  }
}

const needsTls = (address: string) =>
  failure("CONFIG_INVALID", `listen: ${address} can be reached from other machines and needs tls_cert and tls_key`, {
    metadata: { key: "listen", address },
  });
