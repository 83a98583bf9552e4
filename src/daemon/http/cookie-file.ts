/**
 * cookies.txt, Netscape's format, as browsers' add-ons, curl and wget write it: seven fields with tabs between them, and
 * `#HttpOnly_` in front of what scripts may not see.
 */
import { COOKIE_TEXT, type Cookie } from "./cookie.ts";
import { isPublicSuffix } from "./public-suffix.ts";
import type { Parsed } from "./watched-file.ts";

/** Reads the file. Lines that cannot be read are named by their number, never by what they hold. */
export function parseCookieFile(text: string): Parsed<readonly Cookie[]> {
  const value: Cookie[] = [];
  const problems: string[] = [];
  text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .forEach((written, index) => {
      const line = written.replace(/^#HttpOnly_/i, "");
      if (line.trim() === "" || line.startsWith("#")) return;
      const cookie = parseLine(line);
      if (typeof cookie === "string") problems.push(`line ${index + 1}: ${cookie}`);
      else value.push(cookie);
    });
  return { value, problems };
}

/** @returns the cookie, or what is wrong */
function parseLine(line: string): Cookie | string {
  const [domainField = "", below = "", path = "", secure = "", expiry = "", name = "", ...rest] = line.split("\t");
  // Some writers leave out the tab before an empty value.
  if (expiry === "" || (name === "" && rest.length === 0)) return "not seven fields with tabs between them";
  const flags = [below, secure].map((flag) => flag.toUpperCase());
  if (flags.some((flag) => flag !== "TRUE" && flag !== "FALSE")) return "a flag that is neither TRUE nor FALSE";
  if (!path.startsWith("/")) return "a path that does not begin with /";
  if (!/^-?\d+(\.\d+)?$/.test(expiry)) return "an expiry that is no number of seconds";
  const value = rest.join("\t");
  if (!COOKIE_TEXT.test(name + value) || /[;\t]/.test(name + value)) return "a cookie that cannot be sent";
  const domain = URL.parse(`http://${domainField.replace(/^\./, "")}/`)?.hostname;
  if (domain === undefined) return "a domain that is no host's name";
  const hostOnly = flags[0] === "FALSE";
  if (!hostOnly && isPublicSuffix(domain)) return "a cookie for a domain that belongs to many";
  return {
    name,
    value,
    domain,
    hostOnly,
    path,
    secure: flags[1] === "TRUE",
    // 0 is a cookie of the session.
    ...(Number(expiry) > 0 && { expires: Number(expiry) * 1000 }),
  };
}
