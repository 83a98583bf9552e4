/**
 * The yardstick for transfers between peers: one file over one bare TLS 1.3 socket of Node, read and written by streams.
 * Nothing is hashed, recorded or synced. `give FILE CERT KEY` prints its port and serves whoever connects; `take PORT FILE`
 * ends when the last byte was written.
 */
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { connect, createServer } from "node:tls";

/** Bytes that are read or kept at once: larger ones are no quicker. */
const PIECE = 256 * 1024;

const [verb, ...args] = process.argv.slice(2);
if (verb === "give") give(args);
else await take(args);

function give([file = "", cert = "", key = ""]: readonly string[]): void {
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key), minVersion: "TLSv1.3" }, (socket) => {
    // Whoever went away early has his reasons.
    pipeline(createReadStream(file, { highWaterMark: PIECE }), socket).catch(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
}

async function take([port = "", file = ""]: readonly string[]): Promise<void> {
  const socket = connect({ port: Number(port), host: "127.0.0.1", rejectUnauthorized: false });
  await pipeline(socket, createWriteStream(file, { highWaterMark: PIECE }));
}
