/** A DHT of its own on loopback: real nodes of bittorrent-dht in this process. */
import { once } from "node:events";
import DHT from "bittorrent-dht";
import { isSigned } from "../../../src/daemon/p2p/discovery/ed25519.ts";

/** A network of nodes that know of each other; goes away with the test that made it. */
export interface LocalDht extends AsyncDisposable {
  readonly nodes: readonly DHT[];
  /** "127.0.0.1:PORT" of some of them: for `dht.bootstrap`. */
  readonly bootstrap: readonly string[];
  /** Takes nodes out, the first ones of those that are left; what they stored is lost. */
  lose(count: number): Promise<void>;
}

/**
 * Starts one.
 *
 * @param count - how many nodes; that they know of each other has been waited for
 * @param host - the address of all of them
 */
export async function localDht(count = 20, host = "127.0.0.1"): Promise<LocalDht> {
  const addressOf = (node: DHT): string => `${host}:${node.address().port}`;
  const nodes: DHT[] = [];
  const lose = async (gone: number) => void (await Promise.all(nodes.splice(0, gone).map(end)));
  try {
    const first = await start(host, false);
    nodes.push(first);
    const others = await Promise.all(Array.from({ length: count - 1 }, () => start(host, [addressOf(first)])));
    nodes.push(...others);
  } catch (error) {
    await lose(nodes.length);
    throw error;
  }
  const bootstrap = nodes.slice(-3).map(addressOf);
  return { nodes, bootstrap, lose, [Symbol.asyncDispose]: () => lose(nodes.length) };
}

async function start(host: string, bootstrap: readonly string[] | false): Promise<DHT> {
  const node = new DHT({ bootstrap, verify: isSigned, timeout: 500 });
  // Lost packets and late answers: nothing that a test could do about it.
  node.on("warning", () => undefined);
  const ready = once(node, "ready");
  await new Promise<void>((resolve) => node.listen(0, host, resolve));
  await ready;
  return node;
}

function end(node: DHT): Promise<void> {
  return new Promise((resolve) => node.destroy(resolve));
}
