/**
 * A part of a stored file as a source of bytes. The file is the person's, who may change it at any moment: what is read
 * counts only if the file is still the one that was noted, and if each chunk still has its SHA-256. Bytes that do not are
 * never handed on.
 *
 * Copied by reading, and not as a clone of the file's blocks (reflink): a clone would take over what nobody has proved.
 */
import { webcrypto } from "node:crypto";
import { constants, type FileHandle, open } from "node:fs/promises";
import { copyInto } from "../core/byte-target.ts";
import { failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { ByteSink } from "../core/ports/http.ts";
import type { ChunkSource, RangeRequest, RangeStream } from "../core/ports/sources.ts";
import type { StoredFile } from "../core/session.ts";

/** Bytes of a stored file that are chunks of something. */
export interface StoredPart {
  readonly file: StoredFile;
  /** Where they begin in the file. */
  readonly offset: number;
  readonly size: number;
  readonly chunkSize: number;
  readonly chunks: readonly string[];
}

/** Errors of the system by which a file is known to be gone, or to be something else. */
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR"]);

/** Why bytes could not be had. `gone`: they will not be there another time either. */
export class NotThere extends Error {
  readonly gone: boolean;

  constructor(message: string, gone: boolean, cause?: unknown) {
    super(message, { cause });
    this.gone = gone;
  }
}

/** Opens a file if it is the one that was noted. @throws NotThere */
async function openNoted({ path, size, mtimeMs, ino }: StoredFile): Promise<FileHandle> {
  // A FIFO in its place would keep whoever opens it; a link is not what was put there.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  let handle: FileHandle;
  try {
    handle = await open(path, flags);
  } catch (error) {
    throw new NotThere(`${path} cannot be read`, GONE.has((error as NodeJS.ErrnoException).code ?? ""), error);
  }
  try {
    const found = await handle.stat();
    if (found.isFile() && found.size === size && found.mtimeMs === mtimeMs && found.ino === ino) return handle;
    throw new NotThere(`${path} is not the file that was noted`, true);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Reads a chunk whole into the buffer, and proves it. @throws NotThere */
async function readProved(
  handle: FileHandle,
  { file, offset, size, chunkSize, chunks }: StoredPart,
  index: number,
  buffer: Buffer<ArrayBuffer>,
): Promise<Buffer<ArrayBuffer>> {
  const { start, end } = chunkRange(index, size, chunkSize);
  const bytes = buffer.subarray(0, end - start);
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle
      .read(bytes, at, bytes.length - at, offset + start + at)
      .catch((error: unknown): never => {
        throw new NotThere(`${file.path} cannot be read`, false, error);
      });
    if (bytesRead === 0) throw new NotThere(`${file.path} became shorter`, true);
    at += bytesRead;
  }
  const digest = Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes)).toString("hex");
  if (digest === chunks[index]) return bytes;
  throw new NotThere(`chunk ${index} of ${file.path} is not what it was`, true);
}

/** One chunk, proved. @throws NotThere */
export async function readChunk(part: StoredPart, index: number): Promise<Uint8Array> {
  const { start, end } = chunkRange(index, part.size, part.chunkSize);
  const handle = await openNoted(part.file);
  try {
    return await readProved(handle, part, index, Buffer.from(new ArrayBuffer(end - start)));
  } finally {
    await handle.close();
  }
}

/** {@link ChunkSource} of a part of a stored file. */
export class StoredFileSource implements ChunkSource {
  readonly id: string;
  readonly #part: StoredPart;
  readonly #gone: (why: NotThere) => Promise<void>;

  /** @param gone - told when bytes are not what they should be; waited for, so that nobody is sent here again */
  constructor(id: string, part: StoredPart, gone: (why: NotThere) => Promise<void>) {
    this.id = id;
    this.#part = part;
    this.#gone = gone;
  }

  /** @throws ResourceError RESOURCE_CHANGED if the file is not what it was; RANGE_INVALID for bytes that it cannot have */
  async open({ start, end = this.#part.size, signal }: RangeRequest): Promise<RangeStream> {
    signal.throwIfAborted();
    const { size } = this.#part;
    const until = Math.min(end, size);
    if (start < 0 || start >= until)
      throw failure("RANGE_INVALID", `${this.id} has ${size} bytes; ${start}–${end} were asked for`);
    const handle = await openNoted(this.#part.file).catch((error: unknown) => this.#lost(error));
    const ended = new AbortController();
    const pipe = async (sink: ByteSink): Promise<void> => {
      try {
        await this.#copy(handle, start, until, sink, AbortSignal.any([signal, ended.signal]));
      } finally {
        await handle.close();
      }
    };
    let piped = false;
    return {
      start,
      end: until,
      resource: { finalUrl: this.id, size, ranges: false },
      pipe: (sink) => {
        piped = true;
        return pipe(sink);
      },
      receive: (target) => {
        piped = true;
        return pipe(copyInto(target));
      },
      cancel: () => {
        ended.abort(failure("CANCELLED", `the copy of ${this.id} was called off`));
        // What is being read is closed by who reads it.
        if (!piped) handle.close().catch(() => undefined);
        piped = true;
      },
    };
  }

  async #copy(handle: FileHandle, start: number, end: number, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const { size, chunkSize } = this.#part;
    const buffer = Buffer.from(new ArrayBuffer(Math.min(chunkSize, size)));
    for (let at = start; at < end; ) {
      signal.throwIfAborted();
      const index = Math.floor(at / chunkSize);
      const bytes = await readProved(handle, this.#part, index, buffer).catch((error: unknown) => this.#lost(error));
      signal.throwIfAborted();
      const from = index * chunkSize;
      const piece = bytes.subarray(at - from, Math.min(end - from, bytes.length));
      await sink(piece);
      at += piece.length;
    }
  }

  async #lost(error: unknown): Promise<never> {
    if (!(error instanceof NotThere)) throw error;
    await this.#gone(error);
    throw failure("RESOURCE_CHANGED", `${this.id} cannot be had from a stored file any more: ${error.message}`, {
      cause: error,
    });
  }
}
