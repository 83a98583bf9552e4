/** Somebody who is told: a server on loopback that keeps what is posted to it, and checks signatures as a stranger would. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { waitFor } from "./wait.ts";

/** One request. */
export interface Delivery {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A receiver that runs. `await using` ends it. */
export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string;
  readonly deliveries: readonly Delivery[];
  /** Resolves when so many have come. */
  received(count: number): Promise<readonly Delivery[]>;
}

/** Starts a receiver. @param answer - default: 204 @param port - default: any that is free */
export async function receiveWebhooks(
  answer: (response: ServerResponse, count: number) => void = (response) => void response.writeHead(204).end(),
  port = 0,
): Promise<WebhookReceiver> {
  const deliveries: Delivery[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      deliveries.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      answer(response, deliveries.length);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/hook`,
    deliveries,
    received: async (count) => {
      await waitFor(`${count} deliveries`, () => deliveries.length >= count);
      return deliveries;
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** True if the delivery was signed with this secret, as standardwebhooks.com describes it, not more than 5 minutes ago. */
export function isSigned({ headers, body }: Delivery, secret: string, now: number = Date.now()): boolean {
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    String(headers[name]),
  );
  if (Math.abs(now / 1000 - Number(timestamp)) > 300) return false;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  return (signatures ?? "").split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}
