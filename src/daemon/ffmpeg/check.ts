/** Is FFmpeg there, new enough, with the filters and encoders that media and audio work with? Downloads do without it. */
import { asDownloadError } from "../core/errors.ts";
import type { MediaPart } from "../core/media-tool.ts";
import type { Check } from "../core/ports/house.ts";
import type { MediaTool } from "../core/ports/media.ts";

/** What is worked with (ffmpeg-filters(1), ffmpeg-codecs(1)). */
const NEEDED: Readonly<Partial<Record<MediaPart, readonly string[]>>> = {
  filter: ["loudnorm", "ebur128", "afftdn", "anlmdn", "surround", "alimiter", "firequalizer", "astats"],
  encoder: ["libmp3lame", "aac", "libopus", "libvorbis", "flac"],
};
const FIX = "Install FFmpeg 5.1 or newer with its usual filters and encoders, or name it in ffmpeg.path.";

/**
 * @param tool - what runs FFmpeg
 * @param named - it was named on purpose: its absence is then a mistake
 */
export function ffmpegCheck(tool: Pick<MediaTool, "version" | "has">, named: boolean): Check {
  return {
    id: "ffmpeg",
    title: "FFmpeg",
    async run(signal) {
      try {
        const { path, version } = await tool.version(signal);
        const missing: string[] = [];
        for (const [part, names] of Object.entries(NEEDED))
          for (const name of names)
            if (!(await tool.has(part as MediaPart, name, signal))) missing.push(`${part} ${name}`);
        const details = { program: path, version, missing: missing.join(", ") };
        if (missing.length === 0) return { status: "ok", message: version, details };
        return { status: "warning", message: `${version} lacks: ${missing.join(", ")}`, fix: FIX, details };
      } catch (thrown) {
        const { message } = asDownloadError(thrown);
        const status = named ? "failed" : "warning";
        return { status, message: `${message}; audio and video cannot be processed`, fix: FIX };
      }
    },
  };
}
