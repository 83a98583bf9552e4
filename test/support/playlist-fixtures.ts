/**
 * The playlists and manifests that the packages of the two parsers bring for their own tests, read by our readers and held
 * against what the packages say is in them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { dashOffers } from "../../src/daemon/resolve/dash-formats.ts";
import { readManifest } from "../../src/daemon/resolve/dash-manifest.ts";
import { allSegments } from "../../src/daemon/resolve/dash-track.ts";
import { readPlaylist } from "../../src/daemon/resolve/hls-playlist.ts";
import type { PlaylistKey } from "../../src/daemon/resolve/hls-types.ts";

/** What became of the files of one package. */
export interface FixtureCount {
  /** Files that there are. */
  readonly files: number;
  readonly read: number;
  /** Names and reasons of those that could not be read. */
  readonly refused: readonly string[];
  /** Lists of segments or variants that were held against what the package says. */
  readonly compared: number;
  readonly differing: readonly string[];
}

const require = createRequire(import.meta.url);
const BASE = "https://www.example.com/base/list";

interface Range {
  readonly offset: number;
  readonly length: number;
}

interface Expected {
  readonly endList?: boolean;
  readonly mediaSequence?: number;
  readonly segments?: readonly ExpectedSegment[];
  readonly playlists?: readonly ExpectedPlaylist[];
  readonly mediaGroups?: Readonly<
    Record<
      "AUDIO",
      Readonly<Record<string, Readonly<Record<string, { readonly playlists?: readonly ExpectedPlaylist[] }>>>>
    >
  >;
}

interface ExpectedSegment {
  readonly uri?: string;
  readonly resolvedUri?: string;
  readonly byterange?: Range;
  readonly discontinuity?: boolean;
  readonly key?: { readonly method: string; readonly uri: string; readonly iv?: Uint32Array };
  readonly map?: { readonly uri?: string; readonly resolvedUri?: string; readonly byterange?: Range };
}

interface ExpectedPlaylist {
  readonly uri?: string;
  readonly attributes: { readonly NAME?: string };
  readonly segments?: readonly ExpectedSegment[];
}

/** Collects results. */
class Count {
  files = 0;
  read = 0;
  compared = 0;
  readonly refused: string[] = [];
  readonly differing: string[] = [];

  compare(name: string, ours: readonly string[], theirs: readonly string[]): void {
    this.compared++;
    const at = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, index) => index).find(
      (index) => ours[index] !== theirs[index],
    );
    if (at !== undefined) this.differing.push(`${name}[${at}]: ${ours[at]} instead of ${theirs[at]}`);
  }
}

/** Reads all fixtures of m3u8-parser. */
export async function readHlsFixtures(): Promise<FixtureCount> {
  const count = new Count();
  const folder = join(packageFolder("m3u8-parser"), "test/fixtures/integration");
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".m3u8"))) {
    count.files++;
    try {
      const playlist = await readPlaylist(readFileSync(join(folder, name), "utf8"), BASE);
      count.read++;
      const expected = require(join(folder, name.replace(/m3u8$/, "js"))) as Expected;
      if (playlist.kind === "master") {
        const theirs = (expected.playlists ?? []).flatMap(({ uri }) => (uri === undefined ? [] : absolute(uri)));
        count.compare(
          name,
          playlist.variants.flatMap(({ url }) => url ?? []),
          theirs,
        );
        continue;
      }
      const ours = playlist.segments.map(({ url, range, discontinuity, keys, map }, index) =>
        line(
          url,
          range && { offset: range.start ?? -1, length: range.length },
          map && {
            url: map.url,
            range: map.range && { offset: map.range.start, length: map.range.end - map.range.start },
          },
          discontinuity,
          ...(keys[0] ? keyWords(keys[0]) : []),
          index,
        ),
      );
      const theirs = (expected.segments ?? []).map(({ uri = "", byterange, discontinuity, key, map }, index) =>
        line(
          absolute(uri),
          byterange,
          map?.uri === undefined ? undefined : { url: absolute(map.uri), range: map.byterange },
          discontinuity === true,
          ...(key ? [key.method, key.uri, key.iv ? Buffer.from(ivBytes(key.iv)).toString("hex") : ""] : []),
          index,
        ),
      );
      const ends = (ended: boolean, sequence: number) => `${ended ? "ended" : "open"} from ${sequence}`;
      count.compare(
        name,
        [ends(playlist.ended, playlist.sequence), ...ours],
        [ends(expected.endList === true, Math.max(0, expected.mediaSequence ?? 0)), ...theirs],
      );
    } catch (error) {
      count.refused.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return count;
}

/** Reads all manifests of mpd-parser: their formats, and the segments of all formats. */
export async function readDashFixtures(): Promise<FixtureCount> {
  const count = new Count();
  const folder = join(packageFolder("mpd-parser"), "test/manifests");
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".mpd"))) {
    count.files++;
    try {
      const manifest = await readManifest(readFileSync(join(folder, name), "utf8"), BASE, 0);
      const offers = dashOffers(manifest);
      const { parsedManifest } = require(join(folder, name.replace(/mpd$/, "js"))) as { parsedManifest: Expected };
      const expected = [
        ...(parsedManifest.playlists ?? []),
        ...Object.values(parsedManifest.mediaGroups?.AUDIO ?? {}).flatMap((group) =>
          Object.values(group).flatMap(({ playlists }) => playlists ?? []),
        ),
      ];
      for (const { chain, nature, broken } of offers) {
        if (broken !== undefined) throw new Error(`${chain[0].id} does not go on in period ${broken}`);
        const segments = await allSegments(chain, {
          index: () => Promise.resolve(undefined),
          isThere: () => Promise.resolve(true),
        });
        const candidates = expected.filter(({ attributes }) => attributes.NAME === chain[0].id);
        const [theirs] = candidates;
        // Sound and words may have the same ids; of files it has the index only.
        if (candidates.length !== 1 || !theirs?.segments?.length || nature.kind === "subtitle") continue;
        if (theirs.segments.some(({ resolvedUri, uri }) => resolvedUri === undefined || uri === undefined)) continue;
        // What comes before the segments has no duration; a file has none either.
        const media = segments.filter(({ durationSeconds }) => durationSeconds !== undefined || segments.length === 1);
        count.compare(
          `${name} ${chain[0].id}`,
          media.map(({ url, range }) =>
            line(url, range && { offset: range.start, length: range.end - range.start }, undefined, false),
          ),
          theirs.segments.map(({ resolvedUri = "", byterange }) =>
            line(absolute(resolvedUri), byterange, undefined, false),
          ),
        );
      }
      count.read++;
    } catch (error) {
      count.refused.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return count;
}

function line(
  url: string,
  range: Range | undefined,
  map: { readonly url: string; readonly range: Range | undefined } | undefined,
  discontinuity: boolean,
  ...more: readonly (string | number)[]
): string {
  const span = (each: Range | undefined) => (each ? `${each.offset ?? 0}+${each.length}` : "");
  return [url, span(range), map?.url, span(map?.range), discontinuity, ...more].join(" ");
}

function keyWords({ method, uri = "", iv = "" }: PlaylistKey): readonly string[] {
  return [method, uri, iv.replace(/^0x/i, "").toLowerCase()];
}

/** Four numbers, as m3u8-parser keeps an initialization vector. */
function ivBytes(words: Uint32Array): Uint8Array {
  const bytes = Buffer.alloc(16);
  for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4);
  return bytes;
}

const absolute = (reference: string): string => new URL(reference, BASE).href;

function packageFolder(name: string): string {
  const main = require.resolve(name);
  return dirname(main).slice(0, dirname(main).lastIndexOf(name) + name.length);
}
