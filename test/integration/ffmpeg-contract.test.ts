/** The FFmpeg room as a `MediaTool`. */
import { describe } from "node:test";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { mediaToolContract } from "../contract/media-tool.ts";
import { hasProgram } from "../support/has-program.ts";

describe("the media tool", hasProgram("ffmpeg"), () => {
  const options = { path: "", processes: 2, timeoutMs: 60_000 };
  mediaToolContract("FFmpeg", () => new FfmpegTool(options, { clock: new SystemClock() }));
});
