/** A folder of media as sites serve it, made by FFmpeg: a page, playlists and manifests over several renditions. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Seconds of what is made. */
export const SITE_SECONDS = 8;

const VIDEO = "testsrc2=size=320x180:rate=25";
const AUDIO = "sine=frequency=440:sample_rate=44100";

/** Runs FFmpeg in a folder. */
function ffmpeg(folder: string, ...args: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", ...args], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

const both = (seconds = SITE_SECONDS): string[] => [
  ...["-f", "lavfi", "-t", String(seconds), "-i", VIDEO],
  ...["-f", "lavfi", "-t", String(seconds), "-i", AUDIO],
];
const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"];
const aac = (rate = "96k"): string[] => ["-c:a", "aac", "-b:a", rate];
const hls = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"];

/** Words over the time of the media. */
function subtitles(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [at, part] of [0, 1].entries()) {
    const stamp = (second: number): string => `00:00:0${part * 4 + second}.000`;
    writeFileSync(
      join(folder, `${at}.vtt`),
      `WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n${stamp(1)} --> ${stamp(3)}\nWords ${at}\n`,
    );
  }
  writeFileSync(
    join(folder, "words.m3u8"),
    "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n0.vtt\n#EXTINF:4.0,\n1.vtt\n#EXT-X-ENDLIST\n",
  );
}

/** Makes all of it below `root`; some seconds of work. */
export function makeSite(root: string): void {
  ffmpeg(join(root, "ts"), ...both(), ...x264, ...aac(), ...hls, "-hls_segment_filename", "s%d.ts", "index.m3u8");
  const fmp4 = ["-hls_segment_type", "fmp4", "-hls_segment_filename", "s%d.m4s"];
  ffmpeg(join(root, "fmp4"), ...both(), ...x264, ...aac(), ...hls, ...fmp4, "index.m3u8");
  const single = ["-hls_flags", "single_file", "-hls_segment_filename", "all.ts"];
  ffmpeg(join(root, "ranges"), ...both(), ...x264, ...aac(), ...hls, ...single, "index.m3u8");
  mkdirSync(join(root, "aes"), { recursive: true });
  writeFileSync(join(root, "aes", "key.bin"), randomBytes(16));
  writeFileSync(join(root, "aes", "key.info"), "key.bin\nkey.bin\n");
  const locked = ["-hls_key_info_file", "key.info", "-hls_segment_filename", "s%d.ts"];
  ffmpeg(join(root, "aes"), ...both(), ...x264, ...aac(), ...hls, ...locked, "index.m3u8");
  const audio = ["-f", "lavfi", "-t", String(SITE_SECONDS), "-i", AUDIO];
  ffmpeg(join(root, "audio"), ...audio, ...aac("128k"), ...hls, "-hls_segment_filename", "s%d.ts", "index.m3u8");
  const small = ["-vf", "scale=160:90", ...x264, "-an"];
  ffmpeg(join(root, "small"), ...both(), ...small, ...hls, "-hls_segment_filename", "s%d.ts", "index.m3u8");
  const silent = [...x264, "-an"];
  ffmpeg(join(root, "large"), ...both(), ...silent, ...hls, "-hls_segment_filename", "s%d.ts", "index.m3u8");
  subtitles(join(root, "words"));
  writeFileSync(
    join(root, "master.m3u8"),
    [
      "#EXTM3U",
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="audio/index.m3u8"',
      '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="words/words.m3u8"',
      '#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=160x90,CODECS="avc1.42c00c,mp4a.40.2",AUDIO="a",SUBTITLES="s"',
      "small/index.m3u8",
      '#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=320x180,CODECS="avc1.42c00d,mp4a.40.2",AUDIO="a",SUBTITLES="s"',
      "large/index.m3u8",
      "",
    ].join("\n"),
  );
  const dash = ["-f", "dash", "-seg_duration", "2", "-adaptation_sets", "id=0,streams=v id=1,streams=a"];
  const timeline = ["-use_timeline", "1", "-use_template", "1"];
  ffmpeg(join(root, "dash"), ...both(), ...x264, ...aac(), ...dash, ...timeline, "index.mpd");
  const template = ["-use_timeline", "0", "-use_template", "1"];
  ffmpeg(join(root, "dash-template"), ...both(), ...x264, ...aac(), ...dash, ...template, "index.mpd");
  ffmpeg(root, "-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", "cover.png");
  ffmpeg(join(root, "plain"), ...both(), ...x264, ...aac(), "-movflags", "+faststart", "film.mp4");
  writeFileSync(
    join(root, "page.html"),
    `<!doctype html><html><head><title>Page</title><script type="application/ld+json">${JSON.stringify({
      "@context": "https://schema.org",
      "@type": "VideoObject",
      name: "A Film: of bars",
      description: "Bars and a tone.",
      contentUrl: "master.m3u8",
      duration: "PT8S",
      author: { "@type": "Person", name: "Jane Doe" },
      uploadDate: "2025-02-03",
      thumbnailUrl: "cover.png",
    })}</script></head><body>words</body></html>`,
  );
}

/** What ffprobe says of a file. */
export interface Probed {
  readonly seconds: number;
  readonly streams: readonly { readonly codec_type: string; readonly codec_name: string; readonly height?: number }[];
  readonly tags: Readonly<Record<string, string>>;
  readonly format: string;
  readonly bitRate: number;
}

/** Asks ffprobe, and has every packet read. */
export function probe(path: string): Probed {
  const text = execFileSync("ffprobe", ["-v", "error", "-of", "json", "-show_format", "-show_streams", path], {
    encoding: "utf8",
  });
  const { format, streams } = JSON.parse(text) as {
    format: { duration: string; tags?: Record<string, string>; format_name: string; bit_rate?: string };
    streams: Probed["streams"];
  };
  return {
    seconds: Number(format.duration),
    streams,
    tags: format.tags ?? {},
    format: format.format_name,
    bitRate: Number(format.bit_rate ?? 0),
  };
}

/** MD5 of the decoded frames of one kind: what a copy must have in common with its source. */
export function framesMd5(path: string, kind: "v" | "a"): string {
  return execFileSync(
    "ffmpeg",
    [
      "-nostdin",
      "-v",
      "error",
      "-allowed_extensions",
      "ALL",
      "-i",
      path,
      "-map",
      `0:${kind}:0`,
      "-f",
      "md5",
      "-",
    ].filter((word) => /m3u8$/.test(path) || (word !== "-allowed_extensions" && word !== "ALL")),
    { encoding: "utf8" },
  ).trim();
}
