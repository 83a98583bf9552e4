/** What a URL turned out to mean: where the bytes of one file can be had. The answer of the resolve stage. */

/** One place that holds the bytes. */
export interface Candidate {
  readonly url: string;
  /** Sent to the URL's own origin only. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** One file: its candidates in order of preference, all of the same bytes. */
export interface Plan {
  readonly candidates: readonly [Candidate, ...Candidate[]];
}
