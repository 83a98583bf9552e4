/** A process that runs FFmpeg for ever, to be killed: `node ffmpeg-owner.ts TARGET`. */
import { testRunner } from "./ffmpeg.ts";

await testRunner().run({
  inputs: [{ generate: "sine", options: ["-re"] }],
  output: { path: process.argv[2] ?? "", format: "wav" },
});
