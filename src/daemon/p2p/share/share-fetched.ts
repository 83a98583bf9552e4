/**
 * A share that was fetched from peers and is shared on: under the same code, with the same catalogue, so that it counts as the
 * same share for whoever fetches it. Of a folder the files are added as they come.
 */
import { dirname } from "node:path";
import { manifestRoot } from "../../core/manifest.ts";
import type { PlacedFile } from "../../core/ports/files.ts";
import type { Offer, Servable } from "../types.ts";
import { catalogueRoot, type DecodedEntry, decodeCatalogue } from "./catalogue.ts";
import type { SharedFile, ShareRecord } from "./share-store.ts";

/** What peers offered: the root of the catalogue's bytes is the offer's. */
export interface OfferedShare {
  readonly offer: Offer;
  readonly bytes: Uint8Array;
}

/** The shares that are fetched here, or were until just now. */
export interface FetchedShares {
  /** What such a share consists of. */
  known(publicId: string): OfferedShare | undefined;
  /** A share of what was fetched takes over from the download that gave it on. */
  handOver(successor: Servable): void;
}

/** What a share gets that is made now. */
type Begun = Pick<ShareRecord, "createdAt" | "expiresAt" | "maxPeers">;

/** @returns undefined if the file is not what the catalogue says: it was processed, or is another */
export async function fetchedShare(
  publicId: string,
  index: number,
  placed: PlacedFile,
  { offer, bytes }: OfferedShare,
  begun: Begun,
): Promise<{ readonly record: ShareRecord; readonly file: SharedFile } | undefined> {
  if (catalogueRoot(bytes) !== offer.root) return undefined;
  const entry = (await decodeCatalogue(bytes))[index];
  if (!entry || !isSameFile(entry, placed)) return undefined;
  const { path, size, mtimeMs, ino } = placed.file;
  const { kind, name, root, catalogueSize, fileCount } = offer;
  const record: ShareRecord = {
    version: 1,
    id: publicId,
    name,
    kind,
    paths: [kind === "file" ? path : folderOf(path, entry.name)],
    size: offer.size,
    fileCount,
    root,
    catalogueSize,
    ...begun,
    fetchCount: 0,
    encryption: true,
    sentBytes: 0,
    fetched: true,
  };
  return { record, file: { path, size, mtimeMs, ino } };
}

function isSameFile({ manifest }: DecodedEntry, { file, chunkSize, chunks }: PlacedFile): boolean {
  return manifest.root === manifestRoot(file.size, chunkSize, chunks);
}

/** The folder that the share's names are relative to. */
function folderOf(path: string, name: string): string {
  return name.split("/").reduce((folder) => dirname(folder), path);
}
