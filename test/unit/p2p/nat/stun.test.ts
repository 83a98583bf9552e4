import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { suite, test } from "node:test";
import { DownloadError } from "../../../../src/daemon/core/errors.ts";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { StunClient } from "../../../../src/daemon/p2p/nat/stun.ts";
import { BINDING, decodeStun, encodeStun, type StunMessage } from "../../../../src/daemon/p2p/nat/stun-message.ts";
import { PATIENT } from "../../../../src/daemon/p2p/nat/stun-socket.ts";
import { answerTo, fakeStun, honest } from "../../../support/p2p/fake-stun.ts";
import { TestClock } from "../../../support/test-clock.ts";
import { waitFor } from "../../../support/wait.ts";

const clock = new SystemClock();
const SEEN = { address: "100.200.3.4", port: 4567 };
const signal = () => AbortSignal.timeout(20_000);

suite("the external address over UDP", () => {
  test("is what an honest server sees", async () => {
    await using server = await fakeStun(honest);
    const found = await new StunClient({ servers: [server.address], clock }).externalAddress({ signal: signal() });
    assert.equal(found.address, "127.0.0.1");
    assert.equal(found.port, found.localPort);
  });

  test("is asked for from the port that is wanted", async () => {
    await using server = await fakeStun(honest);
    const socket = createSocket("udp4").bind(0);
    await once(socket, "listening");
    const { port } = socket.address();
    socket.close();
    const client = new StunClient({ servers: [server.address], clock });
    assert.equal((await client.externalAddress({ localPort: port, signal: signal() })).port, port);
  });

  test("comes from a server that answers where another is silent", async () => {
    await using silent = await fakeStun(() => undefined);
    await using server = await fakeStun(honest);
    const client = new StunClient({ servers: [silent.address, server.address], clock });
    assert.equal((await client.externalAddress({ signal: signal() })).address, "127.0.0.1");
  });

  test("does not come from who was not asked, nor with another transaction, nor broken", async () => {
    const stranger = createSocket("udp4").bind(0, "127.0.0.1");
    await once(stranger, "listening");
    const wrong = { address: "6.6.6.6", port: 666 };
    await using server = await fakeStun((question, from, self) => {
      self.send(answerTo(question, wrong), from, stranger);
      self.send(answerTo({ ...question, transactionId: new Uint8Array(12) }, wrong), from);
      self.send({ ...answerTo(question, wrong), kind: "indication" }, from);
      self.send({ ...answerTo(question, wrong), method: 3 }, from);
      const { mapped: _none, ...without } = answerTo(question, wrong);
      self.send(without, from);
      const broken = encodeStun(answerTo(question, wrong));
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
      self.send(broken, from);
      self.send(broken.subarray(0, 25), from);
      self.send(new Uint8Array(1), from);
      self.send(answerTo(question, SEEN), from);
    });
    const client = new StunClient({ servers: [server.address], clock });
    const found = await client.externalAddress({ signal: signal() });
    stranger.close();
    assert.deepEqual({ address: found.address, port: found.port }, SEEN);
  });

  test("is asked for again as often as the schedule has it, and then there is an error that names the servers", async () => {
    const testClock = new TestClock();
    await using server = await fakeStun(() => undefined);
    const client = new StunClient({ servers: [server.address], clock: testClock });
    const asked = client.externalAddress({ signal: signal() });
    const failed = assert.rejects(asked, (error: unknown) => {
      assert.ok(error instanceof DownloadError);
      assert.equal(error.code, "TIMED_OUT");
      assert.ok(error.message.includes(server.address), error.message);
      return true;
    });
    for (const [index, wait] of PATIENT.entries()) {
      await waitFor(`question ${index + 1}`, () => server.count === index + 1);
      await testClock.advance(wait);
    }
    await failed;
    assert.equal(server.count, PATIENT.length);
    assert.equal(testClock.pending, 0);
  });

  test("is given up when the signal says so", async () => {
    await using server = await fakeStun(() => undefined);
    const abort = new AbortController();
    const asked = new StunClient({ servers: [server.address], clock }).externalAddress({ signal: abort.signal });
    await waitFor("the question", () => server.count > 0);
    abort.abort(new Error("enough"));
    await assert.rejects(asked, /enough/);
  });

  test("of no server says what to configure; a name that is none is said", async () => {
    await assert.rejects(new StunClient({ servers: [], clock }).externalAddress({ signal: signal() }), /p2p\.stun/);
    const client = new StunClient({ servers: ["not a host:99999"], clock });
    await assert.rejects(client.externalAddress({ signal: signal() }), /is not host:port/);
  });

  test("of a server that refuses is not known", async () => {
    await using server = await fakeStun(({ transactionId }, from, self) =>
      self.send({ kind: "error", method: BINDING, errorCode: 420, transactionId, fingerprint: false }, from),
    );
    const client = new StunClient({ servers: [server.address], clock });
    await assert.rejects(client.externalAddress({ signal: signal() }), { code: "TIMED_OUT" });
  });
});

suite("the kind of NAT, of servers that cannot answer from elsewhere", () => {
  test("is a symmetric one where they see different ports", async () => {
    await using one = await fakeStun((question, from, self) => self.send(answerTo(question, SEEN), from));
    const other = { ...SEEN, port: 4568 };
    await using two = await fakeStun((question, from, self) => self.send(answerTo(question, other), from), "127.0.0.2");
    const report = await new StunClient({ servers: [one.address, two.address], clock }).classify(signal());
    assert.deepEqual(report, { natType: "symmetric", mapping: "address-and-port-dependent", external: SEEN });
  });

  test("is not known where they agree: the filtering cannot be told", async () => {
    const answer = (question: StunMessage) => answerTo(question, SEEN);
    await using one = await fakeStun((question, from, self) => self.send(answer(question), from));
    await using two = await fakeStun((question, from, self) => self.send(answer(question), from), "127.0.0.2");
    const report = await new StunClient({ servers: [one.address, two.address], clock }).classify(signal());
    assert.deepEqual(report, { natType: "unknown", mapping: "endpoint-independent", external: SEEN });
  });

  test("is not known from one alone, nor from one whose other address is its own", async () => {
    await using one = await fakeStun((question, from, self) => self.send(answerTo(question, SEEN), from));
    await using liar = await fakeStun((question, from, self) =>
      self.send({ ...answerTo(question, SEEN), other: { address: "127.0.0.1", port: self.port } }, from),
    );
    for (const server of [one, liar]) {
      const report = await new StunClient({ servers: [server.address], clock }).classify(signal());
      assert.deepEqual(report, { natType: "unknown", external: SEEN });
    }
  });

  test("is udp-blocked where nothing comes back", async () => {
    const testClock = new TestClock();
    await using server = await fakeStun(() => undefined);
    const asked = new StunClient({ servers: [server.address], clock: testClock }).classify(signal());
    for (const [index, wait] of PATIENT.entries()) {
      await waitFor(`question ${index + 1}`, () => server.count === index + 1);
      await testClock.advance(wait);
    }
    assert.deepEqual(await asked, { natType: "udp-blocked" });
  });

  test("is unknown without servers", async () => {
    assert.deepEqual(await new StunClient({ servers: [], clock }).classify(signal()), { natType: "unknown" });
  });
});

suite("the external address over TCP", () => {
  test("is asked for from one port of several servers, whose connections are kept", async () => {
    await using one = await tcpServer((socket, bytes) => socket.write(seenBy(socket, bytes)));
    await using two = await tcpServer((socket, bytes) => {
      // In pieces, as a stream comes.
      const answer = seenBy(socket, bytes);
      socket.write(answer.subarray(0, 7));
      setImmediate(() => socket.write(answer.subarray(7)));
    });
    const client = new StunClient({ servers: [one.address, two.address], clock });
    const ports = await client.outerTcpPorts(0, signal());
    assert.equal(ports.length, 2);
    assert.equal(new Set(ports.map(({ localPort }) => localPort)).size, 1);
    assert.ok(ports.every(({ external, localPort }) => external.port === localPort));
    // The same port calls elsewhere beside.
    await using three = await tcpServer((socket, bytes) => socket.write(seenBy(socket, bytes)));
    const again = await client.outerTcpPorts(ports[0]?.localPort ?? 0, signal(), [three.address]);
    assert.equal(again[0]?.external.port, ports[0]?.localPort);
    assert.equal(one.open(), 1);
    for (const port of [...ports, ...again]) port[Symbol.dispose]();
    await waitFor("the end of the connections", () => one.open() + two.open() + three.open() === 0);
  });

  test("does not come from what speaks something else, answers another question, or hangs up", async () => {
    const answers: readonly [string, (socket: Socket, bytes: Buffer) => void][] = [
      ["does not speak STUN", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")],
      ["does not speak STUN", (socket) => socket.write(Buffer.from(`0101fffc2112a442${"00".repeat(12)}`, "hex"))],
      [
        "no answer to the question",
        (socket, bytes) => {
          const answer = seenBy(socket, bytes);
          answer.fill(0, 8, 20);
          socket.write(answer);
        },
      ],
      ["closed the connection", (socket) => socket.end()],
    ];
    for (const [why, answer] of answers) {
      await using server = await tcpServer(answer);
      const client = new StunClient({ servers: [server.address], clock });
      await assert.rejects(client.externalAddress({ transport: "tcp", signal: signal() }), (error: unknown) => {
        assert.ok((error as Error).message.includes(why), (error as Error).message);
        return true;
      });
    }
  });

  test("is not waited for without end", async () => {
    const testClock = new TestClock();
    await using server = await tcpServer(() => undefined);
    const client = new StunClient({ servers: [server.address], clock: testClock });
    const asked = client.externalAddress({ transport: "tcp", signal: signal() });
    const failed = assert.rejects(asked, /no answer over TCP for 2 s/);
    await waitFor("the connection", () => server.open() > 0);
    await testClock.advance(4000);
    await failed;
  });
});

suite("a mapping that is kept", () => {
  test("is asked for every 25 s, and another address is told once", async () => {
    const testClock = new TestClock();
    let seen = SEEN;
    await using server = await fakeStun((question, from, self) => self.send(answerTo(question, seen), from));
    const told: object[] = [];
    const client = new StunClient({ servers: [server.address], clock: testClock });
    {
      using _kept = await client.keepAlive(0, (address) => told.push(address));
      await waitFor("the first answer", () => told.length === 1);
      for (const count of [2, 3]) {
        if (count === 3) seen = { ...SEEN, port: 9999 };
        await waitFor("the pause", () => testClock.pending === 1);
        await testClock.advance(25_000);
        await waitFor(`question ${count}`, () => server.count === count);
      }
      await waitFor("the new address", () => told.length === 2);
    }
    assert.deepEqual(told, [SEEN, { ...SEEN, port: 9999 }]);
    await waitFor("the end", () => testClock.pending === 0);
  });
});

interface TcpServer extends AsyncDisposable {
  readonly address: string;
  open(): number;
}

async function tcpServer(answer: (socket: Socket, bytes: Buffer) => void): Promise<TcpServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", (bytes) => answer(socket, bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

function seenBy(socket: Socket, bytes: Buffer): Buffer {
  const question = decodeStun(bytes);
  assert.ok(question !== undefined);
  return encodeStun(answerTo(question, { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 }));
}
