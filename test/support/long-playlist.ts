/** A media playlist as long as one wants. */

export function longPlaylist(segments: number): string {
  const lines = Array.from(
    { length: segments },
    (_, index) =>
      `#EXTINF:6.006,\nhttps://cdn.example/film/1080p/segment-${index}.ts?expires=1800000000&signature=0f${index}`,
  );
  return ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:7", ...lines, "#EXT-X-ENDLIST", ""].join("\n");
}
