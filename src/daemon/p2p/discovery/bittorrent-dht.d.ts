/** The part of bittorrent-dht 11 that is used; it comes without types. */
declare module "bittorrent-dht" {
  import type { EventEmitter } from "node:events";

  /** A place of a node or peer: an IPv4 address. */
  interface Contact {
    readonly host: string;
    readonly port: number;
  }

  /** What a node is made with. */
  interface DhtOptions {
    /** 20 bytes; default: random. */
    readonly nodeId?: Uint8Array;
    /** "host:port"; false: none, and it is ready at once. */
    readonly bootstrap?: readonly string[] | false;
    /** Instead of a socket of its own. */
    readonly socket?: EventEmitter;
    /** Milliseconds until a query counts as lost. */
    readonly timeout?: number;
    readonly concurrency?: number;
    /** Milliseconds for which announced peers are kept; 0: for ever. */
    readonly maxAge?: number;
    readonly maxPeers?: number;
    readonly maxTables?: number;
    readonly maxValues?: number;
    readonly verify?: (signature: Uint8Array, data: Uint8Array, publicKey: Uint8Array) => boolean;
  }

  /** A mutable item (BEP 44) as it is put. */
  interface MutablePut {
    readonly k: Buffer;
    readonly salt: Buffer;
    readonly seq: number;
    readonly cas?: number;
    readonly v: Buffer;
    readonly sign: (data: Uint8Array) => Buffer;
  }

  /** An item as it came; its signature is right. */
  interface FoundItem {
    readonly v: unknown;
    readonly seq?: unknown;
    readonly k?: unknown;
    readonly sig?: unknown;
  }

  /** A node of the DHT. Emits `ready`, `listening`, `peer`, `announce`, `warning`, `error`. */
  export default class DHT extends EventEmitter {
    constructor(options?: DhtOptions);
    readonly nodes: {
      toArray(): (Contact & { readonly id: Buffer })[];
      closest(id: Buffer, count: number): (Contact & { readonly id: Buffer })[];
    };
    readonly nodeId: Buffer;
    readonly listening: boolean;
    readonly ready?: boolean;
    listen(port: number, address: string, onListening: () => void): void;
    address(): { readonly address: string; readonly port: number };
    addNode(node: Contact): void;
    /** @returns stops the `peer` events of this lookup */
    lookup(infoHash: Buffer, done: (error: Error | null, visited?: number) => void): () => void;
    announce(infoHash: Buffer, port: number, done: (error: Error | null) => void): void;
    put(item: MutablePut, done: (error: Error | null, target?: Buffer, stored?: number) => void): void;
    get(
      target: Buffer,
      options: { readonly salt: Buffer; readonly cache: boolean },
      done: (error: Error | null, item?: FoundItem | null) => void,
    ): void;
    destroy(done: () => void): void;
  }
}
