/** What is used of packages that bring no types. */

declare module "@echogarden/rnnoise-wasm" {
  /** RNNoise as a WebAssembly module (rnnoise.h); addresses are offsets into the memory. */
  interface RnnoiseModule {
    /** The memory as samples; another array after it has grown. */
    readonly HEAPF32: Float32Array;
    _malloc(bytes: number): number;
    /** @param model - 0: the one inside */
    _rnnoise_create(model: number): number;
    _rnnoise_destroy(state: number): void;
    _rnnoise_get_frame_size(): number;
    /** @returns the probability that there is a voice */
    _rnnoise_process_frame(state: number, output: number, input: number): number;
  }
  export default function load(): Promise<RnnoiseModule>;
}

declare module "sherpa-onnx-node" {
  interface VadConfig {
    readonly sileroVad: {
      readonly model: string;
      readonly threshold: number;
      readonly minSilenceDuration: number;
      readonly minSpeechDuration: number;
      readonly windowSize: number;
      readonly maxSpeechDuration: number;
    };
    readonly sampleRate: number;
    readonly numThreads: number;
    readonly provider: "cpu";
    readonly debug: 0 | 1;
  }
  class Vad {
    constructor(config: VadConfig, bufferSeconds: number);
    acceptWaveform(samples: Float32Array): void;
    isDetected(): boolean;
    isEmpty(): boolean;
    pop(): void;
  }
  const sherpa: { readonly Vad: typeof Vad };
  export default sherpa;
}
