/**
 * A daemon without downloads, for tests of the client: the contract's services over sessions in memory. What a URL leads
 * to stands in its path: `/ok…` completes in a few steps, `/hang…` stays active, `/404…` fails, `/wait…` waits once and
 * then completes, `/busy…` is refused. `snatch:CODE` completes by way of the local network. Also a program (`node fake-daemon.ts --home DIR`), to be started as snatchd is.
 */
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { toMasker } from "../../src/daemon/rpc/field-mask.ts";
import { ErrorInfo } from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import {
  type DaemonServiceServer,
  DaemonServiceService,
  GetStatusResponse,
} from "../../src/gen/snatch/v1/daemon_service.ts";
import {
  type AddResult,
  type DownloadServiceServer,
  DownloadServiceService,
  type FollowDownloadsResponse,
  FollowSummary,
  type Selection,
} from "../../src/gen/snatch/v1/download_service.ts";
import { type DownloadOptions, ErrorDetail, Session } from "../../src/gen/snatch/v1/session.ts";
import {
  type SessionServiceServer,
  SessionServiceService,
  type WatchSessionsResponse,
} from "../../src/gen/snatch/v1/session_service.ts";
import { ShareServiceService } from "../../src/gen/snatch/v1/share_service.ts";
import {
  type WatchFolder,
  type WatchFolderServiceServer,
  WatchFolderServiceService,
} from "../../src/gen/snatch/v1/watch_folder_service.ts";
import { ERRORS, type ErrorCode } from "../../src/shared/errors.ts";
import { locate } from "../../src/shared/paths.ts";
import { publicIdOf, someCode } from "./memory-sharing.ts";

/** Bytes of every file that completes. */
const FILE_SIZE = 3 * 1024 * 1024;
/** Between two steps of a download. */
const STEP_MS = 10;

/** An error as the daemon sends it: a status, and google.rpc.ErrorInfo in the trailers. */
function rpcError(code: ErrorCode, message: string): Partial<ServiceError> {
  const info = ErrorInfo.encode(ErrorInfo.fromPartial({ reason: code, domain: "snatch" })).finish();
  const grpc = status[ERRORS[code].grpc];
  const details = [{ typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: Buffer.from(info) }];
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(Status.encode({ code: grpc, message, details }).finish()));
  return { code: grpc, details: message, metadata };
}

/** Throws what {@link rpcError} makes. */
function refuse(code: ErrorCode, message: string): never {
  throw Object.assign(new Error(message), rpcError(code, message));
}

const answer =
  <Q, A>(body: (request: Q, metadata: Metadata) => A | Promise<A>) =>
  (call: ServerUnaryCall<Q, A>, callback: sendUnaryData<A>): void => {
    void (async () => body(call.request, call.metadata))().then(
      (value) => callback(null, value),
      (error: unknown) => callback(error as ServiceError),
    );
  };

const STATUS = {
  pause: ["SESSION_STATUS_QUEUED", "SESSION_STATUS_WAITING", "SESSION_STATUS_ACTIVE"],
  resume: ["SESSION_STATUS_PAUSED", "SESSION_STATUS_WAITING"],
  cancel: ["SESSION_STATUS_QUEUED", "SESSION_STATUS_WAITING", "SESSION_STATUS_ACTIVE", "SESSION_STATUS_PAUSED"],
  retry: ["SESSION_STATUS_FAILED", "SESSION_STATUS_CANCELLED"],
} as const;

/** The daemon. Dispose it. */
export class FakeDaemon implements AsyncDisposable {
  readonly sessions = new Map<string, Session>();
  readonly requests: Array<{ readonly method: string; readonly request: unknown }> = [];
  readonly folders = new Map<string, WatchFolder>();
  /** Codes of the shares that were made of downloads, by share id. */
  readonly codes = new Map<string, string>();
  readonly config = new Map<string, string>([
    ["chunk_size", "8388608"],
    ["download_dir", '"/srv/files"'],
  ]);
  /** The bearer token that every call must carry; none if undefined. */
  token: string | undefined;
  /** Called by the Shutdown RPC. */
  onShutdown: () => void = () => {};
  addresses: string[] = [];
  readonly #server = new Server();
  readonly #changed = new EventEmitter<{ event: [WatchSessionsResponse] }>().setMaxListeners(0);
  readonly #events: WatchSessionsResponse[] = [];
  readonly #end = new AbortController();

  /** Listens at "unix:/path" or "127.0.0.1:0". @returns the port, 0 for a socket */
  async start(address: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.addService(DownloadServiceService, this.#downloads());
    this.#server.addService(SessionServiceService, this.#sessionService());
    this.#server.addService(DaemonServiceService, this.#daemon());
    this.#server.addService(WatchFolderServiceService, this.#watchFolders());
    const { getShareCode } = ShareServiceService;
    this.#server.addService(
      { getShareCode },
      {
        getShareCode: answer(({ share }: { readonly share: string }) => ({
          code: this.codes.get(share) ?? refuse("SHARE_NOT_FOUND", `there is no share ${share}`),
        })),
      },
    );
    this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
    const port = await promise;
    this.addresses = [address.replace(/:0$/, `:${port}`)];
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#server.forceShutdown();
  }

  /** Makes a session and lets it go its way. */
  add(asked: string, options?: DownloadOptions, batchId = ""): Session {
    const url = asked.startsWith("snatch:") ? this.#concealed(asked) : asked;
    const session = Session.fromPartial({
      sessionId: randomUUID(),
      sequence: this.sessions.size + 1,
      batchId,
      url,
      status: "SESSION_STATUS_QUEUED",
      stage: "STAGE_UNSPECIFIED",
      progress: {},
      metadata: { title: decodeURIComponent(url.split("/").at(-1) ?? "") },
      options: options ?? {},
      path: options?.output || `${options?.directory || "/srv/files"}/${url.split("/").at(-1)}`,
      createTime: new Date(),
      updateTime: new Date(),
    });
    this.#put(session, "created");
    void this.#run(session.sessionId);
    return session;
  }

  /** The URL as sessions show it: without the code. */
  #concealed(link: string): string {
    const code = link.slice("snatch:".length);
    this.codes.set(publicIdOf(code), code);
    return `snatch:share/${publicIdOf(code)}`;
  }

  /** What a finished file is shared as: what came by a code, by the same one. */
  #shareOf({ url, options }: Session): string {
    if (!options?.share) return "";
    const code = url.startsWith("snatch:") ? undefined : someCode();
    if (code === undefined) return url.slice("snatch:share/".length);
    this.codes.set(publicIdOf(code), code);
    return publicIdOf(code);
  }

  #put(session: Session, event: "created" | "updated" | "error" | "cleaned" = "updated"): void {
    if (event === "cleaned") this.sessions.delete(session.sessionId);
    else this.sessions.set(session.sessionId, session);
    const message = { sequence: this.#events.length + 1, time: new Date(), event: { $case: event, value: session } };
    this.#events.push(message);
    this.#changed.emit("event", message);
  }

  /** Changes a session if it still is what it was taken for. */
  #patch(id: string, change: Partial<Session>, only?: readonly string[]): boolean {
    const session = this.sessions.get(id);
    if (!session || (only && !only.includes(session.status))) return false;
    this.#put({ ...session, ...change, updateTime: new Date() }, change.error ? "error" : "updated");
    return true;
  }

  async #run(id: string): Promise<void> {
    const session = this.sessions.get(id) as Session;
    const kind = new URL(session.url).pathname.slice(1);
    const alive = ["SESSION_STATUS_QUEUED", "SESSION_STATUS_ACTIVE", "SESSION_STATUS_WAITING"];
    const step = async (change: Partial<Session>): Promise<boolean> => {
      await sleep(STEP_MS, undefined, { signal: this.#end.signal });
      return this.#patch(id, change, alive);
    };
    const fetched = (part: number) => ({
      downloadedBytes: FILE_SIZE * part,
      totalBytes: FILE_SIZE,
      percentage: part * 100,
      bytesPerSecond: 1e6,
      connections: 2,
      pendingBytes: 0,
    });
    try {
      const active = { status: "SESSION_STATUS_ACTIVE", stage: "STAGE_FETCH", attempt: 1 } as const;
      if (!(await step({ ...active, progress: fetched(0.25) }))) return;
      if (kind.startsWith("hang")) return;
      if (kind.startsWith("404")) {
        await step({
          status: "SESSION_STATUS_FAILED",
          stage: "STAGE_UNSPECIFIED",
          error: detail("HTTP_NOT_FOUND", `${session.url} answered 404`),
        });
        return;
      }
      if (kind.startsWith("wait")) {
        const error = detail("CONNECTION_LOST", "the connection broke");
        await step({
          status: "SESSION_STATUS_WAITING",
          stage: "STAGE_UNSPECIFIED",
          error,
          nextAttemptTime: new Date(Date.now() + 2000),
        });
        await sleep(5 * STEP_MS);
        const { error: _gone, ...rest } = this.sessions.get(id) as Session;
        this.sessions.set(id, rest as Session);
      }
      const via = session.url.startsWith("snatch:") ? ["lan"] : [];
      if (!(await step({ ...active, progress: fetched(0.75), via }))) return;
      await step({
        shareId: this.#shareOf(session),
        status: "SESSION_STATUS_COMPLETED",
        stage: "STAGE_UNSPECIFIED",
        progress: { ...fetched(1), bytesPerSecond: 0, connections: 0 },
        completeTime: new Date(),
        manifestRoot: "ab".repeat(32),
      });
    } catch {
      // The daemon ends: the session stays as it is.
    }
  }

  #find(idOrPrefix: string): Session {
    const found = [...this.sessions.values()].filter(({ sessionId }) => sessionId.startsWith(idOrPrefix));
    if (found.length > 1) refuse("SESSION_AMBIGUOUS", `${idOrPrefix} begins ${found.length} ids`);
    return found[0] ?? refuse("SESSION_NOT_FOUND", `there is no session ${idOrPrefix}`);
  }

  #authorize(metadata: Metadata): void {
    if (this.token !== undefined && metadata.get("authorization")[0] !== `Bearer ${this.token}`)
      refuse("UNAUTHENTICATED", "the token is missing or wrong");
  }

  #steer(name: keyof typeof STATUS | "remove", selection: Selection | undefined, change: Partial<Session>) {
    this.requests.push({ method: name, request: selection });
    const allowed: readonly string[] | undefined = name === "remove" ? undefined : STATUS[name];
    const byId = selection?.sessionIds.map((id) => this.#find(id)) ?? [];
    for (const { sessionId, status: now } of byId)
      if (allowed && !allowed.includes(now)) refuse("WRONG_STATUS", `session ${sessionId} is ${now}`);
    const chosen = [...this.sessions.values()].filter(
      (session) =>
        byId.includes(session) || selection?.all || (selection?.batchId && session.batchId === selection.batchId),
    );
    let changedCount = 0;
    for (const session of chosen) {
      if (name === "remove") this.#put(session, "cleaned");
      if (name === "remove" || this.#patch(session.sessionId, { stage: "STAGE_UNSPECIFIED", ...change }, allowed))
        changedCount++;
      if (name === "resume" || name === "retry") void this.#run(session.sessionId);
    }
    return {
      result: { changedCount, sessions: byId.map((session) => this.sessions.get(session.sessionId) ?? session) },
    };
  }

  #downloads(): DownloadServiceServer {
    return {
      addDownloads: answer((request, metadata) => {
        this.#authorize(metadata);
        this.requests.push({ method: "addDownloads", request });
        const batchId = request.downloads.length > 1 ? randomUUID() : "";
        return {
          batchId,
          results: request.downloads.map(({ urls, options }) => this.#accept(urls[0] ?? "", options, batchId)),
        };
      }),
      addList: (call, callback) => {
        let options: DownloadOptions | undefined;
        const pieces: Buffer[] = [];
        call.on("data", (message) => {
          this.requests.push({ method: "addList", request: message });
          if (message.part?.$case === "header") options = message.part.value.options;
          else pieces.push(message.part?.value);
        });
        call.on("end", () => {
          const batchId = randomUUID();
          const lines = Buffer.concat(pieces).toString("utf8").split("\n");
          const refused = [];
          let acceptedCount = 0;
          for (const [index, line] of lines.entries()) {
            if (line.trim() === "" || line.startsWith("#")) continue;
            const { result } = this.#accept(line, options, batchId);
            if (result?.$case === "error") refused.push({ lineNumber: index + 1, line, error: result.value });
            else acceptedCount++;
          }
          callback(null, { batchId, acceptedCount, refusedCount: refused.length, refused });
        });
      },
      followDownloads: (call) => {
        this.requests.push({ method: "follow", request: call.request });
        void this.#follow(call);
      },
      pauseDownloads: answer(({ selection }) => this.#steer("pause", selection, { status: "SESSION_STATUS_PAUSED" })),
      resumeDownloads: answer(({ selection }) => this.#steer("resume", selection, { status: "SESSION_STATUS_QUEUED" })),
      cancelDownloads: answer(({ selection }) =>
        this.#steer("cancel", selection, { status: "SESSION_STATUS_CANCELLED" }),
      ),
      retryDownloads: answer(({ selection }) => this.#steer("retry", selection, { status: "SESSION_STATUS_QUEUED" })),
      removeDownloads: answer(({ selection }) => this.#steer("remove", selection, {})),
      moveDownload: answer((request) => {
        this.requests.push({ method: "move", request });
        return { session: { ...this.#find(request.sessionId), queuePosition: 1 } };
      }),
      setLimit: answer((request) => {
        this.requests.push({ method: "setLimit", request });
        return { bytesPerSecond: request.bytesPerSecond };
      }),
    };
  }

  #accept(url: string, options: DownloadOptions | undefined, batchId: string): AddResult {
    const refusal = !URL.canParse(url)
      ? detail("INVALID_URL", `"${url}" is not a URL`)
      : !/^(https?|snatch):/.test(url)
        ? detail("UNSUPPORTED_SCHEME", `"${url}" is not http or https`)
        : new URL(url).pathname.startsWith("/busy")
          ? detail("TARGET_BUSY", "another session writes there")
          : undefined;
    if (refusal) return { result: { $case: "error", value: refusal } };
    return { result: { $case: "session", value: this.add(url, options, batchId) } };
  }

  async #follow(
    call: ServerWritableStream<{ sessionIds: string[]; batchId: string }, FollowDownloadsResponse>,
  ): Promise<void> {
    const { sessionIds, batchId } = call.request;
    const followed = () =>
      [...this.sessions.values()].filter(
        (s) => sessionIds.includes(s.sessionId) || (batchId !== "" && s.batchId === batchId),
      );
    const sent = new Map<string, Session>();
    let first = true;
    while (!call.cancelled && !this.#end.signal.aborted) {
      const all = followed();
      // Of a batch only what is active comes first: what has ended before is known by the summary alone.
      const news = all.filter((s) =>
        first && batchId ? s.status === "SESSION_STATUS_ACTIVE" : sent.get(s.sessionId) !== s,
      );
      for (const session of all) sent.set(session.sessionId, session);
      const count = (...names: string[]) => all.filter((session) => names.includes(session.status)).length;
      const summary = FollowSummary.fromPartial({
        totalCount: all.length,
        completedCount: count("SESSION_STATUS_COMPLETED"),
        failedCount: count("SESSION_STATUS_FAILED", "SESSION_STATUS_CANCELLED"),
        pausedCount: count("SESSION_STATUS_PAUSED"),
      });
      if (first || news.length > 0) call.write({ sessions: news, summary });
      first = false;
      if (summary.completedCount + summary.failedCount + summary.pausedCount === all.length) break;
      await sleep(STEP_MS);
    }
    if (this.#end.signal.aborted) call.destroy();
    else call.end();
  }

  #sessionService(): SessionServiceServer {
    return {
      getSession: answer(({ sessionId }) => ({ session: this.#find(sessionId) })),
      listSessions: answer((request, metadata) => {
        this.#authorize(metadata);
        this.requests.push({ method: "list", request });
        const matching = [...this.sessions.values()].filter((session) =>
          request.filter.split(" AND ").every((term) => {
            const [, name, value] = /^(\w+) = "?([^"]*)"?$/.exec(term) ?? [];
            if (name === "status") return session.status === `SESSION_STATUS_${value?.toUpperCase()}`;
            return name === "batch_id" ? session.batchId === value : term === "";
          }),
        );
        if (request.orderBy.endsWith(" desc")) matching.reverse();
        const start = Number(request.pageToken || 0);
        const size = request.pageSize || 100;
        const nextPageToken = start + size < matching.length ? String(start + size) : "";
        const sessions = matching.slice(start, start + size).map(toMasker(request.readMask));
        return { sessions, nextPageToken, statusCounts: {} };
      }),
      watchSessions: (call) => {
        this.requests.push({ method: "watch", request: call.request });
        const { afterSequence } = call.request;
        call.write({ sequence: 0, event: { $case: "start", value: { newestSequence: this.#events.length } } });
        if (afterSequence !== undefined && afterSequence > this.#events.length)
          call.write({ sequence: 0, event: { $case: "gap", value: { oldestSequence: 1 } } });
        for (const event of this.#events)
          if (event.sequence > (afterSequence ?? this.#events.length)) call.write(event);
        const listener = (event: WatchSessionsResponse) => void call.write(event);
        this.#changed.on("event", listener);
        call.on("cancelled", () => this.#changed.off("event", listener));
      },
      exportSessions: (call) => {
        for (const { sessionId } of this.sessions.values())
          call.write({ data: Buffer.from(`{"session_id":"${sessionId}"}\n`) });
        call.end();
      },
      importSessions: (call, callback) => {
        const pieces: Buffer[] = [];
        call.on("data", ({ data }) => pieces.push(data));
        call.on("end", () => {
          const lines = Buffer.concat(pieces).toString("utf8").trim().split("\n");
          const refused = lines.filter((line) => !line.startsWith("{")).map((line) => `"${line}" is no session`);
          callback(null, { importedCount: lines.length - refused.length, skippedCount: 0, refused });
        });
      },
    };
  }

  #daemon(): DaemonServiceServer {
    const value = (key: string) => ({
      key,
      valueJson: this.config.get(key) ?? "",
      origin: "file",
      originDetail: "/c.toml:1",
      needsRestart: false,
    });
    return {
      getStatus: answer((_request, metadata) => {
        this.#authorize(metadata);
        return GetStatusResponse.fromPartial({
          pid: process.pid,
          version: "9.9.9",
          addresses: this.addresses,
          startTime: new Date(),
          statusCounts: { queued: 1 },
          configFile: "/c.toml",
          stateDirectory: "/state",
        });
      }),
      getConfig: answer(({ keys }) => {
        const wanted = keys.length === 0 ? [...this.config.keys()] : keys;
        for (const key of wanted) if (!this.config.has(key)) refuse("CONFIG_INVALID", `there is no key "${key}"`);
        return { values: wanted.map(value), configFile: "/c.toml" };
      }),
      setConfig: answer((request) => {
        this.requests.push({ method: "setConfig", request });
        const changes = Object.entries(request.valuesJson).map(([key, newJson]) => ({
          key,
          oldJson: this.config.get(key) ?? "null",
          newJson,
          needsRestart: true,
        }));
        for (const { key, newJson } of changes) this.config.set(key, newJson);
        return { changes };
      }),
      reloadConfig: answer(() => ({ changes: [] })),
      runChecks: answer(() => ({
        results: [
          {
            checkId: "download_dir",
            title: "Download folder",
            status: "CHECK_STATUS_OK" as const,
            message: "can be written",
            fix: "",
            details: {},
          },
          {
            checkId: "ffmpeg",
            title: "FFmpeg",
            status: "CHECK_STATUS_WARNING" as const,
            message: "is not here",
            fix: "Install it.",
            details: { path: "" },
          },
        ],
      })),
      shutdown: answer((request) => {
        this.requests.push({ method: "shutdown", request });
        setImmediate(this.onShutdown);
        return {};
      }),
    };
  }

  #watchFolders(): WatchFolderServiceServer {
    return {
      listWatchFolders: answer(() => ({ watchFolders: [...this.folders.values()] })),
      addWatchFolder: answer(({ path, directory }) => {
        const watchFolder = {
          path,
          directory: directory || "/srv/files",
          configured: false,
          listCount: 0,
          problem: "",
        };
        this.folders.set(path, watchFolder);
        return { watchFolder };
      }),
      removeWatchFolder: answer(({ path }) => {
        if (!this.folders.delete(path)) refuse("WATCH_FOLDER_INVALID", `${path} is not watched`);
        return {};
      }),
    };
  }
}

function detail(code: ErrorCode, message: string): ErrorDetail {
  const { hint, retryable } = ERRORS[code];
  return ErrorDetail.fromPartial({ code, message, hint, retryable, time: new Date() });
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { home: { type: "string" }, check: { type: "boolean" }, json: { type: "boolean" } },
  });
  if (process.env["FAKE_DAEMON_FAILS"]) {
    process.stderr.write(
      '{"level":"error","time":"2026-11-22T12:00:00.000Z","msg":"the configuration has an error: chunk_sice"}\n',
    );
    process.exit(12);
  }
  if (values.check) {
    const problem = {
      severity: "error",
      key: "chunk_sice",
      message: "unknown key; did you mean chunk_size?",
      where: "/c.toml:3",
    };
    const checks = [
      { check_id: "network", title: "Network", status: "skipped", message: "not tried", fix: "", details: {} },
    ];
    process.stdout.write(`${JSON.stringify({ config_problems: [problem], checks })}\n`);
    process.exit(12);
  }
  const { socket } = locate(values.home);
  mkdirSync(dirname(socket), { recursive: true });
  rmSync(socket, { force: true });
  const daemon = new FakeDaemon();
  await daemon.start(`unix:${socket}`);
  daemon.onShutdown = () => process.emit("SIGTERM");
  await once(process, "SIGTERM");
  await daemon[Symbol.asyncDispose]();
  process.exit(0);
}
