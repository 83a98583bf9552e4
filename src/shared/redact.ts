/** Keeps secrets out of logs, lists and errors. */

/** Header fields whose value is a secret by their name. */
const SECRET_HEADER =
  /^(authorization|proxy-authorization|cookie|set-cookie)$|token|secret|api[-_]?key|auth|signature/i;

/** Query parameters whose value is a secret by their name: tokens, keys and signatures of signed URLs. */
const SECRET_PARAMETER = /token|secret|passw|api[-_]?key|^key$|auth|signature|^sig$|credential|session/i;

/** What a query has if {@link SECRET_PARAMETER} may fit one of its names, which can be encoded. Lists look at thousands. */
const SUSPECT = /[%\s]|token|secret|passw|key|auth|sig|credential|session/i;

/** True for a header field that must not be shown, logged or sent to another origin. */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADER.test(name);
}

/**
 * A URL that can be shown: a password and the values of secret-looking parameters become `***`. Text that is no URL is
 * returned as it is.
 */
export function redactUrl(text: string): string {
  const query = text.indexOf("?");
  if (!text.includes("@") && (query === -1 || !SUSPECT.test(text.slice(query)))) return text;
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  if (url.password) url.password = "***";
  let changed = Boolean(url.password);
  for (const name of new Set(url.searchParams.keys())) {
    if (!SECRET_PARAMETER.test(name)) continue;
    url.searchParams.set(name, "***");
    changed = true;
  }
  return changed ? url.href : text;
}
