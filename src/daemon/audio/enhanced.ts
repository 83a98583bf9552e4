/** The spec's `EnhancedAudioProcessor`: what goes beyond single steps: analysis with pictures, psychoacoustics, the whole chain. */
import { type AudioAnalysis, analyzeAudio, drawAudio } from "./analyze.ts";
import { type EnhanceOptions, type EnhanceResult, enhanceAudio } from "./enhance.ts";
import { type EnhancementOptions, type EnhancementResult, processWithEnhancements } from "./enhancements.ts";
import { AudioProcessor } from "./processor.ts";
import { reportHtml } from "./report.ts";
import { planReport, writeReport } from "./report-file.ts";
import type { AudioControl } from "./types.ts";

/** How a report is written. */
export interface ReportOptions extends AudioControl {
  /** Another state of the same audio, to stand beside it. */
  readonly after?: string;
  /** Replace a file that is there. */
  readonly overwrite?: boolean;
}

/** Works on audio, with the enhancements. */
export class EnhancedAudioProcessor extends AudioProcessor {
  /** Equalises gently, by what the ear hears. @throws as `enhanceAudio` of enhance.ts */
  enhance(input: string, options?: EnhanceOptions): Promise<EnhanceResult> {
    return enhanceAudio(this.tool, this.named(input), options);
  }

  /** Noise, spectrum, surround and loudness in one go. @throws as `processWithEnhancements` of enhancements.ts */
  processWithEnhancements(input: string, options?: EnhancementOptions): Promise<EnhancementResult> {
    const { targetLufs, truePeak } = this.settings();
    return processWithEnhancements(this.tool, this.named(input), { normalizeTarget: targetLufs, truePeak, ...options });
  }

  /** Measures a file: loudness as a whole and over time, content, features of the spectrum. */
  analyze(input: string, control?: AudioControl): Promise<AudioAnalysis> {
    return analyzeAudio(this.tool, this.named(input), control);
  }

  /**
   * Draws a file, perhaps beside another state of it, on one HTML page without outside resources.
   *
   * @param report - path of the page
   * @returns the figures of `input`
   * @throws DownloadError INVALID_ARGUMENT if the page would take the audio's place; FileSystemError TARGET_EXISTS
   */
  async writeReport(input: string, report: string, options: ReportOptions = {}): Promise<AudioAnalysis> {
    const { after, overwrite = false, signal, onProgress } = options;
    const inputs = after === undefined ? [input] : [input, after];
    const target = await planReport(report, inputs, overwrite);
    const part = (index: number): AudioControl => ({
      ...(signal && { signal }),
      onProgress: (progress) =>
        onProgress?.({
          ...progress,
          ...(progress.percent !== undefined && { percent: (index * 100 + progress.percent) / inputs.length }),
        }),
    });
    const before = await drawAudio(this.tool, this.named(input), part(0));
    const second = after === undefined ? undefined : await drawAudio(this.tool, after, part(1));
    const parts = second
      ? [
          { title: "Before", analysis: before },
          { title: "After", analysis: second },
        ]
      : [{ analysis: before }];
    signal?.throwIfAborted();
    await writeReport(target, reportHtml(parts), overwrite);
    return before;
  }
}
