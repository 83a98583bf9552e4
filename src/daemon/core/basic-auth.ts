/** The user information of URLs, and what it becomes in a request (RFC 7617). */

/** The value of an Authorization field, or of a Proxy-Authorization field. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** Text without its percent-encoding (RFC 3986 §2.1); as it is, where that is broken. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
