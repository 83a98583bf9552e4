/** The media tool for tests of audio. */
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";

/** FFmpeg of this machine; `await using` ends what runs. */
export function audioTool(path = ""): FfmpegTool {
  return new FfmpegTool({ path, processes: 2, timeoutMs: 120_000 }, { clock: new SystemClock() });
}
