/**
 * A Metalink as a list: each file that it describes is an entry, its place in the document the line's number. What is refused
 * is given back as lines of an ordinary list, which can be put right and dropped again.
 */
import { DownloadError, failure } from "../core/errors.ts";
import type { DescribedFile, MetalinkReader } from "../core/ports/resolve.ts";
import { completeOptions, type OptionContext, type OptionDraft } from "./list-options.ts";
import type { ListPosition, ParsedEntry } from "./list-parser.ts";

/** Bytes of a Metalink. */
const MOST_BYTES = 16 * 1024 * 1024;

/** Bytes at the beginning of a list that tell what it is. */
export const HEAD_BYTES = 128;

const XML = /^(\u00ef\u00bb\u00bf)?\s*<(\?xml\s|([\w.-]+:)?metalink[\s>])/;

/** True for a list that is a Metalink, by its name or by how it begins: no line of a list begins like that. */
export function isMetalink(name: string, head: Uint8Array): boolean {
  return /\.(meta4|metalink)(\.gz)?$/i.test(name) || XML.test(Buffer.from(head).toString("latin1"));
}

/** What entries are made with. */
export interface MetalinkListInit extends OptionContext {
  readonly read: MetalinkReader;
  /** Where an earlier reading stopped. */
  readonly from: ListPosition;
}

/**
 * The entries of a Metalink, read as a whole.
 *
 * @throws ResourceError METALINK_INVALID; DownloadError LIST_TOO_LARGE, LIST_NOT_TEXT
 */
export async function* metalinkEntries(
  bytes: AsyncIterable<Uint8Array>,
  init: MetalinkListInit,
): AsyncGenerator<ParsedEntry, void> {
  const files = init.read(await textOf(bytes));
  for (const [index, file] of files.entries()) {
    const line = index + 1;
    if (line >= init.from.line) yield entryOf(file, line, init);
  }
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of bytes) {
    length += piece.length;
    if (length > MOST_BYTES)
      throw failure("LIST_TOO_LARGE", `a Metalink has at most ${MOST_BYTES} bytes, and this one has more`);
    pieces.push(Buffer.from(piece));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces));
  } catch (error) {
    throw failure("LIST_NOT_TEXT", "the Metalink is not UTF-8", { cause: error });
  }
}

function entryOf(file: DescribedFile, lineNumber: number, context: OptionContext): ParsedEntry {
  const { name, urls, size, digest } = file;
  // The bytes are read as a whole again: only the line tells where to go on.
  const next = { offset: 0, line: lineNumber + 1 };
  const checksum =
    digest && digest.algorithm !== "crc32c" ? { algorithm: digest.algorithm, value: digest.value } : undefined;
  const text = [
    urls.length > 0 ? urls.join("\t") : `# ${name}: nothing that http or https reaches`,
    ...(name === "" ? [] : [`  out=${name}`]),
    ...(checksum ? [`  checksum=${checksum.algorithm}=${checksum.value}`] : []),
  ].join("\n");
  const draft: OptionDraft = { headers: [], ...(name !== "" && { out: name }), ...(checksum && { checksum }) };
  try {
    if (urls.length === 0)
      throw failure("METALINK_INVALID", `file ${lineNumber} (${name}) has no place that http or https reaches`);
    const options = completeOptions(draft, urls[0] ?? "", context);
    return { lineNumber, urls, options: { ...options, ...(size !== undefined && { size }) }, text, next };
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error;
    return { lineNumber, line: text, error, text, next };
  }
}
