/**
 * The room as the rest of the daemon sees it: jobs, steps of downloads, filters. What does the work is loaded when it is first
 * asked for: most daemons never touch audio.
 */
import type {
  AudioFilterDefinition,
  AudioFilterInfo,
  AudioJob,
  AudioJobProgress,
  AudioOutcome,
  AudioWork,
} from "../core/audio-work.ts";
import { failure } from "../core/errors.ts";
import type { MediaTool, ProcessStep, StepFactory } from "../core/ports/media.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { EnhancedAudioProcessor } from "./enhanced.ts";
import { BUILT_IN } from "./filter-presets.ts";
import type { runJob as RunJob } from "./jobs.ts";
import type { AudioSettings } from "./processor.ts";
import { audioStep, isStep } from "./steps.ts";

/** What the room works with. */
export interface AudioRoomDeps {
  readonly tool: MediaTool;
  /** Asked at each call. */
  readonly settings: () => AudioSettings;
  readonly logger: Logger;
}

/** What is loaded late. */
interface LoadedRoom {
  readonly processor: EnhancedAudioProcessor;
  readonly runJob: typeof RunJob;
}

/** Works on audio when asked to. */
export class AudioRoom implements AudioWork, StepFactory {
  readonly #deps: AudioRoomDeps;
  /** Names of filters that somebody has added. */
  readonly #added = new Set<string>();
  #loaded: Promise<LoadedRoom> | undefined;

  constructor(deps: AudioRoomDeps) {
    this.#deps = deps;
  }

  async run(
    job: AudioJob,
    control: { readonly signal?: AbortSignal; readonly onProgress?: (progress: AudioJobProgress) => void },
  ): Promise<AudioOutcome> {
    const { processor, runJob } = await this.#ready();
    return runJob(processor, this.#deps.tool, job, control);
  }

  async filters(signal?: AbortSignal): Promise<readonly AudioFilterInfo[]> {
    const { processor } = await this.#ready();
    const { tool, logger } = this.#deps;
    for (const problem of await processor.filterProblems()) logger.warn({}, problem);
    const infos = (await processor.filters()).map(async ({ name, description, builtIn, filter }) => {
      const trial = { kind: "audio" as const, ...(signal && { signal }) };
      const problem = filter === undefined ? undefined : await tool.refusesChain(filter, trial);
      return { name, description, builtIn, ...(problem !== undefined && { problem }) };
    });
    return (await Promise.all(infos)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async registerFilter(name: string, definition: AudioFilterDefinition): Promise<void> {
    const { processor } = await this.#ready();
    await processor.registerFilter(name, definition);
    this.#added.add(name);
  }

  steps(names: readonly string[]): readonly ProcessStep[] {
    const { tool, logger, settings } = this.#deps;
    const known = (name: string): boolean =>
      isStep(name) || BUILT_IN.has(name) || this.#added.has(name) || Object.hasOwn(settings().filters, name);
    const unknown = names.find((name) => !known(name));
    if (unknown !== undefined)
      throw failure("INVALID_ARGUMENT", `audio: there is no step or filter ${JSON.stringify(unknown)}`, {
        metadata: { field: "audio" },
      });
    const processor = async () => (await this.#ready()).processor;
    return names.map((name) => audioStep(name, { tool, logger, processor }));
  }

  #ready(): Promise<LoadedRoom> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  async #load(): Promise<LoadedRoom> {
    const [{ EnhancedAudioProcessor }, { runJob }] = await Promise.all([import("./enhanced.ts"), import("./jobs.ts")]);
    const { tool, settings } = this.#deps;
    return { processor: new EnhancedAudioProcessor(tool, settings), runJob };
  }
}
