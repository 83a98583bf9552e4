/** Pages of sessions in the order of creation, by the narrowest index that fits the filter. */
import { hash } from "node:crypto";
import { failure } from "../core/errors.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { SessionFilter, SessionPage } from "../core/ports/sessions.ts";
import { matchesFilter } from "./filter.ts";
import { SPACE, sequenceAtEnd, sequenceKey, under } from "./keys.ts";
import { batchesOf, type SessionRecord } from "./record.ts";
import type { Records } from "./records.ts";

const LARGEST_PAGE = 1000;
/** Records read at once behind an index. */
const BLOCK = 200;

/** Which page. */
export interface PageRequest {
  readonly size: number;
  readonly token?: string;
  readonly reverse?: boolean;
}

/** As {@link SessionStore.list}. @throws DownloadError INVALID_ARGUMENT for a size or token that is none */
export async function listPage(
  store: KeyValue,
  records: Records,
  filter: SessionFilter,
  { size, token, reverse = false }: PageRequest,
): Promise<SessionPage> {
  if (!Number.isInteger(size) || size < 1 || size > LARGEST_PAGE)
    throw failure("INVALID_ARGUMENT", `a page has 1 to ${LARGEST_PAGE} sessions, not ${size}`);
  const digest = filterDigest(filter, reverse);
  const after = token === undefined ? undefined : readToken(token, digest);
  const found: SessionRecord[] = [];
  // One more than asked for shows whether there is a next page.
  for await (const record of matching(store, records, filter, reverse, after)) if (found.push(record) > size) break;
  const sessions = found.slice(0, size).map(({ session }) => session);
  const last = sessions.at(-1);
  if (found.length <= size || last === undefined) return { sessions };
  return { sessions, nextPageToken: `${sequenceKey(last.seq)}.${digest}` };
}

/** The newest of every record that passes the filter. @param after - a sequence key; begin behind it */
export async function* matching(
  store: KeyValue,
  records: Records,
  filter: SessionFilter,
  reverse: boolean,
  after?: string,
): AsyncGenerator<SessionRecord> {
  for await (const record of candidates(store, records, filter, reverse, after))
    if (matchesFilter(record.session, filter, batchesOf(record))) yield record;
}

function candidates(
  store: KeyValue,
  records: Records,
  filter: SessionFilter,
  reverse: boolean,
  after: string | undefined,
): AsyncGenerator<SessionRecord> {
  if (filter.batchId !== undefined || filter.status !== undefined)
    return indexed(store, records, filter, reverse, after);
  return records.scan({ reverse, ...(after !== undefined && (reverse ? { lt: after } : { gt: after })) });
}

async function* indexed(
  store: KeyValue,
  records: Records,
  filter: SessionFilter,
  reverse: boolean,
  after: string | undefined,
): AsyncGenerator<SessionRecord> {
  for await (const block of sequenceBlocks(store, filter, { size: BLOCK, reverse, after }))
    yield* await records.bySequence(block, false);
}

/** The sequence keys of sessions that may pass a filter with a batch or a status, `size` at a time. */
export async function* sequenceBlocks(
  store: KeyValue,
  filter: SessionFilter,
  { size, reverse = false, after }: { size: number; reverse?: boolean; after?: string | undefined },
): AsyncGenerator<readonly string[]> {
  // A batch is smaller than a status as a rule.
  const [space, name] =
    filter.batchId === undefined ? [SPACE.status, filter.status ?? ""] : [SPACE.batch, filter.batchId];
  const { gte, lt } = under(name);
  const from =
    after === undefined ? { gte, lt } : reverse ? { gte, lt: `${name}!${after}` } : { gt: `${name}!${after}`, lt };
  let block: string[] = [];
  for await (const [key] of store.entries(space, { ...from, reverse })) {
    block.push(sequenceAtEnd(key));
    if (block.length < size) continue;
    yield block;
    block = [];
  }
  if (block.length > 0) yield block;
}

/** A token holds for the list that it came from. */
function filterDigest(filter: SessionFilter, reverse: boolean): string {
  const { status, statusNot, batchId, url } = filter;
  return hash("sha256", JSON.stringify([status, statusNot, batchId, url, reverse]), "hex").slice(0, 16);
}

function readToken(token: string, digest: string): string {
  const [, after, of] = /^(\d{12})\.([0-9a-f]{16})$/.exec(token) ?? [];
  if (after === undefined)
    throw failure("INVALID_ARGUMENT", "the page token is not one; give the token of the page before, unchanged");
  if (of !== digest) throw failure("INVALID_ARGUMENT", "the page token belongs to a list with another filter or order");
  return after;
}
