/** `snatchctl receipt`: where a finished file came from, under which validators, and what it is; and forgetting that. */
import {
  type Receipt,
  type ReceiptManifest,
  type ReceiptName,
  ReceiptServiceService,
  type WholeDigest,
} from "../../gen/snatch/v1/receipt_service.ts";
import { formatBytes } from "../../shared/format.ts";
import { type Connection, connect } from "../connect.ts";
import { fail } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, escapeJson, jsonLine, print } from "../output.ts";
import { receiptTarget } from "../receipt-target.ts";

/** The options of `receipt`. */
export interface ReceiptFlags extends Globals {
  readonly secrets?: boolean;
  readonly forget?: boolean;
}

/** Prints a receipt, or forgets it. @throws ClientError RECEIPT_NOT_FOUND, SESSION_AMBIGUOUS */
export async function receipt(flags: ReceiptFlags, target: string): Promise<number> {
  using connection = connect(flags);
  const name = { name: receiptTarget(target) };
  if (flags.forget) await forget(connection, flags, name);
  else if (flags.json) await printJson(connection, name, flags.secrets ?? false);
  else {
    const answer = await connection.ask(ReceiptServiceService.getReceipt, { name });
    for (const [title, value] of fields(need(answer.receipt, target)))
      if (value) await print(`${title.padEnd(12)} ${value}`);
  }
  return 0;
}

async function forget(connection: Connection, flags: ReceiptFlags, name: ReceiptName): Promise<void> {
  const answer = await connection.ask(ReceiptServiceService.forgetReceipt, { name });
  const { path, sessionId } = need(answer.receipt, "");
  if (flags.json) await print(jsonLine({ forgotten: sessionId, path }));
  else if (!flags.quiet) await print(`forgot the receipt of ${escapeControls(path)}; the file stays`);
}

function need(found: Receipt | undefined, target: string): Receipt {
  if (found) return found;
  throw fail("RECEIPT_NOT_FOUND", `there is no receipt for ${target}`);
}

/** The whole in one line. It may be long: a file of a terabyte has 131,072 chunks. */
async function printJson(connection: Connection, name: ReceiptName, secrets: boolean): Promise<void> {
  const decoder = new TextDecoder();
  for await (const { data } of connection.receive(ReceiptServiceService.exportReceipt, { name, secrets }))
    await print(escapeJson(decoder.decode(data, { stream: true })), "");
  await print("");
}

function fields(found: Receipt): ReadonlyArray<readonly [title: string, value: string | undefined]> {
  const text = escapeControls;
  const { source, file } = found;
  const [url, ...others] = found.sources;
  const length = found.lengthUnverified ? "length unverified: its transfer ended with the connection" : "";
  return [
    ["file", text(found.path)],
    ["session", found.sessionId],
    ["url", text(found.url)],
    ...found.redirects.slice(1).map((each) => ["by way of", text(each)] as const),
    ["led to", found.finalUrl === found.url ? "" : text(found.finalUrl)],
    ["version of", url === found.url ? "" : text(url ?? "")],
    ["mirrors", others.map(text).join(" ")],
    ["requested", found.requestTime?.toLocaleString()],
    ["first byte", found.firstByteTime?.toLocaleString()],
    ["completed", found.completeTime?.toLocaleString()],
    ["etag", text(found.etag)],
    ["modified", text(found.lastModified)],
    ["type", text(found.contentType)],
    ["certificate", found.certificateSha256 && `sha-256=${found.certificateSha256}`],
    ["warning", length],
    ...found.digests.map((digest) => ["digest", `${digestText(digest)}, compared`] as const),
    ...found.originDigests.map((digest) => ["origin says", digestText(digest)] as const),
    ["source", source?.root === file?.root ? "" : manifestText(source)],
    ["manifest", manifestText(file)],
  ];
}

function digestText({ algorithm, value, from }: WholeDigest): string {
  return `${escapeControls(algorithm)}=${escapeControls(value)} (${escapeControls(from)})`;
}

function manifestText(manifest: ReceiptManifest | undefined): string {
  if (!manifest) return "";
  const { root, size, chunkCount, chunkSize } = manifest;
  const chunks = chunkCount === 1 ? "1 chunk" : `${chunkCount} chunks of ${formatBytes(chunkSize)}`;
  return `${root} (${formatBytes(size)}, ${chunks})`;
}
