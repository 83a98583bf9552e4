/** What the cache of answers (answer-cache.ts) works with, and what a kind of answers has to say of itself. */
import type { HttpClient, HttpResponse } from "../core/ports/http.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Json, KeptAnswer } from "./answer-note.ts";
import type { Vault, VaultKind } from "./vault.ts";

/** Limits, read anew at each use: they come from the configuration. */
interface AnswerLimits {
  /** Bytes of a body, as it is read from the network. */
  readonly maxBytes: number;
  /** Seconds for which an answer is fresh at most where its origin does not say (RFC 9111 §4.2.2). */
  readonly ttlSeconds: number;
}

/** What the caches of answers work with. */
export interface AnswerCacheParts {
  readonly vault: Vault;
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: () => AnswerLimits;
  /** Milliseconds that a fetch may take in all: an origin that sends a byte now and then never ends. Default 120,000. */
  readonly fetchTimeoutMs?: number;
}

/** What is kept of an answer's body. */
export interface Taken {
  readonly body: Uint8Array;
  readonly found: Json;
}

/** A kind of answers. */
export interface AnswerKind {
  readonly kind: VaultKind;
  /** Accept, where the caller gives none. */
  readonly accept: string;
  /** Reads the body of a successful answer, or cancels it. @throws DownloadError if it is not what is kept here */
  take(response: HttpResponse, maxBytes: number): Promise<Taken>;
}

/** An answer that may be given out. */
export interface Usable {
  readonly answer: KeptAnswer;
  readonly body: Uint8Array;
}
