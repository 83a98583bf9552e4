/** Puts the audio room together: it works with the one runner of FFmpeg, and by what the configuration says at each call. */

import type { AudioSettings } from "./audio/processor.ts";
import { AudioRoom } from "./audio/room.ts";
import type { Config } from "./config/schema.ts";
import type { MediaTool } from "./core/ports/media.ts";
import type { Logger } from "./core/ports/runtime.ts";

/** What the configuration says of audio. */
export function audioSettings({ audio }: Config): AudioSettings {
  return {
    targetLufs: audio.target_lufs,
    truePeak: audio.true_peak,
    denoiseStrength: audio.denoise,
    filters: audio.filters,
  };
}

/** The room. Nothing of it is loaded before it is used. */
export function assembleAudio(config: () => Config, tool: MediaTool, logger: Logger): AudioRoom {
  return new AudioRoom({ tool, settings: () => audioSettings(config()), logger: logger.child({ room: "audio" }) });
}
