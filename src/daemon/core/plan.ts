/** What a URL turned out to mean: where the bytes of one file can be had. The answer of the resolve stage. */
import type { Manifest } from "./manifest.ts";
import type { Expansion, Media } from "./resolved.ts";
import type { Digest } from "./session.ts";

/** One place that holds the bytes. */
export interface Candidate {
  readonly url: string;
  /** Sent to the URL's own origin only. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  /** The URL of the document or answer that named this place, if no person did. */
  readonly namedBy?: string;
}

/** What a URL means: one file, media to choose from, or several things. */
export type Resolved = Plan | Media | Expansion;

/** One file: its candidates in order of preference, all of the same bytes. */
export interface Plan {
  readonly kind?: "file";
  readonly candidates: readonly [Candidate, ...Candidate[]];
  /** Bytes that the file must have, where that is known from elsewhere. */
  readonly size?: number;
  /** Digests that the file must have: all of them. */
  readonly digests?: readonly Digest[];
  /** The file's name, as a description of it says; not yet made safe. */
  readonly filename?: string;
  /** The name may lead into folders below the one that was asked for; they are made. */
  readonly nested?: boolean;
  /**
   * Behind the first folder of a nested name every segment is taken as it is, hidden files among them, where the file system
   * takes it, unless it turns the direction of text around: the files belong together, and name each other.
   */
  readonly exact?: boolean;
  /** It is media: a page in its place is refused. */
  readonly noPage?: boolean;
  /** What answers is the file, whatever its media type means elsewhere. */
  readonly final?: boolean;
  /** No other place may join in, whoever names it. */
  readonly alone?: boolean;
  /** What every chunk must be: its grid is the file's, and a chunk counts only if its digest is the one that is here. */
  readonly manifest?: Manifest;
}
