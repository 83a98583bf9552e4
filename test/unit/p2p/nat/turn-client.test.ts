import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { suite, test } from "node:test";
import type { DownloadError } from "../../../../src/daemon/core/errors.ts";
import type { Clock } from "../../../../src/daemon/core/ports/runtime.ts";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import type { StunAddress } from "../../../../src/daemon/p2p/nat/stun-wire.ts";
import { TurnClient } from "../../../../src/daemon/p2p/nat/turn-client.ts";
import { TURN } from "../../../../src/daemon/p2p/nat/turn-message.ts";
import { TurnRelays } from "../../../../src/daemon/p2p/nat/turn-relay.ts";
import { type FakeTurn, fakeTurn, type TurnBehaviour } from "../../../support/p2p/fake-turn.ts";
import { quickClock } from "../../../support/p2p/quick-clock.ts";
import { waitFor } from "../../../support/wait.ts";

const never = new AbortController().signal;

interface Opened extends Disposable {
  readonly client: TurnClient;
  readonly received: { readonly text: string; readonly from: StunAddress }[];
  readonly ends: DownloadError[];
}

async function open(
  server: FakeTurn,
  { clock = new SystemClock(), credential }: { readonly clock?: Clock; readonly credential?: string } = {},
): Promise<Opened> {
  const received: Opened["received"] = [];
  const ends: DownloadError[] = [];
  const client = await TurnClient.open(
    {
      place: { host: "127.0.0.1", port: server.port, tls: false },
      account: { ...server.account, ...(credential !== undefined && { credential }) },
      clock,
      onDatagram: (bytes, from) => received.push({ text: bytes.toString(), from }),
      onEnd: (error) => ends.push(error),
    },
    never,
  );
  return { client, received, ends, [Symbol.dispose]: () => client[Symbol.dispose]() };
}

/** Answers each datagram with the same, in capitals. */
async function echo(address: string): Promise<{ readonly at: StunAddress } & AsyncDisposable> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, from) => socket.send(bytes.toString().toUpperCase(), from.port, from.address));
  socket.bind(0, address);
  await once(socket, "listening");
  return {
    at: { address, port: socket.address().port },
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
}

suite("an allocation", () => {
  test("datagrams go out and come back, and it is given back at the end", async () => {
    await using server = await fakeTurn();
    await using peer = await echo("127.0.0.2");
    {
      using relay = await open(server);
      assert.notEqual(relay.client.relayed.port, 0);
      for (const text of ["one", "two", "three"]) relay.client.send(Buffer.from(text), peer.at);
      await waitFor("the answers", () => relay.received.length === 3);
      assert.deepEqual(relay.received.map(({ text }) => text).toSorted(), ["ONE", "THREE", "TWO"]);
      assert.deepEqual(relay.received[0]?.from, peer.at);
      const asked = server.requests.filter(({ method }) => method === TURN.createPermission);
      assert.equal(asked.length, 1, "one permission is asked for once");
    }
    const last = await waitFor(
      "the end",
      () => server.requests.at(-1)?.method === TURN.refresh && server.requests.at(-1),
    );
    assert.ok(last && last.lifetime === 0);
    await waitFor("the connection to close", () => server.links.size === 0);
  });

  test("is renewed before its end, each time", async () => {
    await using server = await fakeTurn({ lifetime: 40 });
    using relay = await open(server, { clock: quickClock(100) });
    const renewed = () => server.requests.filter(({ method }) => method === TURN.refresh).length >= 3;
    await waitFor("three renewals", renewed);
    assert.deepEqual(relay.ends, []);
  });

  test("a nonce that has become stale is replaced by the new one", async () => {
    let changed = 0;
    await using server = await fakeTurn({
      onRequest({ method }, link) {
        if (method === TURN.createPermission && changed++ === 0) link.nonce = Buffer.from("another");
        return false;
      },
    });
    await using peer = await echo("127.0.0.2");
    using relay = await open(server);
    relay.client.send(Buffer.from("hello"), peer.at);
    await waitFor("the answer", () => relay.received.length === 1);
    assert.equal(changed, 2);
  });

  test("one address that the server does not relay to does not stand in the way of the others", async () => {
    await using server = await fakeTurn({
      onRequest(request, link) {
        const bad = request.peers?.some(({ address }) => address === "127.0.0.66") === true;
        if (bad && request.proved) link.answer(request, "error", { errorCode: 403 }, link.key);
        return bad && request.proved;
      },
    });
    await using peer = await echo("127.0.0.2");
    using relay = await open(server);
    for (let round = 0; round < 3; round++) {
      for (const address of ["127.0.0.66", "127.0.0.3"]) relay.client.send(Buffer.from("x"), { address, port: 9 });
      relay.client.send(Buffer.from("hello"), peer.at);
      await waitFor("the answer", () => relay.received.length === round + 1);
    }
    const asked = server.requests.filter(({ peers }) => peers?.some(({ address }) => address === "127.0.0.66"));
    assert.equal(asked.length, 2, "it is asked for with the others, and once more alone");
  });

  test("addresses are bounded, and named many at once; what is too long or too much is dropped", async () => {
    await using server = await fakeTurn();
    await using peer = await echo("127.0.0.2");
    using relay = await open(server);
    relay.client.send(Buffer.alloc(1401), peer.at);
    for (let n = 0; n < 1000; n++)
      relay.client.send(Buffer.from("x"), { address: `127.1.${n >> 8}.${n & 255}`, port: 9 });
    const asked = () => server.requests.filter(({ method }) => method === TURN.createPermission);
    const count = () => asked().reduce((sum, { peers = [] }) => sum + peers.length, 0);
    await waitFor("256 addresses", () => count() >= 256);
    await waitFor("what may still go", () => server.relayed.out >= 200);
    assert.equal(count(), 256);
    assert.ok(asked().length <= 20, `${asked().length} requests`);
    assert.ok(server.relayed.out <= 300, `${server.relayed.out} datagrams in a second`);
  });
});

suite("a server that misbehaves", () => {
  const refusing = (errorCode: number): TurnBehaviour => ({
    onRequest(request, link) {
      if (request.proved) link.answer(request, "error", { errorCode }, link.key);
      return request.proved;
    },
  });

  for (const [code, words] of [
    [300, /another server/],
    [403, /not allowed/],
    [442, /does not relay UDP/],
    [486, /as many allocations/],
    [508, /no room/],
    [599, /error 599/],
  ] as const)
    test(`refuses with ${code}`, async () => {
      await using server = await fakeTurn(refusing(code));
      await assert.rejects(open(server), words);
      await waitFor("the connection to close", () => server.links.size === 0);
    });

  test("does not know the password, or wants one of another realm", async () => {
    await using server = await fakeTurn();
    await assert.rejects(open(server, { credential: "wrong" }), /username and credential are not right/);
    await using elsewhere = await fakeTurn({
      onRequest(request, link) {
        link.answer(request, "error", { errorCode: 401, realm: "elsewhere.example", nonce: Buffer.from("n") });
        return true;
      },
    });
    await assert.rejects(open(elsewhere), /username and credential are not right/);
  });

  test("wants another nonce for ever", async () => {
    let asked = 0;
    await using server = await fakeTurn({
      onRequest(request, link) {
        asked += 1;
        if (request.proved) link.nonce = Buffer.from(`nonce ${asked}`);
        return false;
      },
    });
    await assert.rejects(open(server), { code: "PROTOCOL_ERROR" });
    assert.equal(asked, 3);
  });

  test("answers without a proof, or with a wrong one: that is no answer", async () => {
    for (const key of [undefined, Buffer.alloc(16)]) {
      await using server = await fakeTurn({
        onRequest(request, link) {
          if (request.proved)
            link.answer(request, "success", { relayed: { address: "127.0.0.1", port: 9 }, lifetime: 600 }, key);
          return request.proved;
        },
      });
      await assert.rejects(open(server, { clock: quickClock(20) }), { code: "TIMED_OUT" });
    }
  });

  test("is silent, or says something else", async () => {
    await using silent = await fakeTurn({ onConnect: () => true });
    await assert.rejects(open(silent, { clock: quickClock(20) }), { code: "TIMED_OUT" });
    for (const words of ["HTTP/1.1 400 Bad Request\r\n\r\n", "\0".repeat(40), "SSH-2.0-OpenSSH", "\xff"]) {
      await using other = await fakeTurn({ onConnect: (socket) => socket.write(Buffer.from(words, "latin1")) });
      await assert.rejects(open(other, { clock: quickClock(20) }), /does not speak TURN over TCP/);
    }
  });

  test("closes at once, or later; then that is said, once", async () => {
    await using closing = await fakeTurn({
      onConnect(socket) {
        socket.destroy();
        return true;
      },
    });
    await assert.rejects(open(closing), { code: "CONNECT_FAILED" });
    await using server = await fakeTurn();
    using relay = await open(server);
    for (const socket of server.links) socket.destroy();
    await waitFor("the end", () => relay.ends.length > 0);
    relay.client.send(Buffer.from("x"), { address: "127.0.0.2", port: 9 });
    assert.deepEqual(
      relay.ends.map(({ code }) => code),
      ["CONNECT_FAILED"],
    );
  });

  test("is not there, or answers too late for whoever asks", async () => {
    const server = await fakeTurn();
    await server[Symbol.asyncDispose]();
    await assert.rejects(open(server), /cannot be reached/);
    await using silent = await fakeTurn({ onConnect: () => true });
    const stop = new AbortController();
    const asked = new TurnRelays([silent.account], new SystemClock()).open(
      { onDatagram: () => undefined, onEnd: () => undefined },
      stop.signal,
    );
    await waitFor("the connection", () => silent.links.size === 1);
    stop.abort(new Error("not wanted any more"));
    await assert.rejects(asked, /not wanted any more/);
    await waitFor("the connection to close", () => silent.links.size === 0);
  });
});

test("of several servers the first that can be used relays; those for UDP alone are left out", async () => {
  const events = { onDatagram: () => undefined, onEnd: () => undefined };
  await using server = await fakeTurn();
  await using gone = await fakeTurn({ onConnect: (socket) => Boolean(socket.destroy()) });
  const { account } = server;
  const relays = new TurnRelays(
    [
      { url: "turn:127.0.0.1:9?transport=udp" },
      gone.account,
      account,
      { ...account, url: `${account.url}?transport=tcp` },
    ],
    new SystemClock(),
  );
  using relay = await relays.open(events, never);
  assert.equal(relay.name, account.url);
  assert.ok(new TurnRelays([{ url: "turn:127.0.0.1:9?transport=udp" }], new SystemClock()).isEmpty);
  const none = new TurnRelays([gone.account, { ...account, credential: "wrong" }], new SystemClock());
  await assert.rejects(none.open(events, never), /127\.0\.0\.1.*; .*credential are not right/);
});
