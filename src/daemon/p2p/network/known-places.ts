/**
 * Where a peer may be called, by how that is known. Places at which it has proved the code, and those that it names itself (what
 * it says of itself is encrypted for those who know the code), are not pushed out by what others say of it: anybody on the local
 * network, or in the DHT, may claim to be anybody at any place.
 */
import { type Endpoint, MOST_PRESENCE_ENDPOINTS } from "../types.ts";

/** Places of one peer, and among them those at which it was. */
const MOST_PLACES = 12;
const MOST_PROVED = 3;

/** See above. */
export class KnownPlaces {
  #proved: readonly Endpoint[] = [];
  #said: readonly Endpoint[];
  #hints: readonly Endpoint[] = [];

  /** @param said - by itself, or by a person */
  constructor(said: readonly Endpoint[] = []) {
    this.#said = said.slice(0, MOST_PRESENCE_ENDPOINTS);
  }

  /** All of them, each once. */
  get all(): readonly Endpoint[] {
    const all: Endpoint[] = [];
    for (const place of [...this.#proved, ...this.#said, ...this.#hints]) if (!has(all, place)) all.push(place);
    return all.slice(0, MOST_PLACES);
  }

  /** It says so itself now, in place of what it said before. */
  say(places: readonly Endpoint[]): void {
    this.#said = places.slice(0, MOST_PRESENCE_ENDPOINTS);
  }

  /** Others say so. @returns false if there is no room for it */
  hint(place: Endpoint): boolean {
    const { all } = this;
    if (has(all, place)) return true;
    if (all.length >= MOST_PLACES) return false;
    this.#hints = [...this.#hints, place];
    return true;
  }

  /** It was there. */
  prove(place: Endpoint): void {
    const others = this.#proved.filter((other) => !isSame(other, place));
    this.#proved = [place, ...others].slice(0, MOST_PROVED);
  }
}

const isSame = (one: Endpoint, other: Endpoint): boolean => one.host === other.host && one.port === other.port;

const has = (places: readonly Endpoint[], place: Endpoint): boolean => places.some((one) => isSame(one, place));
