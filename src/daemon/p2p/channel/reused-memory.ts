/**
 * Has Node decrypt into the same memory again and again. Otherwise each record of TLS, 16 KiB, gets memory of its own, which
 * is garbage a moment later: with each GiB the collector goes through the whole heap forty times, and costs as much as all the
 * rest. Node knows better (`onread` of net.Socket), but has no words for it where a TLS socket is laid upon a connection that
 * stands already; so the fields are set that its own constructor would set. Where Node has others, nothing is changed, and
 * bytes come as ever.
 */
import { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** What `onread` becomes inside a socket. */
interface Fields {
  readonly buffer: symbol;
  readonly callback: symbol;
}

let fields: Fields | undefined | "unknown" = "unknown";

/**
 * From now on whatever the socket receives is handed over in `memory`, and there are no `data` events any more. To be called
 * when nothing waits in the socket to be read.
 *
 * @param memory - 16 KiB at least
 * @param take - the bytes are only valid during the call
 * @returns false if this Node cannot do it
 */
export function readInto(socket: TLSSocket, memory: Buffer, take: (bytes: Buffer) => void): boolean {
  if (fields === "unknown") fields = findFields();
  const handle: unknown = Reflect.get(socket, "_handle");
  if (fields === undefined || !isHandle(handle)) return false;
  const callback = (count: number): boolean => {
    take(memory.subarray(0, count));
    // Go on reading.
    return true;
  };
  Reflect.set(socket, fields.buffer, memory);
  Reflect.set(socket, fields.callback, callback);
  handle.useUserBuffer(memory);
  return true;
}

function isHandle(value: unknown): value is { useUserBuffer(memory: Buffer): void } {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "useUserBuffer") === "function";
}

/** Looks where a socket keeps what it was given. */
function findFields(): Fields | undefined {
  const buffer = Buffer.alloc(1);
  const callback = (): boolean => true;
  const socket = new Socket({ onread: { buffer, callback } });
  const holding = (value: unknown): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find((symbol) => Reflect.get(socket, symbol) === value);
  const found = { buffer: holding(buffer), callback: holding(callback) };
  socket.destroy();
  return found.buffer && found.callback && { buffer: found.buffer, callback: found.callback };
}
