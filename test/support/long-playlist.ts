/** A playlist as long as one wants, and the time that it takes to read it. */

import { readPlaylist } from "../../src/daemon/resolve/hls-playlist.ts";
import { PlaylistFollower } from "../../src/daemon/resolve/hls-track.ts";
import { RecordLogger } from "./record-logger.ts";

/** A media playlist of so many segments of six seconds, each with a signed URL. */
export function longPlaylist(segments: number): string {
  const lines = Array.from(
    { length: segments },
    (_, index) =>
      `#EXTINF:6.006,\nhttps://cdn.example/film/1080p/segment-${index}.ts?expires=1800000000&signature=0f${index}`,
  );
  return ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:7", ...lines, "#EXT-X-ENDLIST", ""].join("\n");
}

/** Milliseconds from the text of a playlist of so many segments to the segments that are fetched, of each run. */
export async function timePlaylist(segments: number, runs: number): Promise<readonly number[]> {
  const text = longPlaylist(segments);
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    const playlist = await readPlaylist(text, "https://cdn.example/film/1080p/list.m3u8");
    if (playlist.kind !== "media") throw new Error("a master playlist");
    const found = new PlaylistFollower(new RecordLogger()).take(playlist);
    times.push(performance.now() - began);
    if (found.length !== segments) throw new Error(`${found.length} of ${segments} segments`);
  }
  return times;
}
