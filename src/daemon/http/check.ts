/** Is the network there? Asked only if the configuration names a URL to ask: a daemon does not call home unbidden. */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Check, HttpClient } from "../core/ports.ts";

/** @param url - what to ask for; undefined: the check says that it is off */
export function networkCheck(client: HttpClient, url: string | undefined): Check {
  return {
    id: "network",
    title: "Network",
    async run(signal) {
      if (url === undefined)
        return { status: "skipped", message: "no URL to try is configured, so the network was not tried" };
      const shown = redactUrl(url);
      try {
        const response = await client.request({ url, method: "HEAD", timeoutMs: 5000 }, signal);
        response.cancel();
        return { status: "ok", message: `${shown} answers (HTTP ${response.status})` };
      } catch (error) {
        const { code, message, entry } = asDownloadError(error);
        return { status: "warning", message: `${shown}: ${message}`, fix: entry.hint, details: { code } };
      }
    },
  };
}
