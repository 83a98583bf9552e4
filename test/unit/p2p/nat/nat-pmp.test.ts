import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { suite, test } from "node:test";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { defaultGateway, gatewayOfTable } from "../../../../src/daemon/p2p/nat/gateway.ts";
import { NatPmp } from "../../../../src/daemon/p2p/nat/nat-pmp.ts";
import { TestClock } from "../../../support/test-clock.ts";
import { waitFor } from "../../../support/wait.ts";

const signal = () => AbortSignal.timeout(10_000);

interface Router extends AsyncDisposable {
  readonly port: number;
  readonly questions: readonly Buffer[];
}

type Send = (answer: Buffer) => void;

async function router(answer: (question: Buffer, send: Send, from: RemoteInfo) => void): Promise<Router> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const questions: Buffer[] = [];
  socket.on("message", (question, from) => {
    questions.push(question);
    answer(question, (bytes) => socket.send(bytes, from.port, from.address), from);
  });
  return {
    port: socket.address().port,
    questions,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
}

/** RFC 6886 §3.3. */
function mapped(internal: number, external: number, lifetime: number, result = 0): Buffer {
  const answer = Buffer.alloc(16);
  answer[1] = 130;
  answer.writeUInt16BE(result, 2);
  answer.writeUInt16BE(internal, 8);
  answer.writeUInt16BE(external, 10);
  answer.writeUInt32BE(lifetime, 12);
  return answer;
}

const client = (port: number, clock = new SystemClock()) =>
  new NatPmp({ clock, port, gateway: () => Promise.resolve("127.0.0.1") });

suite("NAT-PMP", () => {
  test("asks as RFC 6886 has it, and takes the port that it is given", async () => {
    await using one = await router((_, send) => send(mapped(5000, 6001, 90)));
    assert.deepEqual(await client(one.port).map(5000, 6000, 120, signal()), { externalPort: 6001, lifetime: 90 });
    assert.equal(one.questions[0]?.toString("hex"), "00020000138817700000" + "0078");
  });

  test("tells the address outside", async () => {
    await using one = await router((question, send) => {
      assert.equal(question.toString("hex"), "0000");
      send(Buffer.from("00800000000000016464c801", "hex"));
    });
    assert.equal(await client(one.port).externalAddress(signal()), "100.100.200.1");
  });

  test("removes what leads to the internal port", async () => {
    await using one = await router((question, send) => send(mapped(5000, 6000, question.readUInt32BE(8))));
    const natPmp = client(one.port);
    await natPmp.unmap(5000, 6000, signal());
    assert.equal(one.questions.length, 0, "a router that never answered is not waited for");
    await natPmp.map(5000, 6000, 120, signal());
    await natPmp.unmap(5000, 6000, signal());
    assert.equal(one.questions[1]?.toString("hex"), "000200001388000000000000");
  });

  test("ignores answers that are short, of another version, to another question, or for another port", async () => {
    await using one = await router((_, send) => {
      send(Buffer.alloc(0));
      send(Buffer.from([0]));
      send(Buffer.from([0, 130, 0]));
      send(Buffer.from([0, 130, 0, 0, 0]));
      send(Buffer.from([2, 130, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
      send(Buffer.from([0, 128, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
      send(mapped(5001, 6000, 90));
      send(mapped(5000, 6002, 90));
    });
    assert.deepEqual(await client(one.port).map(5000, 6000, 120, signal()), { externalPort: 6002, lifetime: 90 });
  });

  test("says why the router refuses", async () => {
    await using one = await router((_, send) => send(mapped(5000, 0, 0, 2).subarray(0, 8)));
    const natPmp = client(one.port);
    assert.equal(await natPmp.mapPort(5000), false);
    assert.match(natPmp.problem ?? "", /it is not allowed/);
  });

  test("believes no yes that maps nothing", async () => {
    await using one = await router((_, send) => send(mapped(5000, 0, 120)));
    await assert.rejects(client(one.port).map(5000, 6000, 120, signal()), { kind: "refused" });
  });

  test("asks three times, then there is no such router", async () => {
    const clock = new TestClock();
    await using one = await router(() => undefined);
    const asked = client(one.port, clock).map(5000, 6000, 120, signal());
    const failed = assert.rejects(asked, { kind: "absent" });
    for (const [index, wait] of [250, 500, 1250].entries()) {
      await waitFor(`question ${index + 1}`, () => one.questions.length === index + 1);
      await clock.advance(wait);
    }
    await failed;
  });

  test("notices at once where nobody listens", async () => {
    const gone = await router(() => undefined);
    await gone[Symbol.asyncDispose]();
    await assert.rejects(client(gone.port, new TestClock()).map(5000, 6000, 120, signal()), { kind: "absent" });
  });

  test("never asks for a port below 1024", async () => {
    await using one = await router(() => assert.fail("it asked"));
    await assert.rejects(client(one.port).map(5000, 80, 120, signal()), RangeError);
    await assert.rejects(client(one.port).map(22, 5000, 120, signal()), RangeError);
    await assert.rejects(client(one.port).map(5000, 65_536, 120, signal()), RangeError);
    assert.equal(await client(one.port).mapPort(5000, 1), false);
  });

  test("removes what mapPort made when it is disposed of", async () => {
    await using one = await router((question, send) =>
      send(mapped(5000, question.readUInt16BE(6), question.readUInt32BE(8))),
    );
    {
      await using natPmp = client(one.port);
      assert.equal(await natPmp.mapPort(5000), true);
    }
    assert.equal(one.questions.at(-1)?.readUInt32BE(8), 0);
  });
});

suite("the router of the default route", () => {
  test("is the one of the least metric", () => {
    const table = `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
tun0\t00000000\t01000A0A\t0003\t0\t0\t50\t00000080\t0\t0\t0\n`;
    assert.equal(gatewayOfTable(table), "10.0.0.1");
  });

  test("is none where the table has none, or is something else", () => {
    for (const table of ["", "x", "eth0\t00000000\tzz\t0003\t0\t0\t0\t00000000"])
      assert.equal(gatewayOfTable(table), undefined);
  });

  test("is asked of this system without an error", async () => {
    const gateway = await defaultGateway();
    assert.ok(gateway === undefined || /^\d+\.\d+\.\d+\.\d+$/.test(gateway), gateway);
  });
});
