/** What was given for a URL's origin goes to that origin, and to no other: header fields, and the user that the URL names. */
import { basic, decoded } from "./basic-auth.ts";
import type { DownloadOptions } from "./session.ts";

/** True if what is for one URL's origin may be sent to the other. */
export function sameOrigin(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}

/**
 * The fields for a URL that something at another one named: those that were given for `asked`, and its user as a Basic
 * Authorization (RFC 7617), if the two have the same origin; else none.
 *
 * @param asked - what was asked for, with its user if it has one
 */
export function ownHeaders(
  url: string,
  asked: string,
  headers: NonNullable<DownloadOptions["headers"]> = [],
): NonNullable<DownloadOptions["headers"]> {
  if (!sameOrigin(url, asked)) return [];
  const { username, password } = new URL(asked);
  const own = new URL(url);
  // A user without a password is one whose password the machine's owner has; a user of its own goes before.
  if (password === "" || own.username !== "" || own.password !== "") return headers;
  if (headers.some(([name]) => name.toLowerCase() === "authorization")) return headers;
  return [...headers, ["Authorization", basic(decoded(username), decoded(password))]];
}
