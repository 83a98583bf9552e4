/**
 * The Link field (RFC 8288), as far as RFC 6249 uses it: `rel=duplicate` names another place with the same bytes, `rel=describedby` a Metalink. Relative
 * targets are resolved; what is not http or https is left out, and a field that breaks off counts up to there.
 */
import type { HttpResponse } from "../core/ports/http.ts";

/** More mirrors than this of one file help nobody. */
const MOST_MIRRORS = 16;

/** RFC 6249 §3.1: what does not say how much it is preferred comes last. */
const LAST = 999_999;

const TARGET = /[ \t,]*<([^<>]{1,8192})>/y;
const PARAMETER =
  /[ \t]*;[ \t]*([!#$&+.^_`|~\w*-]{1,64})(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.){0,2048})"|([^\s,;"]{0,2048})))?/y;

/**
 * The URLs of duplicates, the preferred ones first.
 *
 * @param base - what relative targets are relative to
 */
export function duplicateLinks(value: string | undefined, base: string): readonly string[] {
  if (value === undefined) return [];
  const links = [...readLinks(value)]
    .filter(({ parameters }) => relates(parameters, "duplicate"))
    .map(({ target, parameters }) => ({ url: absolute(target, base), order: priority(parameters.get("pri")) }))
    .toSorted((a, b) => a.order - b.order);
  const urls = new Set(links.flatMap(({ url }) => (url === undefined || url === base ? [] : [url])));
  return [...urls].slice(0, MOST_MIRRORS);
}

/**
 * The links of a redirect that are about what it leads to, for {@link duplicateLinks} and {@link descriptionLink}: whoever
 * sends to mirrors names them there (RFC 6249 §1).
 */
export function absoluteLinks(value: string | undefined, base: string): readonly string[] {
  const duplicates = duplicateLinks(value, base).map((url, at) => `<${url}>; rel=duplicate; pri=${at + 1}`);
  const description = descriptionLink(value, base);
  return description === undefined
    ? duplicates
    : [...duplicates, `<${description}>; rel=describedby; type="application/metalink4+xml"`];
}

/** All that an answer and the redirects to it link to, as one field. */
export function allLinks({ headers, links = [] }: Pick<HttpResponse, "headers" | "links">): string | undefined {
  const own = headers.get("link");
  return links.length === 0 ? own : [...(own === undefined ? [] : [own]), ...links].join(", ");
}

function* readLinks(value: string): Generator<{ target: string; parameters: ReadonlyMap<string, string> }> {
  for (let at = 0; ; ) {
    TARGET.lastIndex = at;
    const link = TARGET.exec(value);
    if (!link) return;
    at = TARGET.lastIndex;
    const parameters = new Map<string, string>();
    for (;;) {
      PARAMETER.lastIndex = at;
      const match = PARAMETER.exec(value);
      if (!match) break;
      at = PARAMETER.lastIndex;
      const name = (match[1] ?? "").toLowerCase();
      // The first one counts (RFC 8288 §3.3).
      if (!parameters.has(name)) parameters.set(name, match[2]?.replace(/\\(.)/gs, "$1") ?? match[3] ?? "");
    }
    yield { target: link[1] ?? "", parameters };
  }
}

/** The URL of the Metalink that describes the resource (RFC 6249 §4), if there is one. */
export function descriptionLink(value: string | undefined, base: string): string | undefined {
  if (value === undefined) return undefined;
  for (const { target, parameters } of readLinks(value)) {
    const type = parameters.get("type")?.trim().toLowerCase();
    if (type === "application/metalink4+xml" && relates(parameters, "describedby")) return absolute(target, base);
  }
  return undefined;
}

/** A link about something else than this resource (`anchor`) is none of its own. */
function relates(parameters: ReadonlyMap<string, string>, relation: string): boolean {
  const relations = (parameters.get("rel") ?? "").toLowerCase().split(/\s+/);
  return !parameters.has("anchor") && relations.includes(relation);
}

function priority(text: string | undefined): number {
  return text !== undefined && /^\d{1,6}$/.test(text) && Number(text) > 0 ? Number(text) : LAST;
}

function absolute(target: string, base: string): string | undefined {
  const url = URL.parse(target.trim(), base);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:") || url.username !== "" || url.password !== "")
    return undefined;
  url.hash = "";
  return url.href.length > 8192 ? undefined : url.href;
}
