/** A giver that misbehaves as a test wants it to; without a manner it is an honest one. */
import { createHash, randomBytes } from "node:crypto";
import { makeManifest } from "../../../src/daemon/core/manifest.ts";
import type { Clock } from "../../../src/daemon/core/ports/runtime.ts";
import { type CatalogueEntry, catalogueRoot, encodeCatalogue } from "../../../src/daemon/p2p/share/catalogue.ts";
import { type Channel, FRAME, type Offer } from "../../../src/daemon/p2p/types.ts";
import type { FakeGiver } from "./fake-network.ts";
import { numbers } from "./taking.ts";

/** What is shared. */
export interface Content {
  readonly offer: Offer;
  readonly catalogue: Buffer;
  readonly files: readonly Buffer[];
  readonly chunkSize: number;
}

/** Makes what is shared: a file, or a folder of some. */
export function makeContent(
  files: readonly (readonly [name: string, bytes: Buffer])[],
  { chunkSize = 64 * 1024, name = "folder" }: { chunkSize?: number; name?: string } = {},
): Content {
  const entries = files.map(([fileName, bytes]): CatalogueEntry => {
    const chunks: string[] = [];
    for (let at = 0; at < bytes.length; at += chunkSize)
      chunks.push(
        createHash("sha256")
          .update(bytes.subarray(at, at + chunkSize))
          .digest("hex"),
      );
    const manifest = makeManifest(bytes.length, chunkSize, chunks);
    return { name: fileName, size: bytes.length, mode: 0o644, mtimeMs: Date.UTC(2026, 1, 3), manifest };
  });
  const catalogue = encodeCatalogue(entries);
  const [only] = entries;
  const kind = entries.length === 1 && only && !only.name.includes("/") && name === "folder" ? "file" : "folder";
  return {
    offer: {
      version: 1,
      kind,
      name: kind === "file" ? (only?.name ?? "") : name,
      root: catalogueRoot(catalogue),
      catalogueSize: catalogue.length,
      fileCount: entries.length,
      size: files.reduce((sum, [, bytes]) => sum + bytes.length, 0),
      complete: true,
    },
    catalogue,
    files: files.map(([, bytes]) => bytes),
    chunkSize,
  };
}

/** How it behaves. */
export interface Manner {
  /** In place of fields of its offer. */
  readonly offer?: Readonly<Record<string, unknown>>;
  /** In place of the offer's frame. */
  readonly rawOffer?: Buffer;
  readonly catalogue?: Buffer;
  /** Chunks that it has, of every file; it says so, and refuses others. */
  readonly has?: (chunk: number) => boolean;
  /** It refuses also what it says that it has. */
  readonly refuses?: (chunk: number) => boolean;
  /** Chunks that it gives wrongly. */
  readonly lies?: (chunk: number) => boolean;
  /** After so many bytes in all it says nothing any more; or the connection breaks. */
  readonly stallsAfter?: number;
  readonly diesAfter?: number;
  /** After so many bytes in all it sends single ones, so many milliseconds apart. */
  readonly trickles?: { readonly clock: Clock; readonly ms: number; readonly after?: number };
  /** Requests of which it sends single bytes, so far apart, while others go on; asked once for each. */
  readonly ignores?: () => boolean;
  readonly drips?: { readonly clock: Clock; readonly ms: number };
  /** The same of its catalogue, from the first byte on. */
  readonly tricklesCatalogue?: { readonly clock: Clock; readonly ms: number };
  /** It breaks when this resolves. */
  readonly diesWhen?: Promise<void>;
  /** Bytes of a data frame. */
  readonly piece?: number;
  /** It sends without regard to credit. */
  readonly greedy?: boolean;
  /** Once it was asked for something, or from the start on. */
  readonly onRequest?: (channel: Channel, id: number) => void;
  readonly onStart?: (channel: Channel) => void;
  readonly onCancel?: (channel: Channel, id: number) => void;
}

/** What it saw. */
export interface Saw {
  requests: number;
  cancels: number;
  completes: number;
  /** Bytes of data that it sent. */
  sent: number;
  /** Why its channels ended. */
  reasons: string[];
}

interface Asked {
  readonly id: number;
  readonly file: number;
  position: number;
  readonly end: number;
  credit: number;
  readonly drips: boolean;
}

/** Makes such a peer. */
export function scriptGiver(
  content: Content,
  manner: Manner = {},
  about: Partial<FakeGiver> = {},
): FakeGiver & { readonly saw: Saw } {
  const saw: Saw = { requests: 0, cancels: 0, completes: 0, sent: 0, reasons: [] };
  return {
    peerId: randomBytes(32).toString("hex"),
    ...about,
    saw,
    give: (channel, ends) => run(channel, ends.cut, content, manner, saw),
  };
}

function run(channel: Channel, cut: () => void, content: Content, manner: Manner, saw: Saw): void {
  const asked = new Map<number, Asked>();
  let silent = false;
  const send: Channel["send"] = (...frame) => (silent ? undefined : channel.send(...frame));
  const offer = { ...content.offer, complete: manner.has === undefined, ...manner.offer };
  void send(FRAME.offer, manner.rawOffer ?? Buffer.from(JSON.stringify(offer)));
  if (manner.has) content.files.forEach((bytes, file) => void send(FRAME.haveMap, numbers(file), mapOf(bytes, file)));
  manner.onStart?.(channel);
  let sent = 0;
  let dry = false;
  const trickling = (): boolean => manner.trickles !== undefined && sent >= (manner.trickles.after ?? 0);
  const timers = new Set<() => void>();
  const later = ({ clock, ms }: { readonly clock: Clock; readonly ms: number }, call: () => void): void => {
    const cancel = clock.timer(ms, () => {
      timers.delete(cancel);
      call();
    });
    timers.add(cancel);
  };
  const drip = (request: Asked): void => {
    if (asked.get(request.id) !== request) return;
    const bytes = content.files[request.file]?.subarray(request.position, ++request.position) ?? Buffer.alloc(0);
    void send(FRAME.data, numbers(request.id), bytes);
    if (manner.drips) later(manner.drips, () => drip(request));
  };
  const pump = (): void => {
    for (const request of asked.values()) {
      if (request.drips) continue;
      while (!silent && request.position < request.end && (request.credit > 0 || manner.greedy)) {
        if (dry) break;
        const bytes = next(request);
        if (bytes === undefined) break;
        if (manner.trickles && trickling()) {
          dry = true;
          later(manner.trickles, () => {
            dry = false;
            pump();
          });
        }
        void send(FRAME.data, numbers(request.id), bytes);
        sent += bytes.length;
        saw.sent += bytes.length;
        request.position += bytes.length;
        request.credit -= bytes.length;
        if (manner.stallsAfter !== undefined && sent >= manner.stallsAfter) silent = true;
        if (manner.diesAfter !== undefined && sent >= manner.diesAfter) {
          void (manner.diesWhen ?? Promise.resolve()).then(cut);
          silent = true;
        }
      }
      if (request.position < request.end) continue;
      asked.delete(request.id);
      void send(FRAME.end, numbers(request.id));
    }
  };
  const next = ({ id, file, position, end, credit }: Asked): Buffer | undefined => {
    const { chunkSize } = content;
    const chunk = Math.floor(position / chunkSize);
    if (manner.refuses?.(chunk) || (manner.has && !manner.has(chunk))) {
      asked.delete(id);
      const words = { code: "PEER_REFUSED", message: "not\u0000 here" };
      void send(FRAME.refuse, numbers(id), Buffer.from(JSON.stringify(words)));
      return undefined;
    }
    const piece = trickling() ? 1 : (manner.piece ?? 16 * 1024);
    const most = Math.min(end, (chunk + 1) * chunkSize, position + piece);
    const to = manner.greedy ? most : Math.min(most, position + credit);
    const bytes = Buffer.from(content.files[file]?.subarray(position, to) ?? []);
    if (manner.lies?.(chunk)) bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    return bytes;
  };
  function mapOf(bytes: Buffer, _file: number): Buffer {
    const count = Math.ceil(bytes.length / content.chunkSize);
    const map = Buffer.alloc(Math.ceil(count / 8));
    for (let chunk = 0; chunk < count; chunk++)
      if (manner.has?.(chunk)) map[chunk >> 3] = (map[chunk >> 3] ?? 0) | (0x80 >> (chunk & 7));
    return map;
  }
  channel.start({
    frame: (type, payload) => {
      if (type === FRAME.catalogueRequest) {
        const bytes = manner.catalogue ?? content.catalogue;
        const slow = manner.tricklesCatalogue;
        if (slow) {
          const drop = (at: number): void => {
            void send(FRAME.catalogue, bytes.subarray(at, at + 1));
            if (at + 1 < bytes.length) later(slow, () => drop(at + 1));
          };
          drop(0);
          return;
        }
        for (let at = 0; at < bytes.length; at += 100_000) void send(FRAME.catalogue, bytes.subarray(at, at + 100_000));
      } else if (type === FRAME.request) {
        saw.requests++;
        const id = payload.readUInt32BE(0);
        const position = Number(payload.readBigUInt64BE(8));
        const request = {
          id,
          file: payload.readUInt32BE(4),
          position,
          end: position + Number(payload.readBigUInt64BE(16)),
          credit: payload.readUInt32BE(24),
          drips: manner.ignores?.() === true,
        };
        asked.set(id, request);
        if (request.drips) drip(request);
        manner.onRequest?.(channel, id);
      } else if (type === FRAME.credit) {
        const request = asked.get(payload.readUInt32BE(0));
        if (request) request.credit += payload.readUInt32BE(4);
      } else if (type === FRAME.cancel) {
        saw.cancels++;
        asked.delete(payload.readUInt32BE(0));
        manner.onCancel?.(channel, payload.readUInt32BE(0));
      } else if (type === FRAME.complete) saw.completes++;
      pump();
    },
    data: () => undefined,
    closed: (reason) => {
      saw.reasons.push(reason.message);
      silent = true;
      asked.clear();
      for (const cancel of timers) cancel();
    },
  });
}
