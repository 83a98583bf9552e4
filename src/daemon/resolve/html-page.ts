/**
 * An HTML page as text and as a tree: its charset found as browsers find it, its size and nesting bounded, no script run and
 * nothing fetched. The tree is htmlparser2's, made in one pass whatever the nesting is.
 */
import { type CheerioAPI, load } from "cheerio/slim";
import { failure } from "../core/errors.ts";
import { httpUrl } from "./address.ts";
import { charsetIn, decodeText } from "./charset.ts";

/** Bytes of a page. */
export const MOST_PAGE_BYTES = 16 * 1024 * 1024;

/** Tags that a page may open. */
const MOST_TAGS = 400_000;

/** Elements that are open at once, as if none ended by itself: the time for a tree grows with the square of its depth. */
const MOST_OPEN = 20_000;

/** Elements without an end. */
const VOID = new Set("area base br col embed hr img input link meta param source track wbr".split(" "));

/** A page that was read. */
export interface HtmlPage {
  readonly $: CheerioAPI;
  /** The address of a reference in it; undefined if it is none that is fetched here. */
  resolve(reference: string | undefined): string | undefined;
}

/**
 * Reads a page.
 *
 * @param url - of the page, after redirects
 * @throws ResourceError PAGE_INVALID
 */
export function readHtml(bytes: Uint8Array, url: string, contentType?: string): HtmlPage {
  const text = decodeText(bytes, contentType, metaCharset);
  checkTags(text);
  const $ = load(text);
  const declared = $("base[href]").first().attr("href")?.trim();
  const base = (declared !== undefined && httpUrl(declared, url)) || url;
  return { $, resolve: (reference) => (reference === undefined ? undefined : httpUrl(reference, base)) };
}

/** @throws ResourceError PAGE_INVALID if there are too many, or too many inside of one another */
function checkTags(text: string): void {
  const open = new Map<string, number>();
  let tags = 0;
  let depth = 0;
  for (const [, end, written = ""] of text.matchAll(/<(\/?)([a-z][^\s/>]{0,40})/gi)) {
    if (++tags > MOST_TAGS) throw failure("PAGE_INVALID", `the page has more than ${MOST_TAGS} tags`);
    const name = written.toLowerCase();
    if (VOID.has(name)) continue;
    const before = open.get(name) ?? 0;
    // An end of something that was not begun ends nothing.
    const step = end === "" ? 1 : before > 0 ? -1 : 0;
    open.set(name, before + step);
    depth += step;
    if (depth > MOST_OPEN) throw failure("PAGE_INVALID", `more than ${MOST_OPEN} elements of the page do not end`);
  }
}

function metaCharset(beginning: string): string | undefined {
  for (const [tag] of beginning.matchAll(/<meta[^>]{0,1000}>/gi)) {
    const label = charsetIn(tag);
    // A page that can be read as bytes is no UTF-16, whatever it says.
    if (label !== undefined) return /^utf-16/i.test(label) ? "utf-8" : label;
  }
  return undefined;
}
