/**
 * What a webhook says, and how it is signed: the scheme of Standard Webhooks (standardwebhooks.com), so that receivers find
 * a library for it in most languages.
 */
import { createHmac } from "node:crypto";
import { redactUrl } from "../../shared/redact.ts";
import type { SessionEvent } from "../core/events.ts";
import type { WebhookEvent } from "../core/hooks.ts";
import type { Session } from "../core/session.ts";
import { endOf } from "./endings.ts";

/** A secret that begins so goes on with the key in base64. */
const BASE64_KEY = "whsec_";

/** What an event of a session is called here; undefined for those that no webhook is told of. */
export function webhookEvent(event: SessionEvent): WebhookEvent | undefined {
  if (event.type === "created") return "created";
  return event.type === "cleaned" ? "forgotten" : endOf(event);
}

/** The body: JSON, names in snake_case, times as ISO 8601. No secret is in it. @param now - milliseconds since the epoch */
export function webhookBody(event: WebhookEvent, session: Session, now: number): string {
  const { file, error, options } = session;
  return JSON.stringify({
    type: `download.${event}`,
    timestamp: new Date(now).toISOString(),
    data: {
      session_id: session.id,
      batch_id: session.batchId,
      url: redactUrl(session.url),
      status: session.status,
      attempt: session.attempt,
      created_at: new Date(session.createdAt).toISOString(),
      completed_at: session.completedAt && new Date(session.completedAt).toISOString(),
      path: file?.path,
      size: file?.size,
      sha256: file && options.checksum?.algorithm === "sha-256" ? options.checksum.value : undefined,
      manifest_root: session.manifestRoot,
      content_type: session.resource?.contentType,
      error: event === "failed" && error ? { code: error.code, message: error.message } : undefined,
    },
  });
}

/**
 * The header fields of one delivery.
 *
 * @param id - the same at every try of one message, so that a receiver can tell repetitions
 * @param now - milliseconds since the epoch; signed too, so that an old delivery cannot be played again
 */
export function signedHeaders(secret: string, id: string, body: string, now: number): [string, string][] {
  const timestamp = Math.floor(now / 1000);
  const key = secret.startsWith(BASE64_KEY) ? Buffer.from(secret.slice(BASE64_KEY.length), "base64") : secret;
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return [
    ["content-type", "application/json"],
    ["webhook-id", id],
    ["webhook-timestamp", String(timestamp)],
    ["webhook-signature", `v1,${signature}`],
  ];
}
