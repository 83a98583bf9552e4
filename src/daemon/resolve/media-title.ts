/** What media is called where nothing but its manifest's URL is known. */

/** Names that every manifest has. */
const GENERIC = /^(index|master|main|manifest|playlist|prog_index|chunklist|stream|media|video|audio|hls|dash|live)$/i;

/** From a manifest's URL: the name of its file, or of the nearest folder where that says nothing. */
export function mediaTitle(url: string): { readonly id: string; readonly title: string } {
  const parts = (URL.parse(url)?.pathname ?? "").split("/").filter(Boolean).map(decoded);
  const file = (parts.at(-1) ?? "").replace(/\.[a-z0-9]{1,5}$/i, "");
  const folder = parts.slice(0, -1).findLast((part) => !GENERIC.test(part));
  const title = (GENERIC.test(file) ? (folder ?? file) : file) || "media";
  return { id: file || title, title };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
