/**
 * A process that gives bytes to whoever connects: `node channel-giver.ts KIND SUITE BYTES SECRET`. KIND is `channel` for a
 * real channel, `plain` for one whose chunks go in the clear, or `bare` for TLS as Node has it and nothing else, to compare with. Prints its port as
 * the first line.
 */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import type { PeerSuite } from "../../src/daemon/core/peers.ts";
import { deriveKeys } from "../../src/daemon/p2p/keys.ts";
import { type Channel, FRAME } from "../../src/daemon/p2p/types.ts";
import { give, manager, openShare } from "./peer-pair.ts";
import { selfSignedRsa, TLS_OPTIONS } from "./rsa-certificate.ts";

const [kind = "", suite = "", size = "", secret = ""] = process.argv.slice(2);
const BLOCK = randomBytes(256 * 1024);
const total = Number(size);
process.stdin.resume().once("end", () => process.exit(0));

if (kind === "bare") {
  const options = {
    ...TLS_OPTIONS[suite as PeerSuite],
    ...selfSignedRsa(),
    requestCert: true,
    rejectUnauthorized: false,
  };
  const server = createServer({ ...options, noDelay: true }, (socket) => {
    let left = total;
    const more = () => {
      while (left > 0) {
        const block = BLOCK.subarray(0, Math.min(left, BLOCK.length));
        left -= block.length;
        if (!socket.write(block)) return void socket.once("drain", more);
      }
      socket.end();
    };
    socket.on("error", () => {}).once("data", more);
  });
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
} else {
  const keys = deriveKeys(Buffer.from(secret, "hex"));
  const giving = await give(manager("giver", suite as PeerSuite), [openShare(keys, kind !== "plain")]);
  console.log(giving.port);
  for (;;) serve(await giving.next());
}

/** Sends what is asked for as the credit goes, in the longest frames. */
function serve(channel: Channel): void {
  let left = 0;
  let credit = 0;
  let running = false;
  const id = Buffer.alloc(4);
  const run = async () => {
    if (running) return;
    running = true;
    while (left > 0 && credit > 0) {
      const block = BLOCK.subarray(0, Math.min(left, credit, BLOCK.length));
      left -= block.length;
      credit -= block.length;
      await channel.send(FRAME.data, id, block);
      if (left === 0) void channel.send(FRAME.end, id);
    }
    running = false;
  };
  channel.start({
    frame(type, payload) {
      if (type === FRAME.request) {
        payload.copy(id, 0, 0, 4);
        left = Number(payload.readBigUInt64BE(16));
        credit = payload.readUInt32BE(24);
      } else if (type === FRAME.credit) credit += payload.readUInt32BE(4);
      void run();
    },
    data() {},
    closed() {},
  });
}
