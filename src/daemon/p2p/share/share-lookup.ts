/** Finds shares: by what a person calls them, and by what is shared. */
import { failure } from "../../core/errors.ts";
import type { ShareOptions, ShareState } from "../../core/peers.ts";
import { readCode } from "../code.ts";
import { deriveKeys } from "../keys.ts";
import { decodeCatalogue } from "./catalogue.ts";
import { nameProblem } from "./catalogue-names.ts";
import type { ShareContent } from "./share-content.ts";
import type { KnownFile, PreparedShare } from "./share-prepare.ts";
import type { ShareRecord, ShareStore } from "./share-store.ts";

/** Characters of an id's beginning that are enough to look for it. */
const SHORTEST_PREFIX = 4;

const MOST_PEERS = 100;

/** @throws DownloadError INVALID_ARGUMENT */
export function checkShareOptions({ maxPeers, expiresInMs, maxFetches, name }: ShareOptions): void {
  const whole = (value: number | undefined, least: number, most: number): boolean =>
    value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most);
  if (!whole(maxPeers, 1, MOST_PEERS)) throw invalid(`the number of peers is 1 to ${MOST_PEERS}, not ${maxPeers}`);
  if (!whole(maxFetches, 1, Number.MAX_SAFE_INTEGER)) throw invalid("a share can be fetched once at least");
  if (!whole(expiresInMs, 0, 8.64e15 / 2)) throw invalid("the time for which it is shared cannot be");
  if (name === undefined) return;
  const problem = name.includes("/") ? "it holds a slash" : nameProblem(name);
  if (problem !== undefined) throw invalid(`the share cannot be called ${JSON.stringify(name)}: ${problem}`);
}

/**
 * The id of the share that is meant.
 *
 * @param share - its id, the beginning of one, or its code
 * @throws DownloadError SHARE_NOT_FOUND, which does not repeat what may be a code
 */
export function findShare(ids: Iterable<string>, share: string): string {
  const text = share.trim();
  const all = [...ids];
  if (/^[0-9a-f]{1,32}$/i.test(text) && text.length >= SHORTEST_PREFIX) {
    const found = all.filter((id) => id.startsWith(text.toLowerCase()));
    if (found.length > 1) throw failure("SHARE_NOT_FOUND", `several shares begin with ${text}: ${found.join(", ")}`);
    if (found[0] !== undefined) return found[0];
  }
  const id = idOfCode(text);
  if (id !== undefined && all.includes(id)) return id;
  throw failure("SHARE_NOT_FOUND", "there is no share here of that id or code");
}

function idOfCode(text: string): string | undefined {
  try {
    return deriveKeys(readCode(text)).publicId;
  } catch {
    return undefined;
  }
}

/** The share that is there already of the same files as they are now, and with the same options. */
export function sharedAgain(
  contents: readonly ShareContent[],
  paths: readonly string[],
  { root, name }: PreparedShare,
  options: ShareOptions,
  defaults: { readonly maxPeers: number },
): ShareContent | undefined {
  if (options.fresh === true || options.maxFetches !== undefined) return undefined;
  return contents.find(
    ({ record }) =>
      !record.fetched &&
      record.maxFetches === undefined &&
      record.root === root &&
      record.name === name &&
      record.encryption === (options.encryption ?? true) &&
      record.maxPeers === (options.maxPeers ?? defaults.maxPeers) &&
      record.paths.length === paths.length &&
      record.paths.every((path, index) => path === paths[index]),
  );
}

/** Files of a share whose chunks need not be read again, by path. */
export async function knownFiles(store: ShareStore, content: ShareContent): Promise<ReadonlyMap<string, KnownFile>> {
  const known = new Map<string, KnownFile>();
  try {
    const entries = await decodeCatalogue(await content.catalogue());
    for await (const [index, { path, size, mtimeMs, ino }] of store.files(content.record.id)) {
      const entry = entries[index];
      if (entry?.size === size) known.set(path, { size, mtimeMs, ino, manifest: () => entry.manifest });
    }
  } catch {
    // What is damaged is of no use here; the files are read.
  }
  return known;
}

/** As people are told of it. @param problem - why it cannot be reached */
export function stateOf(record: ShareRecord, peerCount: number, problem: string | undefined): ShareState {
  const { id, name, kind, paths, size, fileCount, root, createdAt, expiresAt, fetchCount, maxFetches } = record;
  const why = problem ?? record.problem;
  return {
    id,
    name,
    kind,
    paths,
    size,
    fileCount,
    root,
    createdAt,
    ...(expiresAt !== undefined && { expiresAt }),
    fetchCount,
    ...(maxFetches !== undefined && { maxFetches }),
    maxPeers: record.maxPeers,
    encryption: record.encryption,
    peerCount,
    sentBytes: record.sentBytes,
    ...(why !== undefined && { problem: why }),
  };
}

const invalid = (why: string) => failure("INVALID_ARGUMENT", why);
