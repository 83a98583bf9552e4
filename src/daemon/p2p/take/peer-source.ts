/**
 * A file that peers hold, as a source of bytes. It is one source however many peers there are: whom to ask is the swarm's
 * business. What comes is compared with the manifest by whoever receives it, chunk by chunk; what is wrong comes back here
 * as `reject`, and is held against whoever sent it.
 */
import { failure } from "../../core/errors.ts";
import { chunkCount, type Manifest } from "../../core/manifest.ts";
import type { PeerPath } from "../../core/peers.ts";
import type { ByteRange, ChunkSource, HeldPart, RangeRequest, RangeStream } from "../../core/ports/sources.ts";
import type { ResourceInfo } from "../../core/session.ts";
import type { DecodedEntry } from "../share/catalogue.ts";
import { type ShareUrl, shareUrl } from "../share-url.ts";
import type { SharedFiles } from "./file-lists.ts";
import { PeerTransfer } from "./peer-transfer.ts";
import { rarest } from "./rarest.ts";
import { SentRanges } from "./sent-ranges.ts";
import type { Swarm } from "./swarm.ts";

/** A swarm that stays while it is used. */
export interface SwarmUse extends Disposable {
  readonly swarm: Swarm;
  /** What is here of a file may be given to others from now on, until the answer is disposed of. */
  attach(file: number, held: HeldPart): Disposable;
}

/** What a file is, in the words of HTTP. */
function resourceOf(url: string, { name, size, mode, mtimeMs }: DecodedEntry, root: string): ResourceInfo {
  const tag = `"${root}"`;
  return {
    finalUrl: url,
    ranges: true,
    size,
    strongValidator: tag,
    etag: tag,
    lastModified: new Date(mtimeMs).toUTCString(),
    filename: name.slice(name.lastIndexOf("/") + 1),
    mode,
  };
}

/** The file's place in its share. @throws DownloadError INVALID_URL if there is no such file */
export function entryOf({ entries }: SharedFiles, { file = 0, publicId }: ShareUrl): DecodedEntry {
  const entry = entries[file];
  if (entry) return entry;
  throw failure(
    "INVALID_URL",
    `the share ${publicId.slice(0, 8)} has ${entries.length} files, and none of number ${file}`,
  );
}

/** The file as the share's peers describe it, and who sent what of it. */
interface KnownFile {
  readonly entry: DecodedEntry;
  readonly manifest: Manifest;
  readonly sent: SentRanges;
}

/** Requests to a peer at once. */
const LANES = 2;

/** The source of one file. */
export class PeerSource implements ChunkSource {
  readonly id: string;
  readonly #url: ShareUrl;
  readonly #use: () => SwarmUse;
  readonly #paths = new Set<PeerPath>();
  #file: KnownFile | undefined;
  #swarm: Swarm | undefined;

  /** @param use - of the swarm that fetches the share */
  constructor(url: ShareUrl, use: () => SwarmUse) {
    this.id = shareUrl(url);
    this.#url = url;
    this.#use = use;
  }

  get via(): readonly PeerPath[] {
    return [...this.#paths];
  }

  /** All requests to a peer go over one channel: two keep it full, more only take memory. */
  get lanes(): number {
    return LANES * Math.max(1, this.#swarm?.links.size ?? 0);
  }

  /** @throws ResourceError RESOURCE_CHANGED if the share's peers have another file now; NetworkError PEERS_NOT_FOUND … */
  async open({ start, end, expected, signal }: RangeRequest): Promise<RangeStream> {
    const use = this.#use();
    try {
      const files = await use.swarm.files(signal);
      this.#swarm = use.swarm;
      const { entry, manifest, sent } = this.#know(files);
      const resource = resourceOf(this.id, entry, manifest.root);
      if (expected?.strongValidator !== undefined && expected.strongValidator !== resource.strongValidator)
        throw failure("RESOURCE_CHANGED", `${entry.name} is not what was shared by this code before`);
      const to = Math.min(end ?? entry.size, entry.size);
      if (start > to) throw failure("RANGE_INVALID", `${entry.name} ends at ${entry.size}, before ${start}`);
      return new PeerRange(
        new PeerTransfer(start, to, resource, {
          swarm: use.swarm,
          file: this.#url.file ?? 0,
          chunkSize: manifest.chunkSize,
          sent,
          onPath: (path) => this.#paths.add(path),
          signal,
        }),
        use,
      );
    } catch (error) {
      use[Symbol.dispose]();
      throw error;
    }
  }

  choose(gaps: readonly ByteRange[]): ByteRange | undefined {
    if (!this.#file || !this.#swarm) return undefined;
    const { entry } = this.#file;
    const links = [...this.#swarm.links].filter(({ closed, offer }) => !closed && offer);
    return rarest(gaps, this.#url.file ?? 0, entry.chunkSize, links);
  }

  reject(chunk: ByteRange): void {
    if (!this.#file || !this.#swarm) return;
    const { sent } = this.#file;
    const senders = sent.senders(chunk);
    // Who begins a chunk wrongly and then trickles shall not have those suspected who go on.
    const suspects = senders.some(({ inClear }) => inClear) ? senders : sent.suspects(chunk);
    sent.forget(chunk);
    const where = `${chunk.start} to ${chunk.end}`;
    const [sole] = senders;
    if (senders.length === 1 && sole) {
      this.#swarm.ban(sole, `its bytes ${where} are not those of the file`);
      return;
    }
    sent.setAlone(Math.floor(chunk.start / this.#file.manifest.chunkSize));
    this.#swarm.doubt(suspects, `it had a part in bytes ${where}, which are wrong, too often`);
  }

  attach(held: HeldPart): Disposable {
    const use = this.#use();
    const attached = use.attach(this.#url.file ?? 0, held);
    const stop = held.onGained((chunk) => this.#settled(chunk));
    return {
      [Symbol.dispose]: () => {
        stop();
        attached[Symbol.dispose]();
        use[Symbol.dispose]();
      },
    };
  }

  #know(files: SharedFiles): KnownFile {
    const entry = entryOf(files, this.#url);
    if (this.#file?.entry !== entry) {
      const manifest = entry.manifest;
      this.#file = { entry, manifest, sent: new SentRanges(manifest.chunkSize) };
    }
    return this.#file;
  }

  /** A chunk is right: who sent it alone is trusted again. */
  #settled(chunk: number): void {
    if (!this.#file || !this.#swarm) return;
    const { sent, entry } = this.#file;
    if (chunk >= chunkCount(entry.size, entry.chunkSize)) return;
    const range = { start: chunk * entry.chunkSize, end: Math.min((chunk + 1) * entry.chunkSize, entry.size) };
    const senders = sent.senders(range);
    sent.forget(range);
    sent.settled(chunk);
    const [sole] = senders;
    if (sole && senders.length === 1) this.#swarm.trust(sole.peerId);
  }
}

/** A transfer that keeps its swarm. */
class PeerRange implements RangeStream {
  readonly start: number;
  readonly end: number;
  readonly resource: ResourceInfo;
  readonly #transfer: PeerTransfer;
  readonly #use: Disposable;

  constructor(transfer: PeerTransfer, use: Disposable) {
    this.start = transfer.start;
    this.end = transfer.end;
    this.resource = transfer.resource;
    this.#transfer = transfer;
    this.#use = use;
  }

  async pipe(sink: Parameters<RangeStream["pipe"]>[0]): Promise<void> {
    try {
      await this.#transfer.pipe(sink);
    } finally {
      this.#use[Symbol.dispose]();
    }
  }

  async receive(target: Parameters<NonNullable<RangeStream["receive"]>>[0]): Promise<void> {
    try {
      await this.#transfer.receive(target);
    } finally {
      this.#use[Symbol.dispose]();
    }
  }

  cancel(): void {
    this.#transfer.cancel();
    this.#use[Symbol.dispose]();
  }
}
