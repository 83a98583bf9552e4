/** Addresses as documents write them. */

const LONGEST_URL = 16_384;

/** An http or https URL, whole, without its fragment. */
export function httpUrl(reference: string, base: string): string | undefined {
  const text = reference.trim();
  if (text === "" || text.length > LONGEST_URL) return undefined;
  const url = URL.parse(text, base);
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  url.hash = "";
  return url.href;
}

/** Parameters that open a door for a while, or count: two addresses that differ in them only are of the same thing. */
const PASSING =
  /^(x-(amz|goog)-.*|sig(nature)?|sign|expir(es?|y|ation)|exp|(access_?)?token|auth|hmac|hdnts?|key-pair-id|policy|awsaccesskeyid|googleaccessid|se|sp|sv|sr|st|utm_.*|ref(errer)?|nonce|ts|timestamp|_)$/i;

/** An address without what passes: what a thing is known by from one day to the next. */
export function stableUrl(address: string): string {
  const url = new URL(address);
  url.username = "";
  url.password = "";
  for (const name of new Set(url.searchParams.keys())) if (PASSING.test(name)) url.searchParams.delete(name);
  url.searchParams.sort();
  return url.href;
}
