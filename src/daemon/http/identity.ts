/**
 * Who we are to a host: logins of the netrc file and cookies, where the caller gave neither. Asked anew for every hop of a
 * redirect, by the hop's own URL, so that what belongs to one host is told to no other.
 */
import { basic } from "../core/basic-auth.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { type Cookie, cookieField, parseSetCookie, withCookie } from "./cookie.ts";
import { parseCookieFile } from "./cookie-file.ts";
import { type Hop, userOf } from "./hop.ts";
import { findLogin, type Netrc, parseNetrc } from "./netrc.ts";
import { WatchedFile } from "./watched-file.ts";

/** Cookies that one chain of redirects may set. */
const MOST_COOKIES = 100;

/** Bytes of one Set-Cookie field that is read (RFC 6265bis §5.6). */
const MOST_COOKIE_BYTES = 8192;

/** Where secrets are kept. */
export interface IdentityOptions {
  /** Empty: none. */
  readonly netrc: string;
  /** The file need not exist. */
  readonly netrcOptional: boolean;
  /** Empty: none. */
  readonly cookieFile: string;
}

/** What a request is sent with at one hop. */
interface Credentials {
  /** Value of the Authorization field. */
  readonly authorization?: string;
  /** Value of the Cookie field. */
  readonly cookie?: string;
}

/** Who leads to a hop. */
interface LedBy {
  /** The first URL was named by an answer or a document, and by no person. */
  readonly named: boolean;
  /** A caller over TCP, for whom the owner's secrets are not. */
  readonly remote: boolean;
}

/** One request with all of its redirects. */
export interface ChainIdentity {
  /** What the caller's own fields leave open. @param given - names of the fields that are sent to this hop, lower case */
  at(hop: Hop, first: Hop, given: ReadonlySet<string>, by: LedBy): Promise<Credentials>;
  /**
   * Keeps what a hop's answer set, for the rest of this chain only.
   *
   * @param setCookie - fields with line feeds between them
   * @returns true if there was something to keep
   */
  learn(hop: Hop, setCookie: string | undefined): boolean;
}

/** Knows the secrets of hosts. */
export class Identity {
  readonly #clock: Clock;
  readonly #netrc: WatchedFile<Netrc> | undefined;
  readonly #cookies: WatchedFile<readonly Cookie[]> | undefined;

  constructor({ netrc, netrcOptional, cookieFile }: IdentityOptions, parts: { clock: Clock; logger: Logger }) {
    this.#clock = parts.clock;
    if (netrc !== "")
      this.#netrc = new WatchedFile({
        path: netrc,
        what: "netrc file",
        expected: !netrcOptional,
        secret: true,
        parse: parseNetrc,
        ...parts,
      });
    if (cookieFile !== "")
      this.#cookies = new WatchedFile({
        path: cookieFile,
        what: "cookie file",
        expected: true,
        secret: false,
        parse: parseCookieFile,
        ...parts,
      });
  }

  /** What is wrong with the files, for people; and how much is in them. */
  async report(): Promise<{ readonly problems: readonly string[]; readonly logins: number; readonly cookies: number }> {
    const logins = (await this.#netrc?.current())?.length ?? 0;
    const cookies = (await this.#cookies?.current())?.length ?? 0;
    return { problems: [...(this.#netrc?.problems ?? []), ...(this.#cookies?.problems ?? [])], logins, cookies };
  }

  begin(): ChainIdentity {
    let own: readonly Cookie[] = [];
    return {
      at: async (hop, first, given, by) => {
        const cookies = this.#cookies && !by.remote ? [...((await this.#cookies.current()) ?? [])] : [];
        const all = own.reduce<readonly Cookie[]>(withCookie, cookies);
        const cookie =
          given.has("cookie") || all.length === 0 ? undefined : cookieField(all, hop.url, this.#clock.now());
        const authorization = given.has("authorization") ? undefined : await this.#login(hop, first, by);
        return { ...(cookie !== undefined && { cookie }), ...(authorization !== undefined && { authorization }) };
      },
      learn: (hop, setCookie) => {
        const before = own;
        for (const field of setCookie?.split("\n") ?? []) {
          if (field.length > MOST_COOKIE_BYTES || own.length >= MOST_COOKIES) continue;
          const cookie = parseSetCookie(field, hop.url, this.#clock.now());
          if (cookie) own = withCookie(own, cookie);
        }
        return own !== before;
      },
    };
  }

  async #login(hop: Hop, first: Hop, { named, remote }: LedBy): Promise<string | undefined> {
    const { credentials, login } = userOf(hop, first);
    const netrc = remote ? undefined : await this.#netrc?.current();
    // What was kept secret on the way out is not told in the clear on the way back.
    if (netrc === undefined || (first.url.protocol === "https:" && hop.url.protocol === "http:")) return credentials;
    // Whoever names a host must not choose that its login goes in the clear, or to another service of it.
    const own = named || hop.url.hostname !== first.url.hostname;
    if (own && (hop.url.protocol !== "https:" || hop.url.port !== "")) return credentials;
    const found = findLogin(netrc, hop.url.hostname, { login, own });
    return found ? basic(found.login, found.password) : credentials;
  }
}
