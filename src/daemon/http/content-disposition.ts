/** The name that an origin gives a file. Only decoded here; the disk room makes it safe. */
import { parse } from "content-disposition";

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The name of a Content-Disposition field (RFC 6266), `filename*` (RFC 8187) before `filename`. As browsers do, a plain
 * name may hold raw UTF-8 or percent-encoding. Folders before the name are dropped (RFC 6266 §4.3).
 *
 * @param value - the field as received, one character a byte
 * @returns undefined if there is no name in it
 */
export function dispositionName(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const { parameters } = parse(value);
  const plain = parameters["filename"];
  if (plain === undefined) return undefined;
  // The library puts a decoded filename* in the place of filename; one that it could not decode is left alone.
  const extended = parameters["filename*"];
  const decoded = extended !== undefined && isDecodable(extended);
  return lastSegment(decoded ? plain : percentDecoded(fromBytes(plain)));
}

/** The charsets that a recipient of `filename*` must know (RFC 8187 §3.2.1, and ISO-8859-1 of its predecessor). */
function isDecodable(extended: string): boolean {
  const [, charset = "", encoded = ""] = /^([^']+)'[^']*'(.*)$/.exec(extended) ?? [];
  if (/^iso-8859-1$/i.test(charset)) return !/%(?![0-9a-f]{2})/i.test(encoded);
  return /^utf-?8$/i.test(charset) && percentDecodes(encoded);
}

/** Header bytes are read as Latin-1; where they are UTF-8 they were meant so. */
function fromBytes(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  try {
    return bytes.toString("latin1") === text ? UTF8.decode(bytes) : text;
  } catch {
    return text;
  }
}

function percentDecodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function percentDecoded(text: string): string {
  return text.includes("%") && percentDecodes(text) ? decodeURIComponent(text) : text;
}

function lastSegment(path: string): string | undefined {
  const name = path.split(/[/\\]/).at(-1)?.trim();
  return name === "" ? undefined : name;
}
