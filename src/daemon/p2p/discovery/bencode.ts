/**
 * Bencoding (BEP 3), as the DHT speaks it. The decoder is for packets of strangers: it takes canonical numbers only, never
 * goes deeper than a packet of the DHT does, and gives back nothing rather than a guess. Dictionaries become maps, so that
 * no key of a stranger's means anything to JavaScript.
 */

/** What can be said in it. */
export type Bencoded = number | Buffer | readonly Bencoded[] | BencodedMap;

/** A dictionary; keys are bytes, read as latin1. */
export type BencodedMap = ReadonlyMap<string, Bencoded>;

/** What can be written. */
export type Encodable = number | string | Uint8Array | readonly Encodable[] | { readonly [key: string]: Encodable };

/** A packet has a dictionary in a dictionary, and in it a list; an item of somebody else's may have more. */
const DEEPEST = 8;

const END = 0x65;

/** Encodes; keys are sorted. Numbers have to be safe integers. */
export function encode(value: Encodable): Buffer {
  const pieces: Uint8Array[] = [];
  write(value, pieces);
  return Buffer.concat(pieces);
}

function write(value: Encodable, to: Uint8Array[]): void {
  if (typeof value === "number") to.push(Buffer.from(`i${value}e`));
  else if (typeof value === "string") write(Buffer.from(value, "latin1"), to);
  else if (value instanceof Uint8Array) to.push(Buffer.from(`${value.length}:`), value);
  else if (isList(value)) {
    to.push(Buffer.from("l"));
    for (const item of value) write(item, to);
    to.push(Buffer.from("e"));
  } else {
    to.push(Buffer.from("d"));
    for (const key of Object.keys(value).sort()) {
      const item = value[key];
      if (item === undefined) continue;
      write(key, to);
      write(item, to);
    }
    to.push(Buffer.from("e"));
  }
}

function isList(value: Encodable): value is readonly Encodable[] {
  return Array.isArray(value);
}

/** Decodes a whole packet. @returns undefined if it is not bencoded */
export function decode(bytes: Buffer): Bencoded | undefined {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  return reader.atEnd ? value : undefined;
}

/** Reads from the front; whatever is wrong makes it say undefined, up to the top. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth: number): Bencoded | undefined {
    if (depth > DEEPEST) return undefined;
    switch (this.#bytes[this.#at]) {
      case 0x69:
        this.#at++;
        return this.#number(END, /^(0|-?[1-9][0-9]{0,15})$/);
      case 0x6c:
        return this.#list(depth);
      case 0x64:
        return this.#map(depth);
      default:
        return this.#string();
    }
  }

  #number(end: number, form: RegExp): number | undefined {
    const stop = this.#bytes.indexOf(end, this.#at);
    if (stop < 0 || stop - this.#at > 17) return undefined;
    const text = this.#bytes.toString("latin1", this.#at, stop);
    const number = Number(text);
    if (!form.test(text) || !Number.isSafeInteger(number)) return undefined;
    this.#at = stop + 1;
    return number;
  }

  #string(): Buffer | undefined {
    const length = this.#number(0x3a, /^(0|[1-9][0-9]{0,6})$/);
    if (length === undefined || this.#at + length > this.#bytes.length) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #list(depth: number): readonly Bencoded[] | undefined {
    const list: Bencoded[] = [];
    for (this.#at++; this.#bytes[this.#at] !== END; ) {
      const item = this.value(depth + 1);
      if (item === undefined) return undefined;
      list.push(item);
    }
    this.#at++;
    return list;
  }

  #map(depth: number): BencodedMap | undefined {
    const map = new Map<string, Bencoded>();
    for (this.#at++; this.#bytes[this.#at] !== END; ) {
      const key = this.#string()?.toString("latin1");
      const item = key === undefined ? undefined : this.value(depth + 1);
      if (key === undefined || item === undefined || map.has(key)) return undefined;
      map.set(key, item);
    }
    this.#at++;
    return map;
  }
}
