/**
 * Domains below which everybody can have a name of their own: a cookie for all of such a domain would reach strangers. The
 * public suffix list is far larger and changes every week; within one chain of redirects, which is all that cookies from
 * the network last here, its shape is enough. In doubt a domain counts as public: the cookie then stays with its own host.
 */

/** Second levels under which countries give out names: co.uk, com.br, ne.jp. */
const SECOND_LEVELS: ReadonlySet<string> = new Set(
  "ac ad asn asso co com ed edu firm gob gop gos gouv gov govt gub id in info int ltd mil muni name ne net nhs nom or org plc police sch school".split(
    " ",
  ),
);

/** Hosters whose customers have a name below theirs. */
const HOSTERS: readonly string[] = [
  "amazonaws.com",
  "appspot.com",
  "azureedge.net",
  "azurewebsites.net",
  "blogspot.com",
  "cloudfront.net",
  "cloudfunctions.net",
  "core.windows.net",
  "digitaloceanspaces.com",
  "duckdns.org",
  "dyndns.org",
  "fastly.net",
  "firebaseapp.com",
  "fly.dev",
  "github.io",
  "gitlab.io",
  "herokuapp.com",
  "hf.space",
  "myshopify.com",
  "netlify.app",
  "ngrok.io",
  "no-ip.org",
  "onrender.com",
  "pages.dev",
  "r2.dev",
  "surge.sh",
  "vercel.app",
  "web.app",
  "workers.dev",
];

/** True for a domain that may belong to many. @param domain - lower case, without dots around it */
export function isPublicSuffix(domain: string): boolean {
  const labels = domain.split(".");
  const [second = "", top = ""] = labels.slice(-2);
  if (labels.length < 2 || domain.startsWith("[")) return true;
  // With addresses the last label is a number.
  if (/^\d+$/.test(top)) return true;
  if (labels.length === 2 && top.length === 2 && (second.length <= 2 || SECOND_LEVELS.has(second))) return true;
  // Below a hoster: regions and services, up to the customer's own name.
  return HOSTERS.some((hoster) => domain === hoster || (hoster === "amazonaws.com" && domain.endsWith(`.${hoster}`)));
}
