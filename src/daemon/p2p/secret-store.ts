/**
 * The secrets of codes, apart from everything that names them: sessions, shares, logs and lists know a public id, from
 * which nothing of the code can be told; here lies what the code is, a file of 0600 in a folder of 0700 for each. A secret
 * is durable when `keep` returns, before anything is written that refers to it. So one may be left to which nothing refers,
 * by a death in between or a session that was forgotten: `prune` removes those when they are an hour old.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";

/** A public id: 32 hex digits. */
const PUBLIC_ID = /^[0-9a-f]{32}$/;

/** A file on its way, as {@link SecretStore.keep} names it. */
const DRAFT = /^[0-9a-f]{32}\.[0-9]+\.draft$/;

/** Whoever has kept a secret has that long to write down what refers to it. */
const GRACE_MS = 3_600_000;

/** Keeps the secrets of codes by the public ids that come of them. */
export class SecretStore {
  readonly #directory: string;

  /** @param directory - of the secrets alone; made at the first one */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Keeps a secret; it survives a power cut when this returns.
   *
   * @throws FileSystemError, SystemResourceError
   */
  keep(publicId: string, secret: Uint8Array): void {
    const path = this.#path(publicId);
    try {
      const kept = this.#read(path);
      if (kept?.equals(secret)) {
        // What refers to it is yet to be written, as for a new one.
        const now = new Date();
        utimesSync(path, now, now);
        return;
      }
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      chmodSync(this.#directory, 0o700);
      const draft = `${path}.${process.pid}.draft`;
      rmSync(draft, { force: true });
      writeDurably(draft, Buffer.from(`${Buffer.from(secret).toString("hex")}\n`));
      renameSync(draft, path);
      syncFolder(this.#directory);
    } catch (error) {
      throw asDownloadError(error);
    }
  }

  /** The secret, if it is here. @throws FileSystemError if it cannot be read */
  get(publicId: string): Uint8Array | undefined {
    const path = this.#path(publicId);
    try {
      return this.#read(path);
    } catch (error) {
      throw asDownloadError(error);
    }
  }

  /** Forgets a secret; nothing happens if it is not here. */
  remove(publicId: string): void {
    // Whatever has come to be there instead.
    rmSync(this.#path(publicId), { force: true, recursive: true });
  }

  /**
   * Removes secrets to which nothing refers any more, and what a death has left of writing one. To be called at the start
   * and now and then.
   *
   * @param isNeeded - true if a session or a share refers to it
   * @param now - milliseconds since the epoch
   * @returns how many secrets were removed
   */
  async prune(isNeeded: (publicId: string) => Promise<boolean> | boolean, now: number): Promise<number> {
    let removed = 0;
    for (const name of this.#names()) {
      const secret = PUBLIC_ID.test(name);
      if (!(secret || DRAFT.test(name))) continue;
      if (!this.#isOld(name, now) || (secret && (await isNeeded(name)))) continue;
      // It may have been kept anew while that was looked up.
      if (!this.#isOld(name, now)) continue;
      rmSync(join(this.#directory, name), { force: true });
      if (secret) removed++;
    }
    return removed;
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw asDownloadError(error);
    }
  }

  #isOld(name: string, now: number): boolean {
    const found = statSync(join(this.#directory, name), { throwIfNoEntry: false });
    return found !== undefined && now - found.mtimeMs >= GRACE_MS;
  }

  #path(publicId: string): string {
    if (!PUBLIC_ID.test(publicId)) throw failure("INVALID_ARGUMENT", "the public id of a share is 32 hex digits");
    return join(this.#directory, publicId);
  }

  #read(path: string): Buffer | undefined {
    try {
      const text = readFileSync(path, "latin1").trim();
      // Half a file cannot be there, but a damaged one is none.
      return /^([0-9a-f]{2})+$/.test(text) ? Buffer.from(text, "hex") : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }
}

function writeDurably(path: string, bytes: Uint8Array): void {
  const file = openSync(path, "wx", 0o600);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes a new name in it durable. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
