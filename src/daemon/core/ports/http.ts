/** HTTP, as whoever asks for something sees it. */

/** Takes bytes as they come. The buffer is only valid during the call: copy it. A promise holds the sender back. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** Takes bytes into memory of its own: they are received straight into it where that can be done. */
export interface ByteTarget {
  /** Room for the next bytes: never empty, and valid until `filled` is called or the transfer ends. Throws to break off. */
  space(): Uint8Array;
  /** So many bytes were put at the beginning of the last space. A promise holds the sender back; throws to break off. */
  filled(count: number): void | Promise<void>;
}

/** A request. */
export interface HttpRequest {
  readonly url: string;
  /** A POST is not redirected: whatever it carries was meant for its own URL. */
  readonly method?: "GET" | "HEAD" | "POST";
  /** Of a POST. It may be sent twice where a kept connection breaks before an answer. */
  readonly body?: string;
  /** Sent to the URL's own origin; fields that may be secret are dropped when a redirect leaves it. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  /** Milliseconds without a byte, before and inside the body. */
  readonly timeoutMs?: number;
  /** Follow redirects (RFC 9110 §15.4); default true. */
  readonly follow?: boolean;
  /** The URL of what named this one, if no person did: from a public host it may not lead into the private network. */
  readonly namedBy?: string;
  /** A caller over TCP wants it: only public places are asked, and without the logins of this machine's owner. */
  readonly remote?: true;
  /** The URL's host was outside of the private network before: it must still be. */
  readonly outside?: boolean;
}

/** An answer whose header section is here and whose body waits. Exactly one of its methods is called. */
export interface HttpResponse {
  readonly status: number;
  /** By lower-case name; repeated fields are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** After redirects. */
  readonly url: string;
  /** The URLs on the way, the first one included. */
  readonly chain: readonly string[];
  /** Links of the redirects on the way, as values of a Link field with absolute targets; absent: none. */
  readonly links?: readonly string[];
  /** SHA-256 of the certificate of the server that answered, lower-case hex; absent without TLS. */
  readonly certificate?: string;
  /** The host of the first URL is outside of the private network, as far as is known. */
  readonly outside?: boolean;
  /**
   * Hands the body to `sink`, in order, and resolves at its end. Rejects with NetworkError (CONNECTION_LOST, TRUNCATED,
   * TIMED_OUT …), with the signal's reason, or with what the sink threw; in each case the connection is closed.
   */
  pipe(sink: ByteSink): Promise<void>;
  /** The same, into memory of the target's: straight from the kernel where that can be done. */
  receive?(target: ByteTarget): Promise<void>;
  /**
   * As `pipe`, with its content codings (RFC 9110 §8.4) undone: for documents. Absent: it has none.
   *
   * @throws ResourceError CONTENT_CODING_UNKNOWN; NetworkError TRUNCATED or PROTOCOL_ERROR if a coding is broken
   */
  decoded?(sink: ByteSink): Promise<void>;
  /** The body as text, for small documents. @throws NetworkError PROTOCOL_ERROR if it is longer than `maxBytes` */
  text(maxBytes: number): Promise<string>;
  /** Drops the body. While `pipe` runs this ends it, with CANCELLED. */
  cancel(): void;
}

/** The client that everything which leaves by HTTP goes through. Statuses are not errors here. */
export interface HttpClient {
  /** Sends a request and resolves with the answer's head. @throws NetworkError */
  request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse>;
}
