/**
 * The list of a share's files, from whichever of its peers has it whole first. A list that takes long is asked of another
 * peer as well: who sends a byte now and then would keep everybody waiting.
 */
import { asDownloadError, failure } from "../../core/errors.ts";
import { type DecodedEntry, decodeCatalogue } from "../share/catalogue.ts";
import type { Offer } from "../types.ts";
import type { PeerLink } from "./peer-link.ts";
import { checkOffer } from "./swarm-errors.ts";

/** Lists that come at once, and milliseconds that one may take before another peer is asked for it too. */
const MOST_LISTS = 2;
const LATE_LIST_MS = 10_000;

/** What a share consists of, as its peers have agreed. */
export interface SharedFiles {
  readonly offer: Offer;
  /** The catalogue's bytes. */
  readonly bytes: Buffer;
  readonly entries: readonly DecodedEntry[];
}

/** Who is told. */
export interface FileListEvents {
  /** The list is here; called once. */
  readonly agreed: (files: SharedFiles) => void;
  /** A list has come, or failed. */
  readonly changed: () => void;
}

/** See above. */
export class FileLists {
  readonly #links: ReadonlySet<PeerLink>;
  readonly #events: FileListEvents;
  /** Peers that send theirs. */
  readonly #loading = new Set<PeerLink>();
  #files: SharedFiles | undefined;
  #ended = false;

  /** @param links - the peers that are here; changes meanwhile */
  constructor(links: ReadonlySet<PeerLink>, events: FileListEvents) {
    this.#links = links;
    this.#events = events;
  }

  /** The list, once it is here. */
  get files(): SharedFiles | undefined {
    return this.#files;
  }

  /** How many take long. */
  get lateCount(): number {
    return [...this.#loading].filter(isLate).length;
  }

  /** Asks one peer after the other, until one has it; another as well where it takes long. */
  load(): void {
    if (this.#files || this.#ended) return;
    const loading = [...this.#loading];
    if (!loading.every(isLate)) return;
    const link = [...this.#links].find((one) => one.offer && !one.closed && !this.#loading.has(one));
    if (!link?.offer) return;
    if (loading.length >= MOST_LISTS) {
      const [slowest] = loading.sort((a, b) => b.catalogueMsLeft - a.catalogueMsLeft);
      // Its place is taken when it has gone.
      slowest?.close(failure("TIMED_OUT", `${slowest.name} sends its list of files too slowly, and others offer one`));
      return;
    }
    this.#loading.add(link);
    void this.#loadFrom(link, link.offer).finally(() => {
      this.#loading.delete(link);
      this.load();
      this.#events.changed();
    });
  }

  /** Nobody is asked any more. */
  end(): void {
    this.#ended = true;
  }

  async #loadFrom(link: PeerLink, offer: Offer): Promise<void> {
    try {
      const bytes = await link.catalogue();
      const entries = await decodeCatalogue(bytes);
      checkOffer(offer, entries);
      // Another was first.
      if (this.#files || this.#ended) return;
      this.#files = { offer, bytes, entries };
    } catch (error) {
      if (!this.#files) link.close(asDownloadError(error));
      return;
    }
    for (const other of this.#loading) if (other !== link) other.dropCatalogue();
    this.#events.agreed(this.#files);
  }
}

function isLate(link: PeerLink): boolean {
  return link.catalogueMsLeft >= LATE_LIST_MS;
}
