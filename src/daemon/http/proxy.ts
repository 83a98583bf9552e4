/**
 * Which proxy a URL is asked through: what the configuration says, or else the usual environment variables, read as curl
 * reads them (everything.curl.dev, "Proxies"; `man curl`, ENVIRONMENT). Loopback is no exception, as with curl: whoever wants one names it.
 */
import type { Environment } from "../../shared/paths.ts";
import { redactUrl } from "../../shared/redact.ts";
import { basic, decoded } from "../core/basic-auth.ts";
import { failure } from "../core/errors.ts";
import { bypassOf } from "./proxy-bypass.ts";

/** How a proxy is talked to. With `socks5` names are resolved here, with `socks5h` by the proxy. */
type ProxyKind = "http" | "https" | "socks5" | "socks5h";

/** A proxy. */
export interface ProxyServer {
  readonly kind: ProxyKind;
  /** As in `URL.hostname`. */
  readonly hostname: string;
  readonly port: number;
  readonly user?: string;
  readonly password?: string;
  /** For people: without the password. */
  readonly shown: string;
}

/** Settings of proxies. */
export interface ProxyOptions {
  /** A proxy's URL; "direct" for none, whatever the environment says; "" for what the environment says. */
  readonly proxy: string;
  /** Hosts that are asked directly; empty: what NO_PROXY says. */
  readonly noProxy: readonly string[];
  readonly environment: Environment;
}

/** The ways through proxies. */
export interface Proxies {
  /** The proxy for a URL; undefined: none. @throws DownloadError CONFIG_INVALID if what names it is no proxy's URL */
  forUrl(url: URL): ProxyServer | undefined;
}

const KINDS: ReadonlySet<string> = new Set(["http", "https", "socks5", "socks5h"] satisfies ProxyKind[]);

/** curl's default port, but for HTTPS proxies. */
const DEFAULT_PORT = 1080;

/** Reads the settings; what is wrong with them is told when they are used. */
export function proxiesOf({ proxy, noProxy, environment }: ProxyOptions): Proxies {
  if (proxy === "direct") return { forUrl: () => undefined };
  const variable = (...names: readonly string[]): { name: string; value: string } | undefined => {
    const name = names.find((candidate) => (environment[candidate] ?? "") !== "");
    return name === undefined ? undefined : { name, value: environment[name] ?? "" };
  };
  const direct = bypassOf(noProxy.length > 0 ? noProxy.join(",") : (variable("no_proxy", "NO_PROXY")?.value ?? ""));
  const all = variable("all_proxy", "ALL_PROXY");
  const configured = proxy === "" ? undefined : { name: "http.proxy", value: proxy };
  const named = {
    // In capitals a CGI script's caller could set it, by a Proxy field (httpoxy, CVE-2016-5385).
    "http:": configured ?? variable("http_proxy") ?? all,
    "https:": configured ?? variable("https_proxy", "HTTPS_PROXY") ?? all,
  };
  const known = new Map<string, ProxyServer>();
  return {
    forUrl(url) {
      const found = url.protocol === "https:" ? named["https:"] : named["http:"];
      if (found === undefined || direct(url)) return undefined;
      const server = known.get(found.value) ?? parseProxy(found.value, found.name);
      known.set(found.value, server);
      return server;
    },
  };
}

/**
 * Reads a proxy's URL; without a scheme it is an HTTP proxy.
 *
 * @param origin - where it was found, for the message
 * @throws DownloadError CONFIG_INVALID
 */
export function parseProxy(text: string, origin: string): ProxyServer {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const refuse = (why: string): Error =>
    failure("CONFIG_INVALID", `${origin}: "${redactUrl(full)}" ${why}`, { metadata: { key: origin } });
  // Of a scheme that it does not know, the URL parser lets hosts pass that are none.
  const [scheme = ""] = full.toLowerCase().split(":");
  if (!KINDS.has(scheme))
    throw refuse("is not a proxy's URL: it begins with http://, https://, socks5:// or socks5h://");
  const url = URL.parse(full.replace(/^[^:]+/, "http"));
  if (url === null || url.hostname === "") throw refuse("is not a proxy's URL");
  const kind = scheme as ProxyKind;
  const given = /:(\d+)$/.exec(full.replace(/^[^:]+:\/\//, "").replace(/[/?#].*$/s, ""))?.[1];
  const port = given === undefined ? (kind === "https" ? 443 : DEFAULT_PORT) : Number(given);
  const user = decoded(url.username);
  const password = decoded(url.password);
  const most = kind === "socks5" || kind === "socks5h" ? 255 : Number.POSITIVE_INFINITY;
  if (Buffer.byteLength(user) > most || Buffer.byteLength(password) > most)
    throw refuse("has a longer user or password than SOCKS5 can carry (255 bytes)");
  return {
    kind,
    hostname: url.hostname,
    port,
    ...(user !== "" && { user }),
    ...(password !== "" && { password }),
    shown: `${kind}://${url.hostname}:${port}`,
  };
}

/** The Proxy-Authorization field's value (RFC 9110 §11.7.2), if the proxy's URL has credentials. */
export function proxyAuthorization({ user, password }: ProxyServer): string | undefined {
  if (user === undefined && password === undefined) return undefined;
  return basic(user ?? "", password ?? "");
}
