/** An origin that serves a playlist of segments, counts what is asked for, and misbehaves where a test wants it. */
import { createCipheriv, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Bytes of a packet of MPEG-TS. */
const PACKET = 188;

/** Packets that nobody decodes: right at the places that are looked at. */
export function packets(count: number): Buffer {
  const bytes = randomBytes(count * PACKET);
  for (let at = 0; at < bytes.length; at += PACKET) bytes[at] = 0x47;
  return bytes;
}

/** What an answer does instead of being right; called for each request with how often that path was asked for before. */
type Misbehaviour = (path: string, before: number, request: IncomingMessage, response: ServerResponse) => boolean;

/** An origin. */
export interface SegmentOrigin extends AsyncDisposable {
  readonly url: string;
  /** Paths that were asked for, in order, the query left out. */
  readonly requests: string[];
  /** Bytes of segments that were sent. */
  sent: number;
  /** Bytes by path; what is added is served. */
  readonly files: Map<string, Buffer | string>;
  misbehave: Misbehaviour;
}

/** Serves `files`; ranges and entity tags as they should be. */
export async function segmentOrigin(files: Record<string, Buffer | string> = {}): Promise<SegmentOrigin> {
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://origin.test");
    const before = counts.get(pathname) ?? 0;
    counts.set(pathname, before + 1);
    origin.requests.push(pathname);
    if (origin.misbehave(pathname, before, request, response)) return;
    const found = origin.files.get(pathname);
    if (found === undefined) {
      response.writeHead(404).end();
      return;
    }
    const bytes = Buffer.from(found);
    const type = pathname.endsWith(".m3u8") ? "application/vnd.apple.mpegurl" : "video/mp2t";
    const head = { "Content-Type": type, ETag: `"${bytes.length}-${pathname}"`, "Accept-Ranges": "bytes" };
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) {
      origin.sent += bytes.length;
      response.writeHead(200, { ...head, "Content-Length": bytes.length }).end(bytes);
      return;
    }
    const end = to === "" || to === undefined ? bytes.length : Math.min(Number(to) + 1, bytes.length);
    const part = bytes.subarray(Number(from), end);
    origin.sent += part.length;
    response
      .writeHead(206, {
        ...head,
        "Content-Length": part.length,
        "Content-Range": `bytes ${from}-${end - 1}/${bytes.length}`,
      })
      .end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin: SegmentOrigin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    sent: 0,
    files: new Map(Object.entries(files)),
    misbehave: () => false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return origin;
}

/** What a playlist is made with. */
export interface PlaylistInit {
  /** Lines before each segment, such as a key. */
  readonly before?: (index: number) => string;
  /** A query for each URL, such as a signature. */
  readonly query?: string;
  readonly first?: number;
  readonly ended?: boolean;
}

/** A media playlist of `seg/N.ts`. */
export function playlistOf(count: number, { before, query = "", first = 0, ended = true }: PlaylistInit = {}): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:4", `#EXT-X-MEDIA-SEQUENCE:${first}`];
  for (let index = first; index < first + count; index++) {
    if (before) lines.push(before(index));
    lines.push("#EXTINF:4.0,", `seg/${index}.ts${query}`);
  }
  if (ended) lines.push("#EXT-X-ENDLIST");
  return `${lines.join("\n")}\n`;
}

/** Enciphers as RFC 8216 §4.3.2.4 has it, with the media sequence number as the initialization vector. */
export function encipher(bytes: Buffer, key: Buffer, sequence: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(sequence, 12);
  const cipher = createCipheriv("aes-128-cbc", key, iv);
  return Buffer.concat([cipher.update(bytes), cipher.final()]);
}
