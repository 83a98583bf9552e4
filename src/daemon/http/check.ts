/**
 * Is the network there, and is everything that lies on the way to it in order? An origin is asked only if the configuration
 * names a URL to ask: a daemon does not call home unbidden.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Check } from "../core/ports/house.ts";
import type { HttpClient } from "../core/ports/http.ts";
import type { Identity } from "./identity.ts";
import type { Proxies } from "./proxy.ts";

/** What the checks look at. */
export interface HttpCheckParts {
  readonly client: HttpClient;
  readonly proxies: Proxies;
  readonly identity: Identity;
  /** What to ask for; undefined: the check says that it is off. */
  readonly url: string | undefined;
}

/** The checks of this room. */
export function httpChecks(parts: HttpCheckParts): readonly Check[] {
  return [proxyCheck(parts.proxies), loginsCheck(parts.identity), networkCheck(parts)];
}

/** Asks for the URL. */
function networkCheck({ client, url, proxies }: HttpCheckParts): Check {
  return {
    id: "network",
    title: "Network",
    async run(signal) {
      if (url === undefined)
        return { status: "skipped", message: "no URL to try is configured, so the network was not tried" };
      const shown = redactUrl(url);
      try {
        const proxy = proxies.forUrl(new URL(url));
        const response = await client.request({ url, method: "HEAD", timeoutMs: 5000 }, signal);
        response.cancel();
        const way = proxy ? `, by way of the proxy ${proxy.shown}` : "";
        return { status: "ok", message: `${shown} answers (HTTP ${response.status})${way}` };
      } catch (error) {
        const { code, message, entry } = asDownloadError(error);
        return { status: "warning", message: `${shown}: ${message}`, fix: entry.hint, details: { code } };
      }
    },
  };
}

/** Which proxies are used. */
function proxyCheck(proxies: Proxies): Check {
  return {
    id: "proxy",
    title: "Proxy",
    async run() {
      try {
        // Names that nobody excepts from the proxy.
        const [http, https] = ["http://snatch.invalid/", "https://snatch.invalid/"].map(
          (url) => proxies.forUrl(new URL(url))?.shown ?? "directly",
        );
        if (http === "directly" && https === "directly") return { status: "ok", message: "hosts are asked directly" };
        const message = http === https ? `everything goes by ${http}` : `http goes by ${http}, https goes by ${https}`;
        return { status: "ok", message: message.replaceAll("goes by directly", "goes directly") };
      } catch (error) {
        const { code, message, entry } = asDownloadError(error);
        return { status: "failed", message, fix: entry.hint, details: { code } };
      }
    },
  };
}

/** The netrc file and the cookie file. */
function loginsCheck(identity: Identity): Check {
  return {
    id: "logins",
    title: "Logins and cookies",
    async run() {
      const { problems, logins, cookies } = await identity.report();
      const message = `${logins} logins and ${cookies} cookies are known`;
      const [first] = problems;
      if (first === undefined) return { status: "ok", message };
      const more = problems.length > 1 ? `, and ${problems.length - 1} more` : "";
      return {
        status: "warning",
        message: `${first}${more}`,
        fix: "Correct the file, or name another by http.netrc or http.cookie_file.",
        details: { logins: String(logins), cookies: String(cookies) },
      };
    },
  };
}
