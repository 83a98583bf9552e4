/**
 * Audio as a library: the spec's AudioProcessor and EnhancedAudioProcessor, made of a configuration alone. No daemon is needed, and
 * nothing is kept anywhere.
 */
import { audioSettings } from "./assemble-audio.ts";
import { assembleMediaTool } from "./assemble-media.ts";
import { EnhancedAudioProcessor as Enhanced } from "./audio/enhanced.ts";
import { AudioProcessor as Processor } from "./audio/processor.ts";
import type { ConfigInput } from "./config/schema.ts";
import type { MediaTool } from "./core/ports/media.ts";
import { type HomeOptions, libraryInit } from "./library-init.ts";

/** What may be brought along. */
export interface AudioLibraryOptions extends HomeOptions {
  /** What runs FFmpeg; default: one of its own, by the configuration. */
  readonly tool?: MediaTool;
}

function parts(input: ConfigInput, { tool, ...home }: AudioLibraryOptions): ConstructorParameters<typeof Processor> {
  const { config, clock } = libraryInit(input, home);
  return [tool ?? assembleMediaTool(config(), clock), () => audioSettings(config())];
}

/** Works on the audio of files. */
export class AudioProcessor extends Processor {
  /**
   * @param config - keys as in the configuration file; what is absent has its default
   * @throws DownloadError CONFIG_INVALID
   */
  constructor(config: ConfigInput = {}, options: AudioLibraryOptions = {}) {
    super(...parts(config, options));
  }
}

/** The same with analysis, psychoacoustics and the whole chain in one go. */
export class EnhancedAudioProcessor extends Enhanced {
  /**
   * @param config - keys as in the configuration file; what is absent has its default
   * @throws DownloadError CONFIG_INVALID
   */
  constructor(config: ConfigInput = {}, options: AudioLibraryOptions = {}) {
    super(...parts(config, options));
  }
}
