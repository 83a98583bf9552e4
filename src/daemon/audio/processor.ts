/**
 * The spec's `AudioProcessor`: what can be done to the audio of a file, in one place. Each method is a module of its own; here
 * they only get the media tool and what the configuration says.
 */
import type { AudioFilterDefinition } from "../core/audio-work.ts";
import { failure } from "../core/errors.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { applyFilterChain, type ChainOptions, type ChainResult } from "./chain.ts";
import { type DenoiseOptions, type DenoiseResult, type DenoiseStrength, denoiseAudio } from "./denoise.ts";
import { type DetectedContent, detectContent } from "./detect.ts";
import { type FilterInfo, FilterRegistry } from "./filters.ts";
import { type FlacControl, type FlacVerdict, validateFlac } from "./flac.ts";
import { normalizeAudio } from "./normalize.ts";
import type { NormalizeOptions, NormalizeResult } from "./normalize-types.ts";
import { type ReplayGainOptions, type ReplayGainResult, replayGain } from "./replaygain.ts";
import type { AudioControl } from "./types.ts";
import { type UpmixOptions, type UpmixResult, upmixTo71 } from "./upmix.ts";

/** What holds for calls that do not say. */
export interface AudioSettings {
  /** LUFS. */
  readonly targetLufs: number;
  /** dBTP. */
  readonly truePeak: number;
  readonly denoiseStrength: DenoiseStrength;
  /** Filters besides those that are there from the start, by name. */
  readonly filters: Readonly<Record<string, AudioFilterDefinition>>;
}

/** Works on audio. Paths may be relative to the current folder; the file itself stays as it is unless `inPlace` is given. */
export class AudioProcessor {
  protected readonly tool: MediaTool;
  protected readonly settings: () => AudioSettings;
  protected readonly registry = new FilterRegistry();
  /** The file that was named last: a chain may be applied to it without naming it again. */
  #last: string | undefined;
  #configured: Promise<readonly string[]> | undefined;

  /** @param settings - asked at each call */
  constructor(tool: MediaTool, settings: () => AudioSettings) {
    this.tool = tool;
    this.settings = settings;
  }

  /** Brings a file to a loudness (EBU R128). @throws as `normalizeAudio` of normalize.ts */
  normalizeAudio(input: string, options: NormalizeOptions = {}): Promise<NormalizeResult> {
    const { targetLufs, truePeak } = this.settings();
    const own = options.preset === undefined ? { targetLufs, truePeak } : {};
    return normalizeAudio(this.tool, this.named(input), { ...own, ...options });
  }

  /** Takes noise away. @throws as `denoiseAudio` of denoise.ts */
  denoiseAudio(input: string, options: DenoiseOptions = {}): Promise<DenoiseResult> {
    const strength = this.settings().denoiseStrength;
    return denoiseAudio(this.tool, this.named(input), { strength, ...options });
  }

  /** Makes 7.1 of a file. @throws as `upmixTo71` of upmix.ts */
  upmixTo71(input: string, output?: string, options: Omit<UpmixOptions, "output"> = {}): Promise<UpmixResult> {
    return upmixTo71(this.tool, this.named(input), { ...options, ...(output !== undefined && { output }) });
  }

  /** Finds out whether a FLAC file is whole. @throws as `validateFlac` of flac.ts */
  validateFlac(input: string, control?: FlacControl): Promise<FlacVerdict> {
    return validateFlac(this.tool, this.named(input), control);
  }

  /** Finds out what a file sounds like. @throws as `detectContent` of detect.ts */
  detectContent(input: string, control?: AudioControl): Promise<DetectedContent> {
    return detectContent(this.tool, this.named(input), control);
  }

  /** Writes ReplayGain tags. @throws as `replayGain` of replaygain.ts */
  replayGain(inputs: readonly string[], options?: ReplayGainOptions): Promise<readonly ReplayGainResult[]> {
    return replayGain(this.tool, inputs, options);
  }

  /**
   * Adds a filter for chains. It can be used at once; the promise says whether FFmpeg runs it.
   * @throws DownloadError INVALID_ARGUMENT
   */
  registerFilter(name: string, { filter, description = "" }: AudioFilterDefinition): Promise<void> {
    const registered = this.registry.register(this.tool, name, { filter, description });
    // Whoever does not wait is told when the filter is used.
    registered.catch(() => undefined);
    return registered;
  }

  /** The filters that there are. */
  async filters(): Promise<readonly FilterInfo[]> {
    await this.#configure();
    return this.registry.list();
  }

  /** Of the configuration's filters, those that could not be registered, and why. */
  async filterProblems(): Promise<readonly string[]> {
    return this.#configure();
  }

  /**
   * Sends a file through filters.
   *
   * @param names - in order
   * @param input - default: the file that this processor was given last
   * @throws as `applyFilterChain` of chain.ts; INVALID_ARGUMENT if there is no such file
   */
  async applyFilterChain(names: readonly string[], input?: string, options?: ChainOptions): Promise<ChainResult> {
    const file = input ?? this.#last;
    if (file === undefined)
      throw failure("INVALID_ARGUMENT", "name the file that the chain is for: this processor was given none before");
    await this.#configure();
    return applyFilterChain(this.tool, this.registry, this.named(file), names, options);
  }

  /** Notes which file is worked on. */
  protected named(input: string): string {
    this.#last = input;
    return input;
  }

  /** Registers what the configuration names, once. */
  #configure(): Promise<readonly string[]> {
    this.#configured ??= Promise.all(
      Object.entries(this.settings().filters).map(([name, definition]) =>
        this.registerFilter(name, definition).then(
          () => [],
          (error: Error) => [`audio.filters.${name}: ${error.message}`],
        ),
      ),
    ).then((problems) => problems.flat());
    return this.#configured;
  }
}
