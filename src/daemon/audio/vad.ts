/**
 * Where somebody speaks: the Silero VAD model (v5), run by sherpa-onnx. Both are optional packages, loaded when they are
 * asked for; without them everything but the share of speech still works.
 */
import { createRequire } from "node:module";

/** Samples of a window: 32 ms at 16 kHz, as the model wants them. */
const VAD_WINDOW = 512;
/** Seconds that the detector keeps of what it hears. */
const BUFFER_SECONDS = 30;

/** Says of each window whether somebody speaks. */
interface VoiceDetector {
  /** @param samples - {@link VAD_WINDOW} samples of 16 kHz mono */
  add(samples: Float32Array): boolean;
}

/** A detector, or why there is none, for people. */
export type VoiceDetectorOrReason = { readonly detector: VoiceDetector } | { readonly missing: string };

/** Makes a detector for one stream. */
export async function voiceDetector(): Promise<VoiceDetectorOrReason> {
  let model: string;
  try {
    model = createRequire(import.meta.url).resolve("@ricky0123/vad-web/dist/silero_vad_v5.onnx");
  } catch {
    return absent("@ricky0123/vad-web", "is not installed");
  }
  try {
    const { default: sherpa } = await import("sherpa-onnx-node");
    const vad = new sherpa.Vad(
      {
        sileroVad: {
          model,
          threshold: 0.5,
          minSilenceDuration: 0.1,
          minSpeechDuration: 0.1,
          windowSize: VAD_WINDOW,
          maxSpeechDuration: BUFFER_SECONDS / 2,
        },
        sampleRate: 16_000,
        numThreads: 1,
        provider: "cpu",
        debug: 0,
      },
      BUFFER_SECONDS,
    );
    return {
      detector: {
        add(samples) {
          vad.acceptWaveform(samples);
          // Only whether there is speech matters here: what was said is let go.
          while (!vad.isEmpty()) vad.pop();
          return vad.isDetected();
        },
      },
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ERR_MODULE_NOT_FOUND" ? "is not installed" : `does not run here: ${firstLine(error)}`;
    return absent("sherpa-onnx-node", why);
  }
}

function absent(name: string, why: string): { readonly missing: string } {
  return {
    missing:
      `The optional package ${name} ${why}: how much of it is speech was not measured, and speech was told from ` +
      `music and film by rhythm, tones and pauses alone. "npm install ${name}" brings it.`,
  };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
