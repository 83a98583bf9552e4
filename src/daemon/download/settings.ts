/** What the engine can be set to; the composition root fills it from the configuration. */
import type { IfExists } from "../core/session.ts";

/** Settings in force. Read anew for every download, so that a reload holds from the next one on. */
export interface DownloadSettings {
  /** Absolute folder for files whose request names none. */
  readonly downloadDir: string;
  /** Downloads at once. */
  readonly maxConcurrent: number;
  /** Bytes of a chunk. */
  readonly chunkSize: number;
  /** How often a failed attempt is repeated. */
  readonly maxRetries: number;
  /** Seconds; the first delay of the back-off. */
  readonly retryDelay: number;
  /** Go on with what an earlier run left. */
  readonly enableResume: boolean;
  /** Read chunks of an earlier run back and compare them before they count. */
  readonly verifyChunks: boolean;
  /** Connections at once for one download. */
  readonly connections: number;
  /** Bytes a second of all downloads; 0 is unlimited. */
  readonly limit: number;
  /** Seconds without a byte. */
  readonly timeout: number;
  readonly ifExists: IfExists;
  /** Bytes that stay free on the disk. */
  readonly minFreeSpace: number;
  /** Named formats, and the qualities that go with them. */
  readonly formats?: Readonly<Record<string, { readonly format: string; readonly quality?: string }>>;
  /** Steps for files whose request names none. */
  readonly audioSteps?: readonly string[];
  /** Bytes of memory that may still be taken. */
  readonly memoryHeadroom: () => number;
}
