/**
 * What is known of a URL from its origin's answer. Documents (text, HTML, JSON, XML) bring their body along, parsed if it is
 * JSON; of anything else only the head is read, so that the metadata of a film does not cost a film.
 */
import type { HttpResponse } from "../core/ports/http.ts";
import type { Taken } from "./answer-kind.ts";
import { type Json, type KeptAnswer, parse } from "./answer-note.ts";
import { readBody } from "./read-body.ts";

/** The metadata of a URL that was fetched. Plain JSON. */
export interface UrlMetadata {
  /** After redirects; without user information. */
  readonly url: string;
  readonly status: number;
  /** The fields that describe the resource, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** The media type, without parameters, lower case. */
  readonly contentType?: string;
  /** Bytes of the resource, as far as is known. */
  readonly size?: number;
  readonly etag?: string;
  /** As the origin writes it. */
  readonly lastModified?: string;
  /** When the origin last said that this is so; milliseconds since the epoch. */
  readonly validatedAt: number;
  /** Of a page, or the `title` of a JSON object. */
  readonly title?: string;
  /** The document, if it is JSON. */
  readonly json?: Json;
  /** The document, if it is other text. */
  readonly text?: string;
}

/** Fields that describe the resource; others are about the connection, the server or the reader. */
const DESCRIBING = [
  "accept-ranges",
  "cache-control",
  "content-digest",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-length",
  "content-type",
  "date",
  "etag",
  "expires",
  "last-modified",
  "link",
  "repr-digest",
];

const DOCUMENT = /^(text\/.*|application\/(.*\+)?(json|xml))$/;
const JSON_TYPE = /^(application|text)\/(.*\+)?json$/;
const HTML_TYPE = /^(text\/html|application\/xhtml\+xml)$/;

/** Characters of a page in which its title is looked for, and of a title that are kept. */
const TITLE_WITHIN = 256 * 1024;
const LONGEST_TITLE = 1000;

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

/** Reads an answer's body as far as it is part of the metadata. @throws DownloadError as {@link readBody} */
export async function takeMetadata(response: HttpResponse, maxBytes: number): Promise<Taken> {
  const type = mediaType(response.headers.get("content-type"));
  if (type === undefined || !DOCUMENT.test(type)) {
    response.cancel();
    return { body: new Uint8Array(), found: null };
  }
  const body = await readBody(response, maxBytes);
  const text = decode(body, response.headers.get("content-type"));
  const json = JSON_TYPE.test(type) ? parse(text) : undefined;
  const title = titleOf(type, text, json);
  return {
    body: Buffer.from(JSON.stringify(json === undefined ? { text } : { json })),
    found: { size: body.length, ...(title && { title }) },
  };
}

/** The metadata of a kept answer. */
export function metadataOf({ url, status, headers, responseTime, found }: KeptAnswer, body: Uint8Array): UrlMetadata {
  const document =
    body.length === 0 ? {} : (JSON.parse(Buffer.from(body).toString()) as Pick<UrlMetadata, "json" | "text">);
  const contentType = mediaType(headers.get("content-type"));
  const etag = headers.get("etag");
  const lastModified = headers.get("last-modified");
  const length = headers.get("content-length");
  const size = length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
  const kept = DESCRIBING.flatMap((name) => {
    const value = headers.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    url,
    status,
    headers: Object.fromEntries(kept),
    validatedAt: responseTime,
    ...(contentType !== undefined && { contentType }),
    ...(size !== undefined && { size }),
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { lastModified }),
    // What was read outweighs what was announced: that may count a coded form.
    ...(found as { readonly size?: number; readonly title?: string } | null),
    ...document,
  };
}

/** A Content-Type without its parameters. */
export function mediaType(contentType: string | undefined): string | undefined {
  const type = contentType?.split(";")[0]?.trim().toLowerCase();
  return type !== undefined && /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}$/.test(type) ? type : undefined;
}

function decode(body: Uint8Array, contentType: string | undefined): string {
  const charset = /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset).decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}

function titleOf(type: string, text: string, json: Json | undefined): string | undefined {
  if (json !== undefined) {
    const title = typeof json === "object" && json !== null && "title" in json ? json["title"] : undefined;
    return typeof title === "string" ? title.slice(0, LONGEST_TITLE) : undefined;
  }
  if (!HTML_TYPE.test(type)) return undefined;
  const head = text.slice(0, TITLE_WITHIN);
  const open = /<title(?:\s[^<>]{0,200})?>/i.exec(head);
  if (open === null) return undefined;
  const from = open.index + open[0].length;
  const length = head.slice(from).search(/<\/title/i);
  if (length < 0) return undefined;
  const title = head
    .slice(from, from + Math.min(length, 4 * LONGEST_TITLE))
    .replace(/&(#x?[0-9a-f]{1,6}|[a-z]{2,6});/gi, entity);
  return title.replace(/\s+/g, " ").trim().slice(0, LONGEST_TITLE);
}

function entity(all: string, name: string): string {
  if (!name.startsWith("#")) return ENTITIES[name.toLowerCase()] ?? all;
  const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
  return code >= 0x20 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : all;
}
