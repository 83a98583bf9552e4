/**
 * Mutable items in the DHT (BEP 44): found by a walk towards the nodes whose ids are nearest to the item's, and afterwards
 * asked for at those nodes alone, so that looking again costs eight packets and not a walk. Only what bears the signature of
 * the key is handed on; of several the one with the highest sequence number, and of those that have the same, the one that
 * everybody else would take, too.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../core/ports/runtime.ts";
import { type BencodedMap, encode } from "./bencode.ts";
import { KEEPERS, type Keeper, Shortlist } from "./dht-shortlist.ts";
import type { DhtSocket } from "./dht-socket.ts";
import { isSigned, type SigningKey } from "./ed25519.ts";
import { type NodeContact, nodesOf } from "./krpc.ts";

/** Questions of one walk on their way at once. */
const ABREAST = 6;

/** Nodes that one answer may name. */
const MOST_NAMED = 16;

/** Milliseconds until the way is walked again. A node's token is good for five minutes at least, in all that are about. */
const KNOWN_MS = 4 * 60_000;

/**
 * Milliseconds after which a node without an answer is not waited for: its answer counts if it comes while others are. Many
 * nodes that are named have long gone, and would otherwise cost two seconds each.
 */
const SLOW_MS = 600;

/** Targets whose keepers are remembered. */
const MOST_KNOWN = 512;

/** The longest value of an item, in bytes (BEP 44: below 1000, bencoded). */
const LONGEST_VALUE = 995;

/** An item whose signature is right. */
export interface Item {
  readonly value: Buffer;
  readonly sequence: number;
}

/** How a put went, in nodes. */
export interface PutResult {
  readonly stored: number;
  /** Had something newer, or something else than what was to be replaced. */
  readonly refused: number;
}

/** Where items are kept; implemented by the DHT. */
export interface ItemStore {
  /** @returns undefined if there is none, or nobody answers */
  get(publicKey: Buffer, salt: Buffer): Promise<Item | undefined>;
  /** @param replaces - the sequence number of what is replaced, if something is: anything else is left alone */
  put(key: SigningKey, salt: Buffer, item: Item, replaces?: number): Promise<PutResult>;
}

/** What the items need of a node. */
export interface ItemsInit {
  readonly socket: DhtSocket;
  readonly clock: Clock;
  readonly nodeId: Buffer;
  /** Nodes that are known already, and may be near. */
  readonly nearby: (target: Buffer) => readonly NodeContact[];
}

/** Items of a running node. */
export class DhtItems implements ItemStore {
  readonly #init: ItemsInit;
  readonly #known = new Map<string, { readonly keepers: readonly Keeper[]; readonly since: number }>();

  constructor(init: ItemsInit) {
    this.#init = init;
  }

  async get(publicKey: Buffer, salt: Buffer): Promise<Item | undefined> {
    const target = targetOf(publicKey, salt);
    let best: Item | undefined;
    const onReply = (body: BencodedMap): void => {
      const item = itemOf(body, publicKey, salt);
      if (item !== undefined && (best === undefined || isAhead(item, best))) best = item;
    };
    await this.#keepers(target, onReply);
    return best;
  }

  async put(key: SigningKey, salt: Buffer, item: Item, replaces?: number): Promise<PutResult> {
    if (item.value.length > LONGEST_VALUE) throw new RangeError(`an item has at most ${LONGEST_VALUE} bytes`);
    const keepers = await this.#keepers(targetOf(key.publicKey, salt));
    const args = {
      id: this.#init.nodeId,
      k: key.publicKey,
      salt,
      seq: item.sequence,
      sig: key.sign(signedBytes(item, salt)),
      v: item.value,
      ...(replaces !== undefined && { cas: replaces }),
    };
    const able = keepers.filter((node) => node.token !== undefined);
    let [stored, refused] = [0, 0];
    const tell = async ({ token = Buffer.alloc(0), ...node }: Keeper): Promise<void> => {
      const answer = await this.#init.socket.ask(node, "put", { ...args, token });
      if (answer === undefined) return;
      if ("body" in answer) stored++;
      // 301: something else is there; 302: something newer.
      else if (answer.code === 301 || answer.code === 302) refused++;
    };
    const least = Math.min(able.length, KEEPERS / 2);
    await this.#most(able.map(tell), () => stored + refused >= least);
    // A node that has forgotten its token, or that is gone: the way has to be found anew.
    if (stored + refused < least) this.#known.clear();
    return { stored, refused };
  }

  /** The nodes nearest to a target, each asked for it just now or, with nothing to tell, a while ago. */
  async #keepers(target: Buffer, onReply?: (body: BencodedMap) => void): Promise<readonly Keeper[]> {
    const name = target.toString("hex");
    const known = this.#known.get(name);
    if (known !== undefined && this.#init.clock.monotonic() - known.since < KNOWN_MS) {
      if (onReply === undefined) return known.keepers;
      const answered = await this.#askAll(known.keepers, target, onReply);
      if (answered * 2 >= known.keepers.length) return known.keepers;
    }
    const keepers = await this.#walk(target, onReply);
    this.#known.delete(name);
    if (keepers.length > 0) this.#known.set(name, { keepers, since: this.#init.clock.monotonic() });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
    return keepers;
  }

  async #askAll(nodes: readonly Keeper[], target: Buffer, onReply: (body: BencodedMap) => void): Promise<number> {
    let answered = 0;
    const visit = async (node: Keeper): Promise<void> => {
      const body = await this.#ask(node, target);
      if (body === undefined) return;
      answered++;
      onReply(body);
    };
    await this.#most(nodes.map(visit), () => answered * 2 >= nodes.length);
    return answered;
  }

  /** Waits for all, or for those that are not slow if they are enough. */
  async #most(all: readonly Promise<void>[], areEnough: () => boolean): Promise<void> {
    const done = Promise.all(all);
    await this.#orSlow(done);
    if (!areEnough()) await done;
  }

  /** Waits for something no longer than for a node that is not slow. */
  async #orSlow(promise: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const slow = this.#init.clock.sleep(SLOW_MS, done.signal).catch(() => undefined);
    await Promise.race([promise, slow]);
    done.abort();
  }

  async #ask(node: NodeContact, target: Buffer): Promise<BencodedMap | undefined> {
    const answer = await this.#init.socket.ask(node, "get", { id: this.#init.nodeId, target });
    return answer !== undefined && "body" in answer ? answer.body : undefined;
  }

  /** Asks whoever is nearer and nearer, until the nearest that are known of have answered. */
  async #walk(target: Buffer, onReply?: (body: BencodedMap) => void): Promise<readonly Keeper[]> {
    const shortlist = new Shortlist(target, this.#init.nodeId);
    shortlist.add(this.#init.nearby(target));
    const visit = async (node: NodeContact): Promise<void> => {
      const body = await this.#ask(node, target);
      if (body === undefined) return shortlist.failed(node);
      const token = body.get("token");
      shortlist.answered(node, Buffer.isBuffer(token) ? Buffer.from(token) : undefined);
      shortlist.add(nodesOf(body, MOST_NAMED));
      onReply?.(body);
    };
    const visits = new Set<Promise<void>>();
    for (;;) {
      while (visits.size < ABREAST) {
        const node = shortlist.next();
        if (node === undefined) break;
        const under = this.#orSlow(visit(node)).finally(() => {
          visits.delete(under);
          shortlist.passOver(node);
        });
        visits.add(under);
      }
      if (visits.size === 0) break;
      await Promise.race(visits);
    }
    return shortlist.keepers;
  }
}

/** Where an item lies (BEP 44). */
export function targetOf(publicKey: Buffer, salt: Buffer): Buffer {
  return createHash("sha1").update(publicKey).update(salt).digest();
}

/** Of two items, the one that everybody takes. */
export function isAhead(item: Item, than: Item): boolean {
  if (item.sequence !== than.sequence) return item.sequence > than.sequence;
  return Buffer.compare(item.value, than.value) < 0;
}

function itemOf(body: BencodedMap, publicKey: Buffer, salt: Buffer): Item | undefined {
  const [value, sequence, signature, key] = ["v", "seq", "sig", "k"].map((name) => body.get(name));
  if (!Buffer.isBuffer(value) || !Buffer.isBuffer(signature) || typeof sequence !== "number") return undefined;
  if (!Buffer.isBuffer(key) || !key.equals(publicKey)) return undefined;
  // A copy: the datagram it came in is no more than a part of a larger buffer.
  const item = { value: Buffer.from(value), sequence };
  return isSigned(signature, signedBytes(item, salt), publicKey) ? item : undefined;
}

/** What is signed: part of the message, as it is bencoded. */
function signedBytes(item: Item, salt: Buffer): Buffer {
  return encode({ salt, seq: item.sequence, v: item.value }).subarray(1, -1);
}
