/** The text of documents whose charset is written in several places, or nowhere. */

/** Bytes in which a document has to say how it is written (HTML, "prescan a byte stream"; some say it late). */
const PRESCAN = 4096;

/**
 * A document's text: by its byte order mark, by the header field, by what it says itself, else as UTF-8 or Windows-1252.
 *
 * @param declared - the charset that a document's beginning names
 */
export function decodeText(
  bytes: Uint8Array,
  contentType: string | undefined,
  declared: (beginning: string) => string | undefined,
): string {
  const beginning = Buffer.from(bytes.subarray(0, PRESCAN)).toString("latin1");
  for (const label of [markOf(beginning), charsetIn(contentType ?? ""), declared(beginning)]) {
    const decoder = label === undefined ? undefined : decoderOf(label);
    if (decoder) return decoder.decode(bytes);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** The charset that a media type, or a tag, names. */
export function charsetIn(text: string): string | undefined {
  return /charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(text)?.[1];
}

function markOf(beginning: string): string | undefined {
  if (beginning.startsWith("\u00EF\u00BB\u00BF")) return "utf-8";
  if (beginning.startsWith("\u00FF\u00FE")) return "utf-16le";
  return beginning.startsWith("\u00FE\u00FF") ? "utf-16be" : undefined;
}

function decoderOf(label: string): { decode(bytes: Uint8Array): string } | undefined {
  try {
    return new TextDecoder(label);
  } catch {
    return undefined;
  }
}
