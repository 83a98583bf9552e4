/**
 * Holds finished files against their receipts, chunk by chunk, and repairs them. Reading and hashing happen in the thread
 * pool; while downloads are under way it leaves the disk to them half of the time.
 *
 * A repair writes into the file in place: each chunk only once its bytes are proved, and synced before the next. Killed in
 * the middle it leaves at worst one chunk damaged, which it was before.
 */
import { setImmediate as breathe } from "node:timers/promises";
import { asDownloadError, failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { FileStore } from "../core/ports/files.ts";
import type {
  DamagedChunk,
  FileVerifier,
  ReceiptStore,
  VerifyEvent,
  VerifyOptions,
  VerifyOutcome,
  VerifyTarget,
} from "../core/ports/receipts.ts";
import { isUnprocessed, type Receipt, type ReceiptChunk } from "../core/receipt.ts";
import type { StoredFile } from "../core/session.ts";
import { problemOf, readReceiptFile } from "./chunk-check.ts";
import { ChunkFetcher, type RepairParts } from "./repair.ts";

/** Milliseconds between two words on the progress. */
const PROGRESS_MS = 250;

/** What a verifier works with. */
export interface VerifierParts extends RepairParts {
  readonly receipts: ReceiptStore;
  readonly files: FileStore;
  /** True while downloads are under way. */
  readonly busy: () => boolean;
}

/** A file and what it is held against. */
interface Subject {
  readonly receipt: Receipt;
  readonly chunks: AsyncIterable<ReceiptChunk> | Iterable<ReceiptChunk>;
  /** Where it is. */
  readonly path: string;
  /** The receipt is of this daemon, and follows the file. */
  readonly ours: boolean;
}

/** What was found out about a file that is there. */
interface Found {
  readonly identity: Omit<StoredFile, "path">;
  /** With the digest that each should have. */
  readonly damaged: ReadonlyArray<readonly [chunk: DamagedChunk, digest: string]>;
}

/** {@link FileVerifier} of this daemon's files. */
export class Verifier implements FileVerifier {
  readonly #parts: VerifierParts;

  constructor(parts: VerifierParts) {
    this.#parts = parts;
  }

  async *verify(target: VerifyTarget, options: VerifyOptions): AsyncGenerator<VerifyEvent> {
    for await (const subject of this.#subjects(target, options)) {
      const { receipt, path } = subject;
      yield { type: "begun", receipt, path };
      const told = { damaged: 0, repaired: 0 };
      try {
        for await (const event of this.#verifyOne(subject, options)) {
          if (event.type === "damaged") told.damaged++;
          if (event.type === "repaired") told.repaired++;
          yield event;
        }
      } catch (error) {
        options.signal.throwIfAborted();
        const failed = { status: "failed", receipt, path, ...told, touched: false } as const;
        yield { type: "done", outcome: { ...failed, error: asDownloadError(error) } };
      }
    }
  }

  async *#subjects(target: VerifyTarget, { findMoved, repair, signal }: VerifyOptions): AsyncGenerator<Subject> {
    const { receipts } = this.#parts;
    const ours = (receipt: Receipt): Subject => {
      return { receipt, chunks: receipts.chunks(receipt), path: receipt.file.path, ours: true };
    };
    if ("all" in target) {
      for await (const receipt of receipts.all()) {
        signal.throwIfAborted();
        yield ours(receipt);
      }
    } else if ("sessionId" in target) yield ours(await receipts.bySession(target.sessionId));
    else if ("receiptFile" in target) {
      // Whoever wrote the receipt would choose which file of this machine is written to.
      if (repair && target.path === undefined)
        throw failure("INVALID_ARGUMENT", "a repair by a receipt in a file needs the path of the file to be repaired");
      const { receipt, chunks } = receipts.read(await readReceiptFile(this.#parts.files, target.receiptFile));
      yield { receipt, chunks, path: target.path ?? receipt.file.path, ours: false };
    } else {
      const known = await receipts.byPath(target.path);
      if (known) yield ours(known);
      else yield (findMoved ? await this.#moved(target.path) : undefined) ?? (await this.#unknown(target.path));
    }
  }

  /** A file that lay elsewhere when it was last seen, or another name of one that still lies there. */
  async #moved(path: string): Promise<Subject | undefined> {
    const { files, receipts } = this.#parts;
    const found = await files.stat(path);
    if (!found) return undefined;
    const receipt = (await receipts.byIdentity(found)).find(({ file }) => file.mtimeMs === found.mtimeMs);
    if (!receipt) return undefined;
    const former = await files.stat(receipt.file.path);
    const now = former?.ino === found.ino ? receipt.file.path : path;
    return { receipt, chunks: receipts.chunks(receipt), path: now, ours: true };
  }

  async #unknown(path: string): Promise<never> {
    const there = (await this.#parts.files.stat(path)) !== undefined;
    throw failure(
      "RECEIPT_NOT_FOUND",
      there
        ? `there is no receipt for ${path}: Snatch did not fetch it, or its receipt was forgotten`
        : `there is no receipt for ${path}, and no such file`,
      { metadata: { path } },
    );
  }

  async *#verifyOne(subject: Subject, options: VerifyOptions): AsyncGenerator<VerifyEvent> {
    const { files } = this.#parts;
    const { receipt, path } = subject;
    const identity = await files.stat(path);
    if (!identity) {
      const outcome = { status: "missing", receipt, path, damaged: 0, repaired: 0, touched: false } as const;
      yield { type: "done", outcome };
      return;
    }
    const damaged = yield* this.#look(subject, options.signal);
    const found = { identity, damaged };
    const rightSize = identity.size === receipt.manifests.file.size;
    const outcome = {
      receipt,
      path,
      size: identity.size,
      damaged: damaged.length,
      repaired: 0,
      touched: identity.mtimeMs !== receipt.file.mtimeMs,
    };
    if (damaged.length === 0 && rightSize) {
      if (subject.ours) await this.#follow(subject);
      yield { type: "done", outcome: { ...outcome, status: "whole" } };
    } else if (options.repair) yield { type: "done", outcome: yield* this.#repair(subject, found, outcome, options) };
    else yield { type: "done", outcome: { ...outcome, status: "damaged" } };
  }

  /** Reads the file to its end. @returns what is not as it should be */
  async *#look({ receipt, chunks, path }: Subject, signal: AbortSignal): AsyncGenerator<VerifyEvent, Found["damaged"]> {
    const { clock, files, busy } = this.#parts;
    const { size, chunkSize } = receipt.manifests.file;
    const damaged: [DamagedChunk, string][] = [];
    const file = await files.openRead(path);
    try {
      let index = 0;
      let toldAt = clock.monotonic();
      for await (const { sha256: digest } of chunks) {
        signal.throwIfAborted();
        const began = clock.monotonic();
        const range = chunkRange(index, size, chunkSize);
        const problem = await problemOf(file, range, digest);
        if (problem) {
          const chunk = { index, ...range, problem };
          damaged.push([chunk, digest]);
          yield { type: "damaged", path, chunk };
        }
        const now = clock.monotonic();
        if (now - toldAt >= PROGRESS_MS) {
          toldAt = now;
          yield { type: "progress", path, bytes: range.end, total: size };
        }
        if (busy()) await clock.sleep(now - began, signal);
        else await breathe();
        index++;
      }
    } finally {
      await file.close();
    }
    return damaged;
  }

  async *#repair(
    { receipt, path, ours }: Subject,
    { identity, damaged }: Found,
    before: Omit<VerifyOutcome, "status">,
    { mayWrite, signal }: VerifyOptions,
  ): AsyncGenerator<VerifyEvent, VerifyOutcome> {
    const { files } = this.#parts;
    const { size } = receipt.manifests.file;
    let repaired = 0;
    try {
      await mayWrite(path);
      if (!isUnprocessed(receipt))
        throw failure(
          "REPAIR_IMPOSSIBLE",
          `${path} was processed after it was fetched: the origin does not have its bytes`,
        );
      using _ = await files.claimPath(path, "overwrite");
      const fetcher = new ChunkFetcher(receipt, ours, this.#parts);
      const part = await files.openPart(path);
      try {
        for (const [chunk, digest] of damaged) {
          signal.throwIfAborted();
          const { bytes, source } = await fetcher.fetch(chunk, digest, signal);
          await part.write(bytes, chunk.start);
          await part.sync();
          repaired++;
          yield { type: "repaired", path, chunk, source };
        }
        if (identity.size > size) {
          await part.truncate(size);
          await part.sync();
        }
      } finally {
        await part.close();
        // Also after a part of the work: what was written are the bytes of that time.
        if (repaired > 0 || identity.size > size) await files.setModified(path, receipt.file.mtimeMs);
      }
      if (ours) await this.#follow({ receipt, path });
      return { ...before, repaired, status: "repaired" };
    } catch (error) {
      signal.throwIfAborted();
      return { ...before, repaired, status: "failed", error: asDownloadError(error) };
    }
  }

  /** A file that was proved is known by where and what it is now, so that it is not fetched again. */
  async #follow({ receipt, path }: Pick<Subject, "receipt" | "path">): Promise<void> {
    const { files, receipts } = this.#parts;
    const { file } = receipt;
    const now = await files.stat(path);
    if (!now || (path === file.path && now.ino === file.ino && now.mtimeMs === file.mtimeMs)) return;
    // Another name of the same file, and the first one is still good.
    if (path !== file.path && (await files.exists(file.path))) return;
    await receipts.refile(receipt, { path, ...now });
  }
}
