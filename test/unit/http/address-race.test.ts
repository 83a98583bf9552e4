/** Happy Eyeballs: the order of the addresses, and an address at which nobody answers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { addressesOf, connectFirst } from "../../../src/daemon/http/address-race.ts";

const never = new AbortController().signal;

describe("the order of the addresses", () => {
  const at = (...addresses: string[]) =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  const ordered = async (...addresses: string[]) =>
    (await addressesOf("h.test", async () => at(...addresses))).map(({ address }) => address);
  test("the families take turns, the resolver's first one first", async () => {
    assert.deepEqual(await ordered("a::1", "a::2", "a::3", "1.1.1.1"), ["a::1", "1.1.1.1", "a::2", "a::3"]);
    assert.deepEqual(await ordered("1.1.1.1", "a::1", "2.2.2.2", "a::2"), ["1.1.1.1", "a::1", "2.2.2.2", "a::2"]);
    assert.deepEqual(await ordered(), []);
  });
  test("what is an address already is not resolved", async () => {
    const resolve = () => assert.fail("it was resolved");
    assert.deepEqual(await addressesOf("[::1]", resolve), [{ address: "::1", family: 6 }]);
    assert.deepEqual(await addressesOf("10.0.0.1", resolve), [{ address: "10.0.0.1", family: 4 }]);
  });
});

/** Listens at 127.0.0.2 and then does nothing at all: once its queue is full, whoever connects gets no answer. */
async function deaf(port: number) {
  const code = `
    const server = require("node:net").createServer();
    server.listen({ port: ${port}, host: "127.0.0.2", backlog: 1 }, () => {
      require("node:fs").writeSync(1, "listening");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const fillers: Socket[] = [];
  for (let full = false; !full && fillers.length < 10; ) {
    const filler = connect(port, "127.0.0.2").on("error", () => undefined);
    fillers.push(filler);
    full = await Promise.race([
      once(filler, "connect").then(() => false),
      new Promise<boolean>((resolve) => setTimeout(resolve, 400, true)),
    ]);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

describe("an address at which nobody answers", {
  skip: process.platform !== "linux" && "needs Linux's listen queue",
}, () => {
  test("costs a moment, and is given up when another one stands", async () => {
    const server = createServer((socket) => socket.end());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    using _server = { [Symbol.dispose]: () => server.close() };
    const { port } = server.address() as AddressInfo;
    await using _deaf = await deaf(port);
    const silent = { address: "127.0.0.2", family: 4 };
    const begun = performance.now();
    const socket = await connectFirst([silent, { address: "127.0.0.1", family: 4 }], port, { signal: never });
    const took = performance.now() - begun;
    const { remoteAddress } = socket;
    socket.destroy();
    assert.equal(remoteAddress, "127.0.0.1");
    assert.ok(took >= 200 && took < 5000, `${took} ms`);

    const abort = new AbortController();
    const alone = connectFirst([silent], port, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(alone, /enough/);
  });
});
