/**
 * An HTML page as text and as a tree: its charset found as browsers find it, its size and nesting bounded, no script run and
 * nothing fetched. The tree is htmlparser2's, made in one pass whatever the nesting is.
 */
import { type CheerioAPI, load } from "cheerio/slim";
import { failure } from "../core/errors.ts";

/** Bytes of a page. */
export const MOST_PAGE_BYTES = 16 * 1024 * 1024;

/** Tags that a page may open. */
const MOST_TAGS = 400_000;

/** Elements that are open at once, as if none ended by itself: the time for a tree grows with the square of its depth. */
const MOST_OPEN = 20_000;

/** Elements without an end. */
const VOID = new Set("area base br col embed hr img input link meta param source track wbr".split(" "));

/** Bytes in which a page has to say how it is written (HTML, "prescan a byte stream"; some say it late). */
const PRESCAN = 4096;

const LONGEST_URL = 16_384;

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
  const text = decodeHtml(bytes, contentType);
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

/** An http or https URL, whole, without its fragment. */
export function httpUrl(reference: string, base: string): string | undefined {
  const text = reference.trim();
  if (text === "" || text.length > LONGEST_URL) return undefined;
  const url = URL.parse(text, base);
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  url.hash = "";
  return url.href;
}

/** The page's text: by byte order mark, by the header, by what it says itself, else as UTF-8 or Windows-1252. */
function decodeHtml(bytes: Uint8Array, contentType = ""): string {
  const beginning = Buffer.from(bytes.subarray(0, PRESCAN)).toString("latin1");
  const mark = beginning.startsWith("\u00FF\u00FE")
    ? "utf-16le"
    : beginning.startsWith("\u00FE\u00FF")
      ? "utf-16be"
      : beginning.startsWith("\u00EF\u00BB\u00BF")
        ? "utf-8"
        : undefined;
  const declared = [mark, charset(contentType), metaCharset(beginning)];
  for (const label of declared) {
    const decoder = label === undefined ? undefined : decoderOf(label);
    if (decoder) return decoder.decode(bytes);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

function charset(text: string): string | undefined {
  return /charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(text)?.[1];
}

function metaCharset(beginning: string): string | undefined {
  for (const [tag] of beginning.matchAll(/<meta[^>]{0,1000}>/gi)) {
    const label = charset(tag);
    // A page that can be read as bytes is no UTF-16, whatever it says.
    if (label !== undefined) return /^utf-16/i.test(label) ? "utf-8" : label;
  }
  return undefined;
}

function decoderOf(label: string): { decode(bytes: Uint8Array): string } | undefined {
  try {
    return new TextDecoder(label);
  } catch {
    return undefined;
  }
}
