/**
 * What a node of the DHT knows when it starts again: its id, and others that answered. A small file, 0600, since it tells
 * with whom this machine has spoken. What is in it is a hint: a file that cannot be read, or is not right, is left out.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { writePrivately } from "../private-file.ts";

/** Nodes that are kept. */
const MOST_NODES = 100;

/** What is kept. */
export interface DhtState {
  /** 20 bytes. */
  readonly id: Buffer;
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
}

/** Reads it; if there is none, a new id. Never rejects. */
export async function readDhtState(file: string): Promise<DhtState> {
  const fresh = { id: randomBytes(20), nodes: [] };
  const text = await readFile(file, "utf8").catch(() => "");
  if (text.length > 64 * 1024) return fresh;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("id" in value) || !("nodes" in value)) return fresh;
    if (typeof value.id !== "string" || !/^[0-9a-f]{40}$/.test(value.id) || !Array.isArray(value.nodes)) return fresh;
    const nodes = value.nodes.slice(0, MOST_NODES).flatMap((node: unknown) => {
      const [, host, port] = (typeof node === "string" && /^([0-9.]{7,15}):([0-9]{1,5})$/.exec(node)) || [];
      return host === undefined ? [] : [{ host, port: Number(port) }];
    });
    return { id: Buffer.from(value.id, "hex"), nodes };
  } catch {
    return fresh;
  }
}

/** Writes it, whole or not at all. @throws Error of node:fs */
export async function writeDhtState(file: string, { id, nodes }: DhtState): Promise<void> {
  const text = JSON.stringify({
    id: id.toString("hex"),
    nodes: nodes.slice(0, MOST_NODES).map(({ host, port }) => `${host}:${port}`),
  });
  await writePrivately(file, text);
}
