/**
 * The points at which others take part in a download. The spec's DownloadHooks, in TypeScript's manner: every method is
 * optional, each may be asynchronous.
 */
import type { DownloadError } from "./errors.ts";
import type { DownloadChunk } from "./manifest.ts";
import type { Session } from "./session.ts";

/** What the origin said of the file, before anything of it is kept. */
export interface HookMetadata {
  readonly sessionId: string;
  readonly batchId?: string;
  readonly format?: string;
  readonly quality?: string;
  /** Bytes; absent where the origin does not say. */
  readonly size?: number;
  readonly contentType?: string;
  /** The name that the origin gives, else the last segment of its URL; not yet made safe. */
  readonly filename?: string;
  /** Where the bytes come from, after redirects; with credentials if it has any. */
  readonly finalUrl: string;
}

/** What an error hook may decide. `undefined`: the ordinary policy. */
export type Recovery =
  | { readonly action: "wait"; readonly seconds: number }
  | { readonly action: "retry"; readonly url?: string; readonly headers?: ReadonlyArray<readonly [string, string]> }
  | { readonly action: "fail" };

/** Hooks of the download lifecycle. URLs are as they were asked for, with credentials if they had any. */
export interface DownloadHooks {
  /**
   * In each attempt, when the origin has said what it has and nothing is kept of it yet. Throwing, whatever is thrown,
   * vetoes the download; the error's message is the reason. One that takes too long is gone on without.
   */
  preDownload?(url: string, metadata: HookMetadata): void | Promise<void>;
  /** After a chunk is on disk and proved. `chunk.data` is absent: the bytes are on disk. */
  postChunk?(chunk: DownloadChunk, sha256: string): void | Promise<void>;
  /** After the file is in place. */
  postDownload?(url: string, filePath: string): void | Promise<void>;
  /** After an attempt failed. */
  onError?(url: string, error: DownloadError, attempt: number): Recovery | undefined | Promise<Recovery | undefined>;
}

/** What a webhook can be told of. */
export type WebhookEvent = "created" | "completed" | "failed" | "cancelled" | "forgotten";

/** Hooks of the session lifecycle. Sessions are copies, with their secrets: the URL, header fields that were asked for. */
export interface SessionHooks {
  onCreated?(session: Session): void | Promise<void>;
  onUpdated?(session: Session, previous: Session): void | Promise<void>;
  /** `milestone` is 25, 50, 75 or 100 (percent). */
  onProgress?(session: Session, milestone: number): void | Promise<void>;
  onSessionError?(session: Session): void | Promise<void>;
  onCleaned?(session: Session): void | Promise<void>;
}
