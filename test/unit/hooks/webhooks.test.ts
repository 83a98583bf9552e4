/** Webhooks over real HTTP to a real receiver: signed, in order, again after a failure, across restarts. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { signedHeaders } from "../../../src/daemon/hooks/webhook-message.ts";
import { type Webhook, Webhooks } from "../../../src/daemon/hooks/webhooks.ts";
import { UndiciClient } from "../../../src/daemon/http/client.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";
import { type Delivery, isSigned, receiveWebhooks } from "../../support/webhook-receiver.ts";

const SECRET = "0123456789abcdef";
const client = new UndiciClient({ userAgent: "snatch-test" }, { clock: new SystemClock(), logger: new RecordLogger() });
after(() => client[Symbol.asyncDispose]());

/** A daemon's part of it; several on the same store and clock are restarts. */
async function fixture(webhooks: readonly Webhook[], store: KeyValue = new MemoryKeyValue(), clock = new TestClock()) {
  const { sessions } = await sessionFixture({}, store, clock);
  const logger = new RecordLogger();
  const parts = new Webhooks({ webhooks, sessions, store, client, clock, logger });
  await parts.start();
  return {
    sessions,
    store,
    clock,
    logger,
    /** Makes a session and lets it fail or complete. */
    async end(name: string, status: "completed" | "failed" | "cancelled" = "completed") {
      const [session] = await sessions.create([requestFor(name)]);
      const id = session?.id ?? "";
      if (status !== "cancelled") await sessions.update(id, { status: "active" });
      await sessions.update(id, { status });
      return id;
    },
    [Symbol.asyncDispose]: async () => {
      await parts[Symbol.asyncDispose]();
      await sessions[Symbol.asyncDispose]();
    },
  };
}

/** Lets time pass until the receiver has heard so often. */
async function passTime(clock: TestClock, deliveries: readonly Delivery[], count: number): Promise<void> {
  await waitFor(`${count} deliveries`, async () => {
    await clock.advance(1000);
    return deliveries.length >= count;
  });
}

async function waiting(store: KeyValue): Promise<number> {
  let count = 0;
  for await (const _ of store.entries("webhook")) count++;
  return count;
}

const typesOf = (deliveries: readonly Delivery[]) => deliveries.map(({ body }) => JSON.parse(body).type as string);
const hook = (url: string, events: Webhook["events"] = ["completed", "failed"]): Webhook => ({
  url,
  secret: SECRET,
  events,
});

describe("webhooks", () => {
  test("are signed, in order, and tell no secret", async () => {
    await using receiver = await receiveWebhooks();
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a?token=hidden");
    await it.end("b", "failed");
    await it.end("c", "cancelled");
    await it.end("d");
    const deliveries = await receiver.received(3);
    assert.deepEqual(typesOf(deliveries), ["download.completed", "download.failed", "download.completed"]);
    for (const delivery of deliveries) {
      assert.equal(delivery.method, "POST");
      assert.equal(delivery.headers["content-type"], "application/json");
      assert.ok(isSigned(delivery, SECRET, it.clock.now()));
      assert.equal(isSigned(delivery, `${SECRET}x`, it.clock.now()), false);
      assert.equal(isSigned({ ...delivery, body: `${delivery.body} ` }, SECRET, it.clock.now()), false);
    }
    const text = JSON.stringify([deliveries, it.logger.lines]);
    assert.ok(!text.includes("hidden") && !text.includes(SECRET));
    assert.equal(JSON.parse(deliveries[0]?.body ?? "").data.url, "http://origin.test/a?token=***");
  });

  test("only of the events that were asked for; two receivers at one URL are two", async () => {
    await using receiver = await receiveWebhooks();
    await using it = await fixture([
      hook(receiver.url, ["created", "cancelled", "forgotten"]),
      hook(receiver.url, ["created"]),
    ]);
    const id = await it.end("a", "cancelled");
    await it.sessions.remove([id]);
    const deliveries = await receiver.received(4);
    assert.deepEqual(typesOf(deliveries).sort(), [
      "download.cancelled",
      "download.created",
      "download.created",
      "download.forgotten",
    ]);
  });

  test("what fails is sent again with the same id, and what comes behind it waits its turn", async () => {
    await using receiver = await receiveWebhooks(
      (response, count) => void response.writeHead(count <= 3 ? 500 : 200).end("whatever"),
    );
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a");
    await it.end("b", "failed");
    await passTime(it.clock, receiver.deliveries, 5);
    const ids = receiver.deliveries.map(({ headers }) => headers["webhook-id"]);
    assert.equal(new Set(ids.slice(0, 4)).size, 1);
    assert.deepEqual(typesOf(receiver.deliveries).slice(3), ["download.completed", "download.failed"]);
    assert.deepEqual(
      it.logger.lines.filter(({ level }) => level !== "debug").map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("nobody there: kept over a restart, then delivered", async () => {
    const gone = await receiveWebhooks();
    await gone[Symbol.asyncDispose]();
    const store = new MemoryKeyValue();
    {
      await using it = await fixture([hook(gone.url)], store);
      await it.end("a");
      await it.end("b");
      await waitFor("the first try", () => it.logger.lines.length > 0);
    }
    await using receiver = await receiveWebhooks(undefined, Number(new URL(gone.url).port));
    await using it = await fixture([hook(gone.url)], store);
    const deliveries = await receiver.received(2);
    assert.deepEqual(
      deliveries.map(({ body }) => JSON.parse(body).data.url),
      ["http://origin.test/a", "http://origin.test/b"],
    );
    await waitFor("an empty queue", async () => (await waiting(it.store)) === 0);
  });

  test("a redirect is not followed, whatever it says", async () => {
    await using elsewhere = await receiveWebhooks();
    await using receiver = await receiveWebhooks((response, count) => {
      if (count < 5) response.writeHead(count % 2 ? 307 : 302, { location: elsewhere.url }).end();
      else response.writeHead(200).end();
    });
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a");
    await passTime(it.clock, receiver.deliveries, 5);
    assert.equal(elsewhere.deliveries.length, 0);
  });

  test("Retry-After is obeyed", async () => {
    const times: number[] = [];
    await using receiver = await receiveWebhooks((response, count) => {
      times.push(performance.now());
      response.writeHead(count === 1 ? 429 : 200, count === 1 ? { "retry-after": "1" } : {}).end();
    });
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a");
    await passTime(it.clock, receiver.deliveries, 2);
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) > 950);
  });

  test("a message that the receiver refuses does not hold up the others for ever", async () => {
    await using receiver = await receiveWebhooks(
      (response, count) => void response.writeHead(count <= 5 ? 400 : 200).end(),
    );
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a");
    await it.end("b", "failed");
    await passTime(it.clock, receiver.deliveries, 6);
    assert.deepEqual(typesOf(receiver.deliveries).slice(4), ["download.completed", "download.failed"]);
    assert.ok(it.logger.lines.some(({ level, message }) => level === "error" && /given up/.test(message)));
  });

  test("one that never answers is given up for the moment, and ends with the daemon", async () => {
    await using receiver = await receiveWebhooks(() => undefined);
    await using it = await fixture([hook(receiver.url)]);
    await it.end("a");
    await receiver.received(1);
    await passTime(it.clock, receiver.deliveries, 2);
    assert.match(it.logger.lines[0]?.message ?? "", /gave no answer within 30 s/);
  });

  test("messages for a receiver that is gone from the configuration are dropped", async () => {
    const gone = await receiveWebhooks();
    await gone[Symbol.asyncDispose]();
    const store = new MemoryKeyValue();
    {
      await using it = await fixture([hook(gone.url)], store);
      await it.end("a");
    }
    assert.equal(await waiting(store), 1);
    await using _ = await fixture([], store);
    assert.equal(await waiting(store), 0);
  });

  test("the signature is that of Standard Webhooks", () => {
    // The example of the scheme's own libraries.
    const headers = new Map(
      signedHeaders(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        '{"test": 2432232314}',
        1614265330_000,
      ),
    );
    assert.equal(headers.get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });
});
