/**
 * Peers in memory: sources of buffers that lie, have only a part, grow, go away or are slow; their resolver, and a sharer
 * that remembers what it was given. And an engine on a folder of its own, which another one can go on with.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../../src/daemon/core/errors.ts";
import { type Manifest, makeManifest } from "../../../src/daemon/core/manifest.ts";
import type { PeerPath } from "../../../src/daemon/core/peers.ts";
import type { PlacedFile } from "../../../src/daemon/core/ports/files.ts";
import type { Resolver } from "../../../src/daemon/core/ports/resolve.ts";
import type {
  ByteRange,
  ChunkSource,
  FileSharer,
  HeldPart,
  PeerSources,
  RangeRequest,
  RangeStream,
} from "../../../src/daemon/core/ports/sources.ts";
import type { DownloadOptions, DownloadRequest, Session } from "../../../src/daemon/core/session.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { DownloadManager } from "../../../src/daemon/download/manager.ts";
import type { DownloadSettings } from "../../../src/daemon/download/settings.ts";
import { SessionManager } from "../../../src/daemon/library.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { RecordLogger } from "../record-logger.ts";

/** Bytes of a chunk, unless a test says otherwise. */
export const PEER_CHUNK = 64 * 1024;

/** A code, and the id of what is shared under it. */
export const CODE = "7HKZM-4TQ2W-9XNPA-BCDEF-GH123";
export const SHARE_ID = "00112233445566778899aabbccddeeff";

/** The manifest of bytes. */
export function manifestOfBytes(bytes: Uint8Array, chunkSize = PEER_CHUNK): Manifest {
  const chunks: string[] = [];
  for (let start = 0; start < bytes.length; start += chunkSize)
    chunks.push(
      createHash("sha256")
        .update(bytes.subarray(start, start + chunkSize))
        .digest("hex"),
    );
  return makeManifest(bytes.length, chunkSize, chunks);
}

/** A file that peers hold, and how they behave. */
export interface FakeFile {
  readonly bytes: Buffer;
  /** Default: that of the bytes. */
  readonly manifest?: Manifest;
  /** May lead into folders. */
  readonly name: string;
  readonly mode?: number;
  readonly lastModified?: string;
  /** Chunks that are here; absent: all. */
  held?: Set<number>;
  /** How often a chunk is still sent with a wrong byte. */
  readonly lies?: Map<number, number>;
  /** The connection breaks behind so many bytes, once each. */
  readonly breaks?: number[];
  /** Called before each piece: a slow peer waits here. */
  readonly pace?: () => Promise<void>;
  /** Where nothing is there of what is asked for, it waits in the stream, and not before that. */
  readonly waitsLate?: boolean;
  /** It gives no ranges. */
  readonly whole?: boolean;
  /** Thrown by every request from now on. */
  refusal?: Error;
}

/** Peers that hold files, by index. */
export class FakePeers implements PeerSources {
  readonly files: FakeFile[];
  /** Of every request that was answered, in order. */
  readonly asked: (ByteRange & { readonly file: number })[] = [];
  readonly rejected: ByteRange[] = [];
  /** Bytes that were sent. */
  sent = 0;
  refusals = 0;
  /** Of downloads under way that may be given on. */
  readonly attached = new Set<HeldPart>();
  attachments = 0;
  onAttach: (held: HeldPart) => void = () => undefined;
  #wake = Promise.withResolvers<void>();

  constructor(files: readonly FakeFile[]) {
    this.files = [...files];
  }

  /** Something has changed: whoever waits looks again. */
  changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  peer(url: string): ChunkSource {
    const index = Number(/^snatch:share\/[0-9a-f]{32}\/(\d+)$/.exec(url)?.[1] ?? Number.NaN);
    const file = this.files[index];
    if (!file) throw failure("SHARE_NOT_FOUND", `no such file: ${url}`);
    const via: PeerPath[] = [];
    const manifest = file.manifest ?? manifestOfBytes(file.bytes);
    const has = (chunk: number): boolean => file.held?.has(chunk) ?? true;
    return {
      id: url,
      via,
      open: (request) => this.#open({ url, index, file, manifest, via }, request),
      choose: (gaps) => {
        if (!file.held) return undefined;
        for (const { start, end } of gaps)
          for (let at = start; at < end; at = (Math.floor(at / manifest.chunkSize) + 1) * manifest.chunkSize)
            if (has(Math.floor(at / manifest.chunkSize)))
              return { start: at, end: Math.min(end, (Math.floor(at / manifest.chunkSize) + 1) * manifest.chunkSize) };
        return undefined;
      },
      reject: (chunk) => void this.rejected.push(chunk),
      attach: (held) => {
        this.attached.add(held);
        this.attachments++;
        this.onAttach(held);
        return { [Symbol.dispose]: () => void this.attached.delete(held) };
      },
    };
  }

  async #open(
    at: { url: string; index: number; file: FakeFile; manifest: Manifest; via: PeerPath[] },
    { start: asked, end: wanted, expected, signal }: RangeRequest,
  ): Promise<RangeStream> {
    const { url, index, file, manifest, via } = at;
    const { size, chunkSize } = manifest;
    const start = file.whole ? 0 : asked;
    const root = `"${manifest.root}"`;
    if (expected && expected.strongValidator !== root) throw failure("RESOURCE_CHANGED", "the share is another one");
    const first = Math.floor(start / chunkSize);
    const cancelled = new AbortController();
    const ended = AbortSignal.any([signal, cancelled.signal]);
    const there = async (chunk: number): Promise<void> => {
      while (file.held && !file.held.has(chunk) && !file.refusal) {
        const woken = this.#wake.promise;
        const stopped = Promise.withResolvers<never>();
        const stop = (): void => stopped.reject(ended.reason);
        ended.addEventListener("abort", stop, { once: true });
        ended.throwIfAborted();
        await Promise.race([woken, stopped.promise]).finally(() => ended.removeEventListener("abort", stop));
      }
    };
    if (!file.waitsLate) await there(first);
    if (file.refusal) {
      this.refusals++;
      throw file.refusal;
    }
    let end = Math.min(file.whole ? size : (wanted ?? size), size);
    for (let chunk = first; file.held && !file.waitsLate && chunk * chunkSize < end; chunk++)
      if (!file.held.has(chunk)) end = Math.min(end, chunk * chunkSize);
    this.asked.push({ file: index, start, end });
    if (!via.includes("lan")) via.push("lan");
    return {
      start,
      end,
      resource: {
        finalUrl: url,
        size,
        ranges: !file.whole,
        strongValidator: root,
        etag: root,
        ...(file.mode !== undefined && { mode: file.mode }),
        ...(file.lastModified !== undefined && { lastModified: file.lastModified }),
      },
      pipe: async (sink) => {
        for (let from = start; from < end; ) {
          await file.pace?.();
          await there(Math.floor(from / chunkSize));
          ended.throwIfAborted();
          const to = Math.min(end, from + 10_000, (Math.floor(from / chunkSize) + 1) * chunkSize);
          const piece = Buffer.from(file.bytes.subarray(from, to));
          this.#lie(file, Math.floor(from / chunkSize), from % chunkSize === 0, piece);
          this.sent += piece.length;
          await sink(piece);
          from = to;
          if (file.breaks?.[0] !== undefined && this.sent >= file.breaks[0]) {
            file.breaks.shift();
            throw failure("CONNECTION_LOST", "the peer went away");
          }
        }
      },
      cancel: () => cancelled.abort(failure("CANCELLED", "the stream was cancelled")),
    };
  }

  /** One wrong byte at the beginning of a chunk. */
  #lie({ lies }: FakeFile, chunk: number, begins: boolean, piece: Buffer): void {
    const left = lies?.get(chunk) ?? 0;
    if (left === 0 || !begins) return;
    lies?.set(chunk, left - 1);
    piece[0] = (piece[0] ?? 0) ^ 1;
  }
}

/** Resolves `snatch:CODE`, and the files of the share. */
class FakePeerResolver implements Resolver {
  readonly name = "peers";
  readonly codes: string[] = [];
  readonly resolved: DownloadRequest[] = [];
  readonly #peers: FakePeers;

  constructor(peers: FakePeers) {
    this.#peers = peers;
  }

  claims(url: string): boolean {
    return url.startsWith("snatch:");
  }

  conceal(url: string): string {
    if (url.startsWith("snatch:share/")) return url;
    this.codes.push(url.slice("snatch:".length));
    return `snatch:share/${SHARE_ID}`;
  }

  async resolve(request: DownloadRequest): ReturnType<Resolver["resolve"]> {
    this.resolved.push(request);
    const { files } = this.#peers;
    const index = /\/(\d+)$/.exec(request.url)?.[1];
    if (index === undefined && files.length > 1)
      return {
        kind: "expansion",
        title: "shared",
        items: files.map((_, at) => ({ url: `snatch:share/${SHARE_ID}/${at}` })),
        namedBy: request.url,
      };
    const file = files[Number(index ?? 0)];
    if (!file) throw failure("SHARE_NOT_FOUND", "no such file");
    const manifest = file.manifest ?? manifestOfBytes(file.bytes);
    return {
      candidates: [{ url: `snatch:share/${SHARE_ID}/${index ?? 0}`, headers: [] }],
      manifest,
      size: manifest.size,
      filename: file.name,
      nested: true,
      exact: true,
      final: true,
      alone: true,
    };
  }
}

/** Shares nothing, and remembers what. */
export class FakeSharer implements FileSharer {
  readonly shared: { readonly session: Pick<Session, "url" | "options">; readonly placed: PlacedFile }[] = [];
  refusal: Error | undefined;

  shareFetched(session: Pick<Session, "url" | "options">, placed: PlacedFile): Promise<string> {
    if (this.refusal) return Promise.reject(this.refusal);
    this.shared.push({ session, placed });
    return Promise.resolve("f".repeat(32));
  }
}

/** An engine in a folder; another one can go on in there when this one is disposed of. */
export async function peerEngine(
  home: string,
  peers: FakePeers,
  settings: Partial<DownloadSettings> = {},
  sharer = new FakeSharer(),
) {
  const clock = new SystemClock();
  const logger = new RecordLogger();
  const sessions = new SessionManager({}, { home });
  await sessions.start();
  const resolver = new FakePeerResolver(peers);
  const downloads = join(home, "downloads");
  const manager = new DownloadManager(
    {
      store: sessions,
      files: new DiskFileStore(),
      sources: {
        http: () => {
          throw failure("INTERNAL", "nothing is asked for by HTTP here");
        },
      },
      resolvers: [resolver],
      peers,
      sharer,
      clock,
      logger,
    },
    () => ({
      downloadDir: downloads,
      maxConcurrent: 3,
      chunkSize: 1024 * 1024,
      maxRetries: 0,
      retryDelay: 0.01,
      enableResume: true,
      verifyChunks: true,
      connections: 4,
      limit: 0,
      timeout: 5,
      ifExists: "rename",
      minFreeSpace: 0,
      memoryHeadroom: () => 1e9,
      ...settings,
    }),
  );
  await manager.start();
  return {
    manager,
    sessions,
    resolver,
    sharer,
    logger,
    downloads,
    /** Fetches by the code, and waits. */
    async fetch(options: DownloadOptions = {}) {
      const [result] = await manager.download([`snatch:${CODE}`], options);
      if (!result) throw new Error("no result");
      const session = await sessions.get(result.sessionId);
      if (!session) throw new Error("no session");
      return { result, session };
    },
    async [Symbol.asyncDispose]() {
      await manager[Symbol.asyncDispose]();
      await sessions[Symbol.asyncDispose]();
    },
  };
}

/** A peer that sends a piece every so many milliseconds. */
export function slow(ms: number): () => Promise<void> {
  return () => sleep(ms);
}
