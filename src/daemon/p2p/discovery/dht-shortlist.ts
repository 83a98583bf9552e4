/** Of the nodes that a walk through the DHT hears of, those that are worth asking: the nearest to a target (Kademlia). */
import { neighbourhood } from "./endpoint-filter.ts";
import type { NodeContact } from "./krpc.ts";

/** Nodes that keep an item (k of Kademlia, as in BEP 5). */
export const KEEPERS = 8;

/** Nodes that one walk asks, whatever it is told. */
const MOST_ASKED = 64;

/** Nodes of one /24 in a walk: who has a few addresses may not be all that is near. */
const MOST_NEIGHBOURS = 2;

/** A node that has answered, with what it wants to see again before it takes an item. */
export interface Keeper extends NodeContact {
  readonly token?: Buffer;
}

/** Nodes by their distance from a target. */
export class Shortlist {
  readonly #target: Buffer;
  readonly #seen = new Set<string>();
  readonly #perNeighbourhood = new Map<string, number>();
  readonly #nodes: {
    readonly node: NodeContact;
    readonly distance: Buffer;
    state: "new" | "asked" | "slow" | Keeper;
  }[] = [];
  #asked = 0;

  constructor(target: Buffer, self: Buffer) {
    this.#target = target;
    this.#seen.add(self.toString("hex"));
  }

  add(nodes: readonly NodeContact[]): void {
    for (const node of nodes) {
      const [name, place] = [node.id.toString("hex"), `${node.host}:${node.port}`];
      if (this.#seen.has(name) || this.#seen.has(place)) continue;
      const around = neighbourhood(node.host);
      const neighbours = around === undefined ? 0 : (this.#perNeighbourhood.get(around) ?? 0);
      if (neighbours >= MOST_NEIGHBOURS || this.#seen.size > 8 * MOST_ASKED) continue;
      if (around !== undefined) this.#perNeighbourhood.set(around, neighbours + 1);
      this.#seen.add(name).add(place);
      const distance = Buffer.from(node.id.map((byte, index) => byte ^ (this.#target[index] ?? 0)));
      this.#nodes.push({ node, distance, state: "new" });
    }
    this.#nodes.sort((a, b) => Buffer.compare(a.distance, b.distance));
  }

  /** The nearest that was not asked yet, among those that may become keepers. */
  next(): NodeContact | undefined {
    if (this.#asked >= MOST_ASKED) return undefined;
    const near = this.#nodes.filter(({ state }) => state !== "slow").slice(0, KEEPERS);
    const entry = near.find(({ state }) => state === "new");
    if (entry === undefined) return undefined;
    entry.state = "asked";
    this.#asked++;
    return entry.node;
  }

  failed(node: NodeContact): void {
    const index = this.#nodes.findIndex((entry) => entry.node === node);
    if (index >= 0) this.#nodes.splice(index, 1);
  }

  /** It has not answered yet: others take its place until it does. */
  passOver(node: NodeContact): void {
    const entry = this.#nodes.find((candidate) => candidate.node === node);
    if (entry?.state === "asked") entry.state = "slow";
  }

  answered(node: NodeContact, token: Buffer | undefined): void {
    const entry = this.#nodes.find((candidate) => candidate.node === node);
    if (entry !== undefined) entry.state = token === undefined ? { ...node } : { ...node, token };
  }

  get keepers(): readonly Keeper[] {
    return this.#nodes.flatMap(({ state }) => (typeof state === "object" ? [state] : [])).slice(0, KEEPERS);
  }
}
