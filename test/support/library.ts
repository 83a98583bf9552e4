/** The library in a home of its own: a folder that is gone with the test, and managers that share nothing else. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../src/daemon/config/schema.ts";
import { DownloadManager, type LibraryOptions } from "../../src/daemon/library.ts";

/** Small chunks, quick retries: what a test wants unless it says otherwise. */
const QUICK: ConfigInput = { chunk_size: 256 * 1024, retry_delay: 0.01, max_retries: 2, timeout: 5, min_free_space: 0 };

/** A temporary home. */
export interface LibraryHome extends AsyncDisposable {
  readonly home: string;
  readonly downloads: string;
  /** A manager with this home; disposal is the caller's, or the home's. */
  manager(config?: ConfigInput, options?: LibraryOptions): DownloadManager;
  /** Names in the download folder, part files included. */
  files(): Promise<string[]>;
}

/** Makes a home. */
export async function libraryHome(): Promise<LibraryHome> {
  const home = await mkdtemp(join(tmpdir(), "snatch-library-"));
  const downloads = join(home, "downloads");
  const managers: DownloadManager[] = [];
  return {
    home,
    downloads,
    manager(config = {}, options = {}) {
      const manager = new DownloadManager({ ...QUICK, ...config }, { home, ...options });
      managers.push(manager);
      return manager;
    },
    files: async () => (await readdir(downloads).catch(() => [])).sort(),
    async [Symbol.asyncDispose]() {
      for (const manager of managers) await manager[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** SHA-256 of a file, hex. */
export async function sha256File(path: string): Promise<string> {
  return sha256Of(await readFile(path));
}

/** SHA-256 of bytes, hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
