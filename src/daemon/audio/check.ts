/** Can audio be worked on as configured: is the voice detector there, do the filters of the configuration run? */
import { asDownloadError } from "../core/errors.ts";
import type { Check } from "../core/ports/house.ts";
import type { MediaTool } from "../core/ports/media.ts";
import type { AudioSettings } from "./processor.ts";

/**
 * @param tool - what runs FFmpeg
 * @param steps - those of `audio.on_download`: unknown ones fail every download
 */
export function audioCheck(
  tool: MediaTool,
  settings: AudioSettings,
  steps: { readonly names: readonly string[]; readonly assert: (names: readonly string[]) => unknown },
): Check {
  return {
    id: "audio",
    title: "audio",
    async run() {
      try {
        steps.assert(steps.names);
      } catch (error) {
        const fix = "Correct audio.on_download; docs/AUDIO.md lists the steps.";
        return { status: "failed", message: asDownloadError(error).message, fix };
      }
      const [{ voiceDetector }, { AudioProcessor }] = await Promise.all([import("./vad.ts"), import("./processor.ts")]);
      const problems = await new AudioProcessor(tool, () => settings).filterProblems();
      if (problems.length > 0)
        return {
          status: "warning",
          message: problems.join("; "),
          fix: "Correct the filters named, or install FFmpeg.",
        };
      const voice = await voiceDetector();
      if ("missing" in voice)
        return { status: "warning", message: voice.missing, fix: "Install Snatch anew, with its optional packages." };
      const count = Object.keys(settings.filters).length;
      return { status: "ok", message: `voice detector, ${count} filters of your own` };
    },
  };
}
