/**
 * The netrc file: logins by host, as ftp(1) introduced it and curl, wget and aria2 read it. Tokens are parted by white space;
 * those in double quotes may hold it, with \" \\ \n \r \t inside (curl's manner).
 */
import type { Parsed } from "./watched-file.ts";

/** A login. */
export interface NetrcEntry {
  /** Lower case; undefined for `default`. */
  readonly machine: string | undefined;
  readonly login?: string;
  readonly password?: string;
}

/** All entries, in the order of the file. */
export type Netrc = readonly NetrcEntry[];

/** Reads a netrc file. What follows something that cannot be read is left out. */
export function parseNetrc(text: string): Parsed<Netrc> {
  const entries: { machine: string | undefined; login?: string; password?: string }[] = [];
  const problems: string[] = [];
  const tokens = new Tokens(text);
  for (let token = tokens.next(); token !== undefined; token = tokens.next()) {
    const entry = entries.at(-1);
    switch (token) {
      case "machine": {
        const machine = tokens.next();
        if (machine !== undefined) entries.push({ machine: machine.toLowerCase() });
        break;
      }
      case "default":
        entries.push({ machine: undefined });
        break;
      case "login":
      case "password": {
        const value = tokens.next();
        if (entry && value !== undefined) entry[token] ??= value;
        else problems.push(`line ${tokens.line}: "${token}" without ${entry ? "a value" : "a machine"}`);
        break;
      }
      case "account":
        tokens.next();
        break;
      case "macdef":
        tokens.skipMacro();
        break;
      default:
        // The word may be a piece of a password: it is not shown.
        problems.push(`line ${tokens.line}: a word that is not of netrc; the rest of the file is not read`);
        return { value: entries, problems };
    }
  }
  return { value: entries, problems };
}

/**
 * The login for a host.
 *
 * @param hostname - as in `URL.hostname`
 * @param login - the entry must have this one; undefined: the first that has any
 * @param own - only an entry that names the host, never `default`
 */
export function findLogin(
  netrc: Netrc,
  hostname: string,
  { login, own }: { readonly login?: string | undefined; readonly own: boolean },
): Required<Pick<NetrcEntry, "login" | "password">> | undefined {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const fits = (entry: NetrcEntry): boolean => login === undefined || entry.login === login;
  const found =
    netrc.find((entry) => entry.machine === host && fits(entry)) ??
    (own ? undefined : netrc.find((entry) => entry.machine === undefined && fits(entry)));
  if (found?.login === undefined && found?.password === undefined) return undefined;
  return { login: found.login ?? "", password: found.password ?? "" };
}

/** The words of the file. */
class Tokens {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.replace(/^\uFEFF/, "");
  }

  /** Of the last word. */
  get line(): number {
    return this.#text.slice(0, this.#at).split("\n").length;
  }

  next(): string | undefined {
    for (;;) {
      this.#read(/\s*/y);
      if (this.#at >= this.#text.length) return undefined;
      if (this.#text[this.#at] === '"') return this.#quoted();
      if (this.#text[this.#at] !== "#" || !this.#beginsLine()) return this.#read(/\S+/y);
      this.#read(/[^\n]*/y);
    }
  }

  /** A macro ends with an empty line. */
  skipMacro(): void {
    const end = /\n[ \t\r]*\n/g;
    end.lastIndex = this.#at;
    this.#at = end.test(this.#text) ? end.lastIndex : this.#text.length;
  }

  #quoted(): string {
    const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };
    const inner = this.#read(/"(?:[^"\\]|\\[\s\S])*/y).slice(1);
    this.#read(/"?/y);
    return inner.replace(/\\([\s\S])/g, (_all, char: string) => escapes[char] ?? char);
  }

  /** @param pattern - sticky, so that the whole file is gone through once */
  #read(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #beginsLine(): boolean {
    let at = this.#at - 1;
    while (this.#text[at] === " " || this.#text[at] === "\t") at--;
    return at < 0 || this.#text[at] === "\n";
  }
}
