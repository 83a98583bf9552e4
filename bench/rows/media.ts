/**
 * Media that comes in many segments: how long it takes beside FFmpeg and yt-dlp, how soon a long playlist is read, and what
 * memory it takes however much comes.
 */
import { execFileSync } from "node:child_process";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readPlaylist } from "../../src/daemon/resolve/hls-playlist.ts";
import { median } from "../../test/support/median.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { packets } from "../../test/support/segment-origin.ts";
import { requireTool } from "../../test/support/tools.ts";
import { compete } from "../contest.ts";
import { contestants, type Item, type ProgramName } from "../contestants.ts";
import { measure } from "../measure.ts";
import type { Place } from "../places.ts";
import { type Bound, megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";
import type { Standings } from "../standings.ts";

/** What 200 KiB in two seconds are, in bits a second. */
const BITS = (200 * 1024 * 8) / 2;

/** Seconds that are really encoded; the rest is the same once more. */
const ENCODED = 40;

/** Lines of the playlist that is read. */
const LISTED = 10_000;

/** Packets of a segment of the large media: 2 MiB. */
const LARGE_PACKETS = 11_156;

export const media: Row = {
  id: "10",
  title: `media: ${settings.mediaSegments} segments of 200 KiB`,
  places: ["disk"],
  async run(place) {
    const race = await segments(place);
    return {
      contests: [race],
      notes: ["all three write one MP4; ffmpeg asks for one segment after the other, as yt-dlp does by itself"],
      bounds: [
        { what: "wall ÷ yt-dlp", value: race.ratio("yt-dlp", (run) => run.wall), most: 0.5, unit: "×" },
        await reading(),
        await memory(place),
      ],
    };
  },
};

async function segments(place: Place): Promise<Standings> {
  const www = await place.folder("media");
  makeSegments(www);
  const sizes = await Promise.all(
    (await readdir(www)).filter((name) => name.endsWith(".ts")).map(async (name) => (await stat(join(www, name))).size),
  );
  await using nginx = await startNginx({ root: www, http: "access_log off;" });
  await using snatch = await place.snatch();
  const item: Item = { url: `${nginx.http}/index.m3u8`, name: "out.mp4" };
  const [own] = contestants();
  if (!own) throw new Error("snatch takes no part");
  const standings = await compete({
    title: `${sizes.length} segments, ${Math.round(median(sizes) / 1024)} KiB each`,
    place,
    snatch,
    programs: [own, ffmpeg(), ytDlp()],
    files: "few",
    work: {
      command: (program, folder) => program.one(item, folder),
      check: (folder) => lasts(join(folder, item.name), settings.mediaSegments * 2),
    },
  });
  await place.drop(www, { files: "few" });
  return standings;
}

/** A short piece with a picture that is hard to compress, again and again, cut into segments. */
function makeSegments(folder: string): void {
  const run = (...args: readonly string[]): void => {
    execFileSync(requireTool("ffmpeg"), ["-nostdin", "-v", "error", "-y", ...args], { cwd: folder, stdio: "inherit" });
  };
  const picture = `testsrc2=size=640x360:rate=25,noise=alls=60:allf=t`;
  const rate = String(Math.round(BITS * 0.9));
  const video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0"];
  const exactly = ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-nal-hrd", "cbr"];
  run(
    ...["-f", "lavfi", "-t", String(ENCODED), "-i", picture],
    ...["-f", "lavfi", "-t", String(ENCODED), "-i", "sine=f=440"],
    ...video,
    ...exactly,
    ...["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-shortest", "piece.mkv"],
  );
  const seconds = String(settings.mediaSegments * 2);
  const cut = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_filename", "s%d.ts"];
  run("-stream_loop", "-1", "-i", "piece.mkv", "-t", seconds, "-c", "copy", ...cut, "index.m3u8");
}

async function lasts(path: string, seconds: number): Promise<void> {
  const args = ["-v", "error", "-of", "csv=p=0", "-show_entries", "format=duration", path];
  const found = Number(execFileSync(requireTool("ffprobe"), args, { encoding: "utf8" }));
  if (!(Math.abs(found - seconds) < Math.max(3, seconds / 100)))
    throw new Error(`it lasts ${found} s, not ${seconds} s`);
}

const ffmpeg = () => ({
  name: "ffmpeg" as ProgramName,
  one: ({ url, name }: Item, folder: string): readonly string[] => [
    ...[requireTool("ffmpeg"), "-nostdin", "-v", "error", "-i", url, "-c", "copy", join(folder, name)],
  ],
});

const ytDlp = () => ({
  name: "yt-dlp" as ProgramName,
  one: ({ url, name }: Item, folder: string): readonly string[] => [
    ...[requireTool("yt-dlp"), "--ignore-config", "--no-update", "--quiet", "--no-cache-dir"],
    ...["--output", join(folder, name), url],
  ],
});

/** The first time in this process: nothing is warm. */
async function reading(): Promise<Bound> {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:4", "#EXT-X-MEDIA-SEQUENCE:0"];
  for (let index = 0; index < LISTED; index++)
    lines.push("#EXTINF:4.000000,", `https://cdn.example.org/video/1080p/segment-${index}.ts?token=abcdef0123456789`);
  const text = `${lines.join("\n")}\n#EXT-X-ENDLIST\n`;
  const started = performance.now();
  const playlist = await readPlaylist(text, "https://example.org/video/index.m3u8");
  const took = performance.now() - started;
  const read = playlist.kind === "media" ? playlist.segments.length : 0;
  if (read !== LISTED) throw new Error(`${read} of ${LISTED} segments were read`);
  return { what: `a playlist of ${LISTED} segments, read cold`, value: took, most: 100, unit: "ms" };
}

/** The daemon's largest size over the whole of it, less that over an eighth. Nothing is made of it: what comes is joined. */
async function memory(place: Place): Promise<Bound> {
  const www = await place.folder("large-media");
  await mkdir(www, { recursive: true });
  await writeFile(join(www, "segment.ts"), packets(LARGE_PACKETS));
  const size = (await stat(join(www, "segment.ts"))).size;
  const count = Math.max(8, Math.round(settings.largeBytes / size));
  for (const part of [8, 1]) await writeFile(join(www, `${part}.m3u8`), playlist(Math.floor(count / part)));
  await using nginx = await startNginx({ root: www, http: "access_log off;" });
  await using snatch = await place.snatch('[ffmpeg]\npath = "/nonexistent/ffmpeg"\n');
  const [own] = contestants();
  const peak = async (part: number): Promise<number> => {
    const out = await place.folder("large-out");
    const command = own?.one({ url: `${nginx.http}/${part}.m3u8`, name: "out.ts" }, out) ?? [];
    const { daemonMemory = Number.NaN } = await measure(command, {
      env: snatch.home.env,
      scratch: place.path,
      daemon: snatch.daemon.pid,
    });
    const expected = Math.floor(count / part) * size;
    const { size: found } = await stat(join(out, "out.ts"));
    if (found !== expected) throw new Error(`${found} bytes came of ${expected}`);
    await place.drop(out, { files: "few" });
    return daemonMemory;
  };
  await peak(8);
  const [eighth, whole] = [await peak(8), await peak(1)];
  await place.drop(www, { files: "few" });
  const what = `memory over ${megabytes(count * size).toFixed(0)} MB of segments, more than over an eighth of it`;
  return { what, value: Math.max(0, megabytes(whole - eighth)), most: 32, unit: "MB" };
}

/** The same segment under as many names. */
function playlist(count: number): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:4"];
  for (let index = 0; index < count; index++) lines.push("#EXTINF:4.0,", `segment.ts?n=${index}`);
  return `${lines.join("\n")}\n#EXT-X-ENDLIST\n`;
}
