import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test } from "node:test";
import fc from "fast-check";
import { Gateway, isNeighbour, SoapFault } from "../../../../src/daemon/p2p/nat/igd.ts";
import { MappingError } from "../../../../src/daemon/p2p/nat/port-mapper.ts";

const DESCRIPTION = `<?xml version="1.0"?><root><device><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/other</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/control</controlURL></service>
</serviceList></device></deviceList></device></root>`;

const soap = (body: string) => `<s:Envelope xmlns:s="x"><s:Body>${body}</s:Body></s:Envelope>`;
const signal = () => AbortSignal.timeout(10_000);

/** A router: a description, and an answer to every action. */
async function router(listener: RequestListener): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/desc.xml`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

suite("a gateway", () => {
  test("is described, and answers an action", async () => {
    let body = "";
    let action: unknown;
    await using one = await router((incoming, outgoing) => {
      if (incoming.url === "/desc.xml") return void outgoing.end(DESCRIPTION);
      assert.equal(incoming.url, "/control");
      action = incoming.headers["soapaction"];
      incoming.on("data", (bytes: Buffer) => {
        body += bytes;
      });
      incoming.on("end", () =>
        outgoing.end(soap("<u:R><NewExternalIPAddress> 100.200.1.1 </NewExternalIPAddress><NewX a='1'>y</NewX></u:R>")),
      );
    });
    const gateway = await Gateway.describe(one.url, signal());
    const answer = await gateway.run("GetExternalIPAddress", [["NewName", "<a & b>"]], signal());
    assert.deepEqual(answer, { NewExternalIPAddress: "100.200.1.1", NewX: "y" });
    assert.equal(action, '"urn:schemas-upnp-org:service:WANIPConnection:1#GetExternalIPAddress"');
    assert.ok(body.includes("<NewName>&#60;a &#38; b&#62;</NewName>"), body);
  });

  test("says why it refuses; a port that is taken is told apart", async () => {
    for (const [code, kind] of [
      [718, "taken"],
      [729, "taken"],
      [725, "refused"],
      [501, "refused"],
    ] as const) {
      const fault = `<s:Fault><detail><UPnPError><errorCode>${code}</errorCode><errorDescription>\u001b[2JNo</errorDescription></UPnPError></detail></s:Fault>`;
      await using one = await router((incoming, outgoing) => {
        if (incoming.url === "/desc.xml") return void outgoing.end(DESCRIPTION);
        outgoing.writeHead(500).end(soap(fault));
      });
      const gateway = await Gateway.describe(one.url, signal());
      await assert.rejects(gateway.run("AddPortMapping", [], signal()), (error: unknown) => {
        assert.ok(error instanceof SoapFault);
        assert.equal(error.kind, kind);
        assert.equal(error.message, `the router refused AddPortMapping: ${code} ?[2JNo`);
        return true;
      });
    }
  });

  test("may not have us send anything to others, nor by another protocol", async () => {
    for (const control of [
      "http://192.0.2.7/control",
      "https://127.0.0.1/control",
      "file:///etc/passwd",
      "http://[::1]/",
    ]) {
      await using one = await router((_, outgoing) => outgoing.end(DESCRIPTION.replace(">/control<", `>${control}<`)));
      await assert.rejects(Gateway.describe(one.url, signal()), /names no service that opens ports/);
    }
    await using base = await router((_, outgoing) =>
      outgoing.end(DESCRIPTION.replace("<device>", "<URLBase>http://192.0.2.7/</URLBase><device>")),
    );
    await assert.rejects(Gateway.describe(base.url, signal()), /names no service that opens ports/);
    await assert.rejects(Gateway.describe("gopher://10.0.0.1/", signal()), /no http URL/);
  });

  test("that redirects is not followed", async () => {
    let asked = 0;
    await using one = await router((_, outgoing) => {
      asked += 1;
      outgoing.writeHead(302, { location: "/desc.xml" }).end();
    });
    await assert.rejects(Gateway.describe(one.url, signal()), /302/);
    assert.equal(asked, 1);
  });

  test("that answers without end is cut off", async () => {
    let closed = false;
    await using one = await router((_, outgoing) => {
      const more = (): void =>
        void (outgoing.write("x".repeat(65_536)) ? setImmediate(more) : outgoing.once("drain", more));
      outgoing.on("close", () => {
        closed = true;
      });
      more();
    });
    await assert.rejects(Gateway.describe(one.url, signal()), /without end/);
    for (let turn = 0; !closed && turn < 1000; turn++) await new Promise(setImmediate);
    assert.ok(closed);
  });

  test("that is silent is given up by the signal, with its reason", async () => {
    await using one = await router(() => undefined);
    const abort = new AbortController();
    const asked = Gateway.describe(one.url, abort.signal);
    setImmediate(() => abort.abort(new Error("enough")));
    await assert.rejects(asked, /enough/);
  });

  test("that hangs up, or is not there, is absent", async () => {
    const one = await router((incoming) => incoming.socket.destroy());
    const absent = (error: unknown) => error instanceof MappingError && error.kind === "absent";
    await assert.rejects(Gateway.describe(one.url, signal()), absent);
    await one[Symbol.asyncDispose]();
    await assert.rejects(Gateway.describe(one.url, signal()), absent);
  });

  test("may say anything: it is a service or an error", async () => {
    let text = "";
    await using one = await router((_, outgoing) => outgoing.end(text));
    const words = fc.constantFrom(
      ..."<service> </service> <serviceType> </serviceType> <controlURL> </controlURL> <!DOCTYPE <!ENTITY &x; <root> <URLBase> </URLBase> http:// /control".split(
        " ",
      ),
      "urn:schemas-upnp-org:service:WANIPConnection:1",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(words, fc.string()), { maxLength: 30 }), async (parts) => {
        text = parts.join("");
        await Gateway.describe(one.url, signal()).then(
          (gateway) => assert.ok(gateway instanceof Gateway),
          (error: unknown) => assert.ok(error instanceof MappingError, String(error)),
        );
      }),
      { numRuns: 100 },
    );
  });
});

test("a device is only looked at in the network of the interface that it was found through", () => {
  assert.equal(isNeighbour("http://127.0.0.1:5000/desc.xml", "127.0.0.1"), true);
  assert.equal(isNeighbour("http://127.9.9.9:5000/desc.xml", "127.0.0.1"), true);
  for (const location of ["http://10.0.0.1/", "http://router.lan/", "http://[::1]/", "x", ""])
    assert.equal(isNeighbour(location, "127.0.0.1"), false, location);
  assert.equal(isNeighbour("http://127.0.0.1/", "192.0.2.1"), false);
});
