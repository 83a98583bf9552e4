/** A real gRPC server over a daemon in memory, on sockets in a temporary folder. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CallOptions, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { AudioSettings } from "../../src/daemon/audio/processor.ts";
import { AudioRoom } from "../../src/daemon/audio/room.ts";
import { DiskFileStore } from "../../src/daemon/disk/file-store.ts";
import { Verifier } from "../../src/daemon/download/verifier.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { FormatLookup } from "../../src/daemon/resolve/format-lookup.ts";
import { type RpcOptions, RpcServer } from "../../src/daemon/rpc/server.ts";
import type { SessionManager } from "../../src/daemon/session/session-manager.ts";
import { parseAddress } from "../../src/shared/address.ts";
import { MemoryDaemon } from "./memory-daemon.ts";
import { RecordLogger } from "./record-logger.ts";
import { sessionFixture } from "./session-fixture.ts";

const AUDIO: AudioSettings = { targetLufs: -14, truePeak: -1, denoiseStrength: "medium", filters: {} };

/** The server and what it works on. */
export interface RpcFixture extends AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly tokenFile: string;
  readonly daemon: MemoryDaemon;
  readonly logger: RecordLogger;
  /** Whose receipts are served. */
  readonly kept: SessionManager;
  readonly server: RpcServer;
  /** The TCP addresses, with their ports. */
  tcp(): readonly string[];
}

/** Makes a server that is not started yet; `listen` as in the configuration. */
export async function rpcFixture(
  { listen = [], ...options }: Omit<Partial<RpcOptions>, "listen"> & { readonly listen?: readonly string[] } = {},
  daemon = new MemoryDaemon(),
): Promise<RpcFixture> {
  const folder = await mkdtemp(join(tmpdir(), "snatch-rpc-"));
  const logger = new RecordLogger();
  const [socket, tokenFile] = [join(folder, "run", "snatchd.sock"), join(folder, "token")];
  const { sessions: kept } = await sessionFixture();
  const clock = new SystemClock();
  const tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock });
  const nowhere = () => ({ id: "nowhere", open: () => Promise.reject(new Error("these receipts lead to no origin")) });
  const parts = { receipts: kept.receipts, files: new DiskFileStore(), sources: { http: nowhere }, clock };
  const ports = {
    downloads: daemon,
    sessions: daemon,
    transfer: daemon,
    receipts: kept.receipts,
    verifier: new Verifier({ ...parts, busy: () => false, timeoutMs: () => 1000 }),
    formats: new FormatLookup({ resolvers: daemon.resolvers, sources: { http: nowhere }, presets: () => undefined }),
    events: daemon.events,
    lists: daemon,
    watchFolders: daemon.watchFolders,
    cache: daemon.cache,
    feeds: daemon.feeds,
    sharing: daemon.sharing,
    audio: new AudioRoom({ tool, settings: () => AUDIO, logger }),
    control: daemon.control,
    memory: {
      report: () => ({ level: 1, processBytes: 5e7, limitedBy: "/box", limitBytes: 1e9, usedBytes: 8.5e8 }) as const,
      wake: () => undefined,
    },
    clock,
    logger,
  };
  const server = new RpcServer(ports, {
    socketPath: socket,
    tokenFile,
    allowedDirs: () => [join(folder, "downloads")],
    environment: {},
    drainMs: 500,
    ...options,
    listen: listen.map(parseAddress),
  });
  return {
    folder,
    socket,
    tokenFile,
    daemon,
    logger,
    kept,
    server,
    tcp: () => server.addresses().filter((address) => !address.startsWith("unix:")),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await tool[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Done<T> = (error: ServiceError | null, response: T) => void;

/** A unary call as a promise: `call(client.getStatus.bind(client, {}))`. */
export function call<T>(
  begin: (metadata: Metadata, options: Partial<CallOptions>, done: Done<T>) => unknown,
  { metadata = new Metadata(), ...options }: Partial<CallOptions> & { readonly metadata?: Metadata } = {},
): Promise<T> {
  return answer<T>((done) => begin(metadata, options, done));
}

/** The answer of any call that ends with one. */
export function answer<T>(begin: (done: Done<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

/** The error that a call ends with. @throws Error if it succeeds */
export async function errorOf(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("the call succeeded");
}
