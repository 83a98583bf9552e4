/**
 * Addresses of the names that a person configured. They are asked of the name servers directly (c-ares): getaddrinfo takes one
 * of the few threads that all file work of the process shares, for as long as a server does not answer, and cannot be called
 * off, so that a daemon without a network would stand still with it, and end late.
 */
import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";

/** Milliseconds for a question, and how often it is asked. */
const QUESTION_MS = 1500;
const TRIES = 2;

/** Names that no name server knows, but this machine or its network may. */
const LOCAL = /^[^.]+$|\.(local|lan|internal|home\.arpa)$/i;

/** This machine itself: nobody is asked (RFC 6761 §6.3). */
const LOCALHOST = /^(.*\.)?localhost\.?$/i;

/** A name server has answered, and knows no such name: it may be in this machine's own list. */
const UNKNOWN = new Set(["ENOTFOUND", "ENODATA"]);

/** True if nobody has to be asked what it stands for. @param host - without brackets */
export function needsNoLookup(host: string): boolean {
  return isIP(host) !== 0 || LOCALHOST.test(host);
}

/**
 * @param host - a name or an address, without brackets
 * @returns IPv4 first; at least one
 * @throws the system's error; the signal's reason
 */
export async function resolveHost(
  host: string,
  { signal, family = 0 }: { readonly signal: AbortSignal; readonly family?: 0 | 4 },
): Promise<readonly string[]> {
  signal.throwIfAborted();
  if (isIP(host) !== 0) return [host];
  if (LOCALHOST.test(host)) return family === 4 ? ["127.0.0.1"] : ["127.0.0.1", "::1"];
  if (LOCAL.test(host)) return bySystem(host, family);
  const resolver = new Resolver({ timeout: QUESTION_MS, tries: TRIES });
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const answers = await Promise.allSettled([
      resolver.resolve4(host),
      ...(family === 4 ? [] : [resolver.resolve6(host)]),
    ]);
    signal.throwIfAborted();
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    const [first] = answers;
    const why = first?.status === "rejected" ? (first.reason as NodeJS.ErrnoException) : undefined;
    if (UNKNOWN.has(why?.code ?? "")) return await bySystem(host, family);
    throw why;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function bySystem(host: string, family: 0 | 4): Promise<readonly string[]> {
  return (await lookup(host, { all: true, family, order: "ipv4first" })).map(({ address }) => address);
}
